import { gibibytes, shortest } from './fit';
import type { Parts } from './memory-plan';
import type { RunPlan } from './run-plan';

const count = (value: number): string =>
  value >= 1e6 ? `${(value / 1e6).toFixed(1)} M` : Math.round(value).toLocaleString('en-US');

/** A plan as lines for people. */
export function renderPlan(plan: RunPlan, note: string | null): string {
  const { memory, disk, time, advice } = plan;
  const lines = [
    `${plan.recipe}  ${plan.model}`,
    '',
    row('parameters', count(plan.parameterCount), named(plan.parameters, count)),
    ...plan.services.map(({ service, replicas, bytes, parts }) =>
      row(
        replicas > 1 ? `${service} x ${replicas}` : service,
        gibibytes(bytes * replicas),
        service === 'others' ? 'coordinator, replay buffer, reward' : named(parts, gibibytes),
      ),
    ),
    row('redis', gibibytes(plan.redisBytes), 'at most, when every limit is reached'),
    row('memory', gibibytes(memory.bytes), verdict(memory)),
    row('disk', gibibytes(disk.bytes), `${verdict(disk)}; ${named(disk.parts, gibibytes)}`),
    ...turnRows(plan),
    row('step', seconds(time.stepSeconds), stepParts(plan)),
    row(
      'tokens/s',
      time.generateSeconds > 0 ? count(time.tokensPerSecond) : '?',
      `generated; ${count(time.generatedTokens)} a step at most`,
    ),
    row('run', seconds(time.runSeconds), 'if every rollout is as long as it may be'),
  ];
  if (note !== null) lines.push('', note);
  if (advice.length > 0) {
    lines.push('', `to make it fit: ${shortest(advice).join(' ')}`);
    for (const { change, bytes } of advice) lines.push(`  ${change.padEnd(34)} ${gibibytes(bytes)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Rows of rollouts of several turns, and of their processes. */
function turnRows({ rollout, processes }: RunPlan): string[] {
  const { turns, generatedTokens, contextTokens } = rollout;
  const rows: string[] = [];
  if (turns > 1) {
    const tokens = `${count(generatedTokens)} tokens generated, ${count(contextTokens)} in context`;
    rows.push(
      row('rollout', `${turns} turns`, `at most, ${tokens}; what is said to the model in between is more`),
    );
  }
  if (processes !== null) {
    const { count: n, memoryMb } = processes;
    const [value, words] =
      memoryMb === null
        ? ['?', `${n} at a time, of unknown memory: rollout.memoryMb bounds it`]
        : [gibibytes(n * memoryMb * 2 ** 20), `at most, ${n} of ${memoryMb} MB at a time`];
    rows.push(row('processes', value, `${words}; of rollouts, beside the memory above`));
  }
  return rows;
}

function row(name: string, value: string, words: string): string {
  return `${name.padEnd(12)}${value.padStart(10)}   ${words}`.trimEnd();
}

/** Parts that are there, largest first. */
function named(parts: Parts, shown: (value: number) => string): string {
  return Object.entries(parts)
    .filter(([, value]) => value > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => `${name} ${shown(value)}`)
    .join(', ');
}

function verdict({ availableBytes, fits }: RunPlan['memory']): string {
  return `${fits ? 'fits' : 'does not fit'}: ${gibibytes(availableBytes)} left`;
}

function stepParts({ time }: RunPlan): string {
  const reference = time.referenceSeconds > 0 ? `, reference ${seconds(time.referenceSeconds)}` : '';
  const generation = time.generateSeconds > 0 ? seconds(time.generateSeconds) : 'at a server';
  return `generation ${generation}${reference}, training ${seconds(time.trainSeconds)}`;
}

function seconds(value: number): string {
  if (value < 120) return `${value < 10 ? value.toFixed(1) : value.toFixed(0)} s`;
  return value < 7200 ? `${(value / 60).toFixed(0)} min` : `${(value / 3600).toFixed(1)} h`;
}
