import type { ObserveReward } from '@forge/rl';
import { recordSpan, traceOf } from '@forge/telemetry';

interface Work {
  startMs: number;
  endMs: number;
  completions: number;
  failed: number;
}

/** One span for every reward function and every rollout among the items of a call. */
export class RewardSpans {
  private readonly work = new Map<string, { works: Map<string, Work>; observe: ObserveReward }>();

  /** Sees the functions score one item, for the span the item belongs to. */
  observe(traceparent: string | null | undefined): ObserveReward | undefined {
    if (traceparent === null || traceparent === undefined) return undefined;
    const known = this.work.get(traceparent);
    if (known !== undefined) return known.observe;
    const works = new Map<string, Work>();
    const observe: ObserveReward = (name, score) => {
      const work = workOf(works, name);
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
    this.work.set(traceparent, { works, observe });
    return observe;
  }

  end(): void {
    for (const [traceparent, { works }] of this.work) {
      const parent = traceOf(traceparent);
      for (const [name, { startMs, endMs, completions, failed }] of works) {
        const attributes = {
          'forge.reward': name,
          'forge.completions': completions,
          ...(failed > 0 && { 'forge.completions.failed': failed }),
        };
        recordSpan(`score ${name}`, { parent, startMs, attributes }, endMs);
      }
    }
  }
}

function workOf(works: Map<string, Work>, name: string): Work {
  const known = works.get(name);
  if (known !== undefined) return known;
  const startMs = Date.now();
  const work = { startMs, endMs: startMs, completions: 0, failed: 0 };
  works.set(name, work);
  return work;
}
