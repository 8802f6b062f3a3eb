import type { RunState } from '@forge/broker';
import type { Recipe } from '@forge/config';
import { storedBound } from '@forge/contracts';
import type { Evaluation } from '../evaluations';
import type { RunSummary } from './report';
import type { RunDirectory } from './run-directory';

const REPORTED_SAMPLES = 60;

/** Writes `summary.json` and `report.html` from what the run has left so far. */
export async function writeRunSummary(
  runState: Pick<RunState, 'runId' | 'version' | 'ledger' | 'weights' | 'controls'>,
  directory: RunDirectory,
  recipe: Recipe,
  run: Pick<RunSummary, 'state' | 'seconds'> & { evaluations: readonly Evaluation[]; isModelSaved: boolean },
): Promise<void> {
  const [steps, ledger, weights, { maxStaleness }] = await Promise.all([
    runState.version(),
    runState.ledger(),
    runState.weights.latest(),
    runState.controls.steering(),
  ]);
  const { state, seconds, evaluations, isModelSaved } = run;
  const summary: RunSummary = {
    runId: runState.runId,
    recipe: recipe.name,
    seed: recipe.seed,
    maxStaleness: storedBound(maxStaleness),
    state,
    steps,
    seconds,
    startAccuracy: evaluations[0]?.accuracy ?? null,
    finalAccuracy: evaluations.at(-1)?.accuracy ?? null,
    model: isModelSaved ? 'model' : null,
    weightsHash: weights?.announcement.sha256 ?? null,
    ledger: { ...ledger },
  };
  // The library that draws its charts is large, and wanted at the end of a run only.
  const { renderReport } = await import('./report.js');
  const samples = await directory.samples();
  const stride = Math.max(1, Math.ceil(samples.length / REPORTED_SAMPLES));
  const html = renderReport({
    summary,
    rows: await directory.metrics(),
    evaluations,
    samples: samples.filter((_, k) => k % stride === 0),
    recipe,
  });
  await directory.writeSummary(summary, html);
}
