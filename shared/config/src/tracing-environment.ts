import {
  exportEnvironment,
  isOtelDisabled,
  otelVariable,
  type ExportEnvironment,
} from './export-environment';

/** Standard variables of OpenTelemetry about traces that its SDK does not read by itself. */
export interface TracingEnvironment extends ExportEnvironment {
  /** `OTEL_TRACES_SAMPLER` and its argument as a share of traces; null where it is unset. */
  sampleRatio: number | null;
  /** `OTEL_SDK_DISABLED` */
  isDisabled: boolean;
  /** `OTEL_SPAN_*_LIMIT`, `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`, `OTEL_ATTRIBUTE_*_LIMIT` */
  limits: {
    attributes: number;
    valueLength: number;
    events: number;
    links: number;
    eventAttributes: number;
    linkAttributes: number;
  };
}

export function tracingEnvironment(): TracingEnvironment {
  const argument = Number(otelVariable('TRACES_SAMPLER_ARG') ?? 1);
  return {
    ...exportEnvironment('TRACES'),
    sampleRatio: sampleRatioOf(otelVariable('TRACES_SAMPLER'), argument),
    isDisabled: isOtelDisabled(),
    limits: {
      attributes: limit(128, 'SPAN_ATTRIBUTE_COUNT_LIMIT', 'ATTRIBUTE_COUNT_LIMIT'),
      valueLength: limit(Infinity, 'SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', 'ATTRIBUTE_VALUE_LENGTH_LIMIT'),
      events: limit(128, 'SPAN_EVENT_COUNT_LIMIT'),
      // A step links to every rollout of its batch.
      links: limit(65_536, 'SPAN_LINK_COUNT_LIMIT'),
      eventAttributes: limit(128, 'EVENT_ATTRIBUTE_COUNT_LIMIT', 'ATTRIBUTE_COUNT_LIMIT'),
      linkAttributes: limit(128, 'LINK_ATTRIBUTE_COUNT_LIMIT', 'ATTRIBUTE_COUNT_LIMIT'),
    },
  };
}

function limit(unset: number, ...variables: string[]): number {
  const value = Number(otelVariable(...variables));
  return Number.isInteger(value) && value >= 0 ? value : unset;
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
