import { SpanKind, trace, TraceFlags, type Context, type SpanContext } from '@opentelemetry/api';
import { SamplingDecision, type Sampler, type SamplingResult } from '@opentelemetry/sdk-trace-base';
import { ROOT } from './spans';
import { isWithinRatio } from './trace-ids';

const KEEP: SamplingResult = { decision: SamplingDecision.RECORD_AND_SAMPLED };
const DROP: SamplingResult = { decision: SamplingDecision.NOT_RECORD };

/** Decides as the beginning of the trace has. */
export class RolloutSampler implements Sampler {
  /** `ratio`: share of the traces that begin elsewhere, in a user's script say. */
  constructor(private readonly ratio: number) {}

  shouldSample(within: Context, traceId: string, _name: string, kind: SpanKind): SamplingResult {
    const root = within.getValue(ROOT) as SpanContext | undefined;
    if (root !== undefined) {
      if ((root.traceFlags & TraceFlags.SAMPLED) === 0) return DROP;
      return root.traceState === undefined ? KEEP : { ...KEEP, traceState: root.traceState };
    }
    const parent = trace.getSpanContext(within);
    if (parent !== undefined) return (parent.traceFlags & TraceFlags.SAMPLED) === 0 ? DROP : KEEP;
    // A call that nothing traced makes: the reports of a service, a batch of calls for many rollouts.
    if (kind === SpanKind.CLIENT) return DROP;
    return isWithinRatio(traceId, this.ratio) ? KEEP : DROP;
  }

  toString(): string {
    return `RolloutSampler{${this.ratio}}`;
  }
}
