import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { findRunRecord, isAlive } from '@forge/runs';
import { SpanFile } from '@forge/service-kit';
import { traceIds } from '@forge/telemetry';
import { renderWaterfall } from '../shown/waterfall';

export interface TraceOptions {
  dir: string;
  json?: boolean;
  /** Optimizer step whose trace is shown. */
  step?: number;
}

const WHY_NONE = {
  rollout:
    'it was not admitted, or not sampled (tracing.sampleRatio); rollouts in samples.jsonl, failed and slow ones are always kept',
  step: 'it was not begun (the first is step 1), nothing is traced (tracing.sampleRatio=0), or its spans made room for newer ones (limits.spansFileMiB)',
};

/** `forge trace RUN ROLLOUT`: what happened to a rollout, or in a step, when and where, as a waterfall. */
export async function trace(id: string, rollout: number | undefined, options: TraceOptions): Promise<number> {
  const { dir, json, step } = options;
  if ((rollout === undefined) === (step === undefined))
    throw new ForgeError('CONFIG_INVALID', 'forge trace takes the index of a rollout, or --step and a step');
  findRunRecord(dir, id, isAlive);
  const [kind, index] = step === undefined ? (['rollout', rollout!] as const) : (['step', step] as const);
  const { traceId } = traceIds(id, kind, index);
  const spans = await new SpanFile(join(dir, id)).trace(traceId);
  if (spans.length === 0) {
    throw new ForgeError('CONFLICT_STATE', `no trace of ${kind} ${index} in run ${id}: ${WHY_NONE[kind]}`, {
      id,
      [kind]: index,
    });
  }
  if (json) process.stdout.write(`${JSON.stringify({ run: id, [kind]: index, traceId, spans })}\n`);
  else {
    const isOpen = !spans.some(({ parentId }) => parentId === null);
    process.stdout.write(
      `${[`${id}  ${kind} ${index}  trace ${traceId}${isOpen ? '  not over' : ''}`, ...renderWaterfall(spans)].join('\n')}\n`,
    );
  }
  return 0;
}
