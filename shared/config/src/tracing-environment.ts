import {
  exportEnvironment,
  isOtelDisabled,
  otelVariable,
  type ExportEnvironment,
} from './export-environment';

/** What the standard variables of OpenTelemetry say about traces that its SDK does not read by itself. */
export interface TracingEnvironment extends ExportEnvironment {
  /** `OTEL_TRACES_SAMPLER` and its argument as a share of traces; null where it is unset. */
  sampleRatio: number | null;
  /** `OTEL_SDK_DISABLED` */
  isDisabled: boolean;
  /** Whether `OTEL_SPAN_LINK_COUNT_LIMIT` is set. */
  limitsLinks: boolean;
}

export function tracingEnvironment(): TracingEnvironment {
  const argument = Number(otelVariable('TRACES_SAMPLER_ARG') ?? 1);
  return {
    ...exportEnvironment('TRACES'),
    sampleRatio: sampleRatioOf(otelVariable('TRACES_SAMPLER'), argument),
    isDisabled: isOtelDisabled(),
    limitsLinks: otelVariable('SPAN_LINK_COUNT_LIMIT') !== undefined,
  };
}

function sampleRatioOf(sampler: string | undefined, argument: number): number | null {
  switch (sampler?.replace('parentbased_', '')) {
    case 'always_on':
      return 1;
    case 'always_off':
      return 0;
    case 'traceidratio':
      return argument >= 0 && argument <= 1 ? argument : 1;
    default:
      return null;
  }
}
