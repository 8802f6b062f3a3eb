import type { ObserveReward } from '@forge/rl';
import { recordSpan, traceOf } from '@forge/telemetry';

interface Work {
  traceparent: string;
  name: string;
  startMs: number;
  endMs: number;
  completions: number;
  failed: number;
}

/** One span for every reward function and every rollout among the items of a call. */
export class RewardSpans {
  private readonly work = new Map<string, Work>();

  /** Sees the functions score one item, for the span the item belongs to. */
  observe(traceparent: string | undefined): ObserveReward | undefined {
    if (traceparent === undefined) return undefined;
    return (name, score) => {
      const work = this.workOf(traceparent, name);
      work.completions += 1;
      const done = (): void => {
        work.endMs = Date.now();
      };
      const failed = (error: unknown): never => {
        done();
        work.failed += 1;
        throw error;
      };
      try {
        const value = score();
        if (typeof value !== 'number') return Promise.resolve(value).finally(done).catch(failed);
        done();
        return value;
      } catch (error) {
        return failed(error);
      }
    };
  }

  end(): void {
    for (const { traceparent, name, startMs, endMs, completions, failed } of this.work.values()) {
      const attributes = {
        'forge.reward': name,
        'forge.completions': completions,
        ...(failed > 0 && { 'forge.completions.failed': failed }),
      };
      recordSpan(`score ${name}`, { parent: traceOf(traceparent), startMs, attributes }, endMs);
    }
  }

  private workOf(traceparent: string, name: string): Work {
    const key = `${traceparent} ${name}`;
    const known = this.work.get(key);
    if (known !== undefined) return known;
    const startMs = Date.now();
    const work = { traceparent, name, startMs, endMs: startMs, completions: 0, failed: 0 };
    this.work.set(key, work);
    return work;
  }
}
