import type { TracingEnvironment } from '@forge/config';
import { traceRatios } from './trace-service';

const environment: TracingEnvironment = {
  exporters: [],
  protocol: 'http/json',
  endpoint: '',
  sampleRatio: null,
  isDisabled: false,
  limits: {
    ...{ attributes: 128, valueLength: Infinity, events: 128, links: 200 },
    ...{ eventAttributes: 128, linkAttributes: 128 },
  },
};
const ratios = (changes: Partial<TracingEnvironment>) =>
  traceRatios({ tracing: { sampleRatio: 0.25, slowSeconds: 10 } }, { ...environment, ...changes });

describe('traceRatios', () => {
  it('exports everything where there is a collector, unless the environment says a share', () => {
    expect(ratios({})).toEqual({ kept: 0.25, exported: 0 });
    expect(ratios({ sampleRatio: 0.5 })).toEqual({ kept: 0.25, exported: 0 });
    expect(ratios({ exporters: ['otlp'] })).toEqual({ kept: 0.25, exported: 1 });
    expect(ratios({ exporters: ['otlp'], sampleRatio: 0.5 })).toEqual({ kept: 0.25, exported: 0.5 });
    expect(ratios({ exporters: ['otlp'], isDisabled: true })).toEqual({ kept: 0, exported: 0 });
  });
});
