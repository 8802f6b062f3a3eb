import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { scalarsEvent, versionEvent } from './event-file';
import type { MetricSink } from './metric-sink';

/**
 * Scalars for `tensorboard --logdir`: a coordinator writes a file of its own into `dir`, beside those of its
 * predecessors.
 */
export function tensorboardSink(dir: string, clock: () => number = Date.now): MetricSink {
  const startedAtMs = clock();
  // TensorBoard orders files by name, and looks for `tfevents` in it.
  const path = join(dir, `events.out.tfevents.${Math.floor(startedAtMs / 1000)}.forge.${process.pid}`);
  let hasBegun = false;
  return {
    name: 'tensorboard',
    write: async (rows) => {
      await mkdir(dir, { recursive: true });
      const head = hasBegun ? [] : [versionEvent(startedAtMs)];
      await appendFile(path, Buffer.concat([...head, ...rows.map(scalarsEvent)]));
      hasBegun = true;
    },
    close: () => Promise.resolve(),
  };
}
