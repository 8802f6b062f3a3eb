import type { SinkConfig } from '@forge/config';
import type { RecordedPoint } from '../recorded-metrics';
import type { FinishedRow } from '../run-metrics';
import type { EndState, SinkRow } from './metric-sink';
import type { PatientSink } from './patient-sink';

export interface ModedSink {
  mode: SinkConfig['mode'];
  sink: Pick<PatientSink, 'add' | 'close'>;
}

/**
 * The sinks of a run, each with what its mode asks for: `global_reduce` what is recorded as one value for all processes,
 * `per_rank_reduce` one for each process, `per_rank_no_reduce` every value when it comes. A key of one process begins
 * with its rank: `policy/0/user/<key>`. All else is the same in every mode.
 */
export class RunSinks {
  constructor(private readonly sinks: readonly ModedSink[]) {}

  addStep({ row: { step, ...values }, recorded, ranks }: FinishedRow, atMs: number): void {
    const rest = Object.fromEntries(Object.entries(values).filter(([key]) => !recorded.has(key)));
    const byRank = [...ranks].flatMap(([rank, own]) =>
      Object.entries(own).map(([key, value]) => [`${rank}/${key}`, value] as const),
    );
    const rows = {
      global_reduce: values,
      per_rank_reduce: { ...rest, ...Object.fromEntries(byRank) },
      per_rank_no_reduce: rest,
    };
    for (const { mode, sink } of this.sinks) sink.add([{ step, atMs, values: rows[mode] }]);
  }

  addPoints(step: number, points: readonly RecordedPoint[]): void {
    const rows = points.map(({ rank, key, value, atMs }): SinkRow => ({
      step,
      atMs,
      values: { [`${rank}/${key}`]: value },
    }));
    for (const { mode, sink } of this.sinks) if (mode === 'per_rank_no_reduce') sink.add(rows);
  }

  async close(state: EndState): Promise<void> {
    await Promise.all(this.sinks.map(({ sink }) => sink.close(state)));
  }
}
