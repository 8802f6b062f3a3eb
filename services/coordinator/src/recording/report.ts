import type { StoredBound, TelemetryEvent } from '@forge/contracts';
import type { Evaluation } from '../evaluations';
import type { MetricsRow } from './run-metrics';
import { label, lineChart, SERIES_COLORS, type Series } from './line-chart';

/** A rollout kept for people to read; one line of `samples.jsonl`. */
export type SampleRollout = Omit<Extract<TelemetryEvent, { kind: 'rollout' }>, 'kind'>;

/** The content of `summary.json`. */
export interface RunSummary {
  runId: string;
  recipe: string;
  seed: number;
  /** The last one it was set to. */
  maxStaleness: StoredBound;
  /** `interrupted`: the run was told to end before it was done. */
  state: 'finished' | 'failed' | 'interrupted';
  steps: number;
  seconds: number;
  startAccuracy: number | null;
  finalAccuracy: number | null;
  /** Directory of the final model, relative to the run directory. */
  model: string | null;
  weightsHash: string | null;
  ledger: Record<string, unknown>;
}

export interface ReportContent {
  summary: RunSummary;
  rows: readonly MetricsRow[];
  evaluations: readonly Evaluation[];
  samples: readonly SampleRollout[];
  /** The resolved recipe. */
  recipe: unknown;
}

const CHARTS: readonly { title: string; note: string; metrics: readonly string[] }[] = [
  { title: 'Reward', note: 'mean over all rollouts of the step', metrics: ['reward/mean'] },
  {
    title: 'Informative groups',
    note: 'share with a gradient to give',
    metrics: ['groups/informative_share'],
  },
  { title: 'Lag', note: 'policy versions between generation and training', metrics: ['lag/mean', 'lag/max'] },
  { title: 'Loss', note: '', metrics: ['loss'] },
  { title: 'Gradient norm', note: 'before clipping', metrics: ['gradient_norm'] },
  {
    title: 'Log-prob mismatch',
    note: 'generator against trainer, largest of the batch',
    metrics: ['logprob_mismatch'],
  },
  { title: 'KL to the behaviour policy', note: '', metrics: ['kl/behaviour'] },
  { title: 'Effective sample size', note: 'share of the batch', metrics: ['ratio/effective_sample_size'] },
  { title: 'Completion length', note: 'tokens', metrics: ['completion/length_mean'] },
  { title: 'Tokens per second', note: 'generated', metrics: ['tokens/generated_per_second'] },
  { title: 'Busy share', note: 'of wall time', metrics: ['busy/trainer', 'busy/policy'] },
];

/** A self-contained HTML page: the numbers of the run, its curves, some rollouts and its recipe. */
export function renderReport({ summary, rows, evaluations, samples, recipe }: ReportContent): string {
  const accuracy: Series = {
    name: 'eval/accuracy',
    points: evaluations.map((evaluation) => ({ x: evaluation.version, y: evaluation.accuracy })),
  };
  const figures = [
    figure('Held-out accuracy', 'greedy decoding', [accuracy]),
    ...CHARTS.map(({ title, note, metrics }) => ({
      title,
      note,
      series: metrics.flatMap((m) => series(rows, m)),
    }))
      .filter((chart) => chart.series.length > 0)
      .map((chart) => figure(chart.title, chart.note, chart.series)),
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(summary.runId)}</title><style>${STYLE}</style></head><body>
<h1>${escapeHtml(summary.recipe)}</h1>
<p class="note">${escapeHtml(summary.runId)} · seed ${summary.seed} · maxStaleness ${summary.maxStaleness} · ${summary.state}</p>
<dl>${facts(summary)
    .map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`)
    .join('')}</dl>
<section class="charts">${figures.join('')}</section>
<h2>Rollouts</h2>
<table><tr><th>version</th><th>prompt</th><th>completions (reward)</th></tr>${samples.map(sampleRow).join('')}</table>
<h2>Ledger of groups</h2><pre>${escapeHtml(JSON.stringify(summary.ledger, null, 2))}</pre>
<h2>Recipe</h2><pre>${escapeHtml(JSON.stringify(recipe, null, 2))}</pre>
</body></html>
`;
}

function facts(summary: RunSummary): [string, string][] {
  return [
    ['accuracy', `${percent(summary.startAccuracy)} → ${percent(summary.finalAccuracy)}`],
    ['steps', String(summary.steps)],
    ['time', `${summary.seconds.toFixed(0)} s`],
    ['model', summary.model ?? 'not saved'],
    ['weights', summary.weightsHash?.slice(0, 16) ?? '-'],
  ];
}

function series(rows: readonly MetricsRow[], metric: string): Series[] {
  const points = rows.flatMap((row) => (row[metric] === undefined ? [] : [{ x: row.step, y: row[metric] }]));
  return points.length === 0 ? [] : [{ name: metric, points }];
}

function figure(title: string, note: string, lines: readonly Series[]): string {
  const legend =
    lines.length < 2 ? '' : lines.map(({ name }, k) => `<span class="key s${k}">${name}</span>`).join(' ');
  const last = lines[0]?.points.at(-1);
  const value = last ? ` <b>${label(last.y)}</b>` : '';
  return `<figure><figcaption>${title}${value} <small>${note}</small> ${legend}</figcaption>${lineChart(lines)}</figure>`;
}

function sampleRow({ version, prompt, texts, rewards, rewardsByFunction }: SampleRollout): string {
  const completions = texts.map((text, k) => {
    const parts = Object.entries(rewardsByFunction?.[k] ?? {}).map(
      ([name, value]) => `${name} ${label(value)}`,
    );
    const told = parts.length > 1 ? `: ${parts.join(', ')}` : '';
    return `${escapeHtml(text)} <small>(${label(rewards[k] ?? NaN)}${escapeHtml(told)})</small>`;
  });
  return `<tr><td>${version}</td><td>${escapeHtml(prompt)}</td><td>${completions.join('<br>')}</td></tr>`;
}

/** `text` with the characters that mean something to HTML replaced. */
function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function percent(share: number | null): string {
  return share === null ? '-' : `${(100 * share).toFixed(1)} %`;
}

const STYLE = `
:root{color-scheme:light dark;--ink:light-dark(#1a1a1a,#e8e8e8);--dim:light-dark(#6b6b6b,#9a9a9a);--rule:light-dark(#e3e3e3,#333)}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{margin-bottom:0}h2{margin-top:2rem;font-size:1.1rem}.note,small,dt{color:var(--dim)}
dl{display:flex;flex-wrap:wrap;gap:2rem}dd{margin:0;font-size:1.2rem}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1rem}figure{margin:0}
svg{width:100%;height:auto}${SERIES_COLORS.map((color, k) => `.key.s${k}{color:${color}}`).join('')}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid var(--rule);padding:.3rem .6rem;text-align:left;vertical-align:top}
td{white-space:pre-wrap}pre{overflow:auto;font-size:12px}`;
