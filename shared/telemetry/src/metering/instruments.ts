import type { Meter, Observable } from '@opentelemetry/api';
import { METRICS } from '../metrics';
import type { MetricCollector } from '../recording/metric-collector';

/** Numbers that a process has to show. */
export interface Metered {
  /** Totals as a service reports them: `busyMs`, `idleMs`, `waits/<what>Ms`, `tokens`. */
  totals: () => Record<string, number> | Promise<Record<string, number>>;
  /** The newest value of every metric of the run; only the coordinator knows them. */
  newest?: () => Readonly<Record<string, number>>;
  recorded: Pick<MetricCollector, 'totals'>;
}

export interface InstrumentDefinition {
  name: string;
  kind: 'counter' | 'up-down counter' | 'gauge';
  unit: string;
  description: string;
  attributes: readonly string[];
}

const instrument = (
  name: string,
  kind: InstrumentDefinition['kind'],
  unit: string,
  description: string,
  ...attributes: string[]
): InstrumentDefinition => ({ name, kind, unit, description, attributes });

/** Instruments of every service, besides those of METRICS that the coordinator has; `docs/metrics.md` lists them. */
export const INSTRUMENTS = [
  instrument(
    'forge.activity.time',
    'counter',
    's',
    'time spent busy, idle or waiting for something',
    'activity',
  ),
  instrument('forge.tokens', 'counter', '{token}', 'tokens generated, scored or trained'),
  instrument('process.memory.usage', 'gauge', 'By', 'resident memory'),
  instrument(
    'forge.recorded.count',
    'counter',
    '{value}',
    'values recorded under a key (means and deviations)',
    'key',
  ),
  instrument('forge.recorded.sum', 'up-down counter', '', 'their sum; of a sum, its value', 'key'),
  instrument(
    'forge.recorded.extreme',
    'gauge',
    '',
    'largest or smallest value since the start (maxima, minima)',
    'key',
  ),
] as const satisfies readonly InstrumentDefinition[];

type Name = (typeof INSTRUMENTS)[number]['name'];

/** A metric of METRICS as an instrument: `reward/<function>` is `forge.reward` with the attribute `function`. */
interface MetricInstrument {
  name: string;
  pattern: RegExp;
  unit: string;
  description: string;
}

const fixedNames = new Set<string>(METRICS.map(({ name }) => name));
const METRIC_INSTRUMENTS: readonly MetricInstrument[] = METRICS.filter(({ name }) => name !== 'step').map(
  ({ name, unit, formula }) => {
    const plain = name.replaceAll(/\/<\w+>/g, '');
    // `loss/<metric>` beside `loss`: one name is one instrument.
    const isTaken = plain !== name && fixedNames.has(plain);
    return {
      name: `forge.${isTaken ? name.replaceAll(/[<>]/g, '') : plain}`.replaceAll('/', '.'),
      pattern: new RegExp(
        `^${name.replaceAll(/<(\w+)>/g, (_, label: string) => `(?<${label}>${label === 'key' ? '.+' : '[^/]+'})`)}$`,
      ),
      unit,
      description: formula,
    };
  },
);

/** Lets `meter` read what the process has to show at every collection. */
export function observe(meter: Meter, { totals, newest, recorded }: Metered): void {
  const ours = new Map(INSTRUMENTS.map((definition) => [definition.name as Name, create(meter, definition)]));
  const observeProcess = async (result: ObservableResults): Promise<void> => {
    const tell = (name: Name, value: number, attributes = {}): void => {
      result.observe(ours.get(name)!, value, attributes);
    };
    tell('process.memory.usage', process.memoryUsage.rss());
    for (const [key, value] of Object.entries(await totals())) {
      if (key === 'tokens') tell('forge.tokens', value);
      const activity = /^(busy|idle|waits\/.+)Ms$/.exec(key)?.[1];
      if (activity !== undefined) tell('forge.activity.time', value / 1000, { activity });
    }
    for (const [key, state] of recorded.totals) {
      if (state.reduce === 'max' || state.reduce === 'min')
        tell('forge.recorded.extreme', state.value, { key });
      else tell('forge.recorded.sum', state.reduce === 'sum' ? state.total : state.sum, { key });
      if ('count' in state) tell('forge.recorded.count', state.count, { key });
    }
  };
  meter.addBatchObservableCallback(observeProcess, [...ours.values()]);
  if (newest === undefined) return;

  const gauges = METRIC_INSTRUMENTS.map(({ name, unit, description }) =>
    meter.createObservableGauge(name, { unit, description }),
  );
  meter.addBatchObservableCallback((result) => {
    for (const [key, value] of Object.entries(newest())) {
      const [at, attributes] = instrumentOf(key);
      if (at >= 0) result.observe(gauges[at]!, value, attributes);
    }
  }, gauges);
}

type ObservableResults = Parameters<Parameters<Meter['addBatchObservableCallback']>[0]>[0];

/** The first instrument that fits: `reward/mean` is no reward function. */
function instrumentOf(key: string): [number, Record<string, string>] {
  const exact = METRIC_INSTRUMENTS.findIndex(
    ({ name }) => name === `forge.${key.replaceAll('/', '.')}` && fixedNames.has(key),
  );
  if (exact >= 0) return [exact, {}];
  for (const [at, { pattern }] of METRIC_INSTRUMENTS.entries()) {
    const match = pattern.exec(key);
    if (match !== null) return [at, { ...match.groups }];
  }
  return [-1, {}];
}

function create(meter: Meter, { name, kind, unit, description }: InstrumentDefinition): Observable {
  const options = { unit, description };
  switch (kind) {
    case 'counter':
      return meter.createObservableCounter(name, options);
    case 'up-down counter':
      return meter.createObservableUpDownCounter(name, options);
    case 'gauge':
      return meter.createObservableGauge(name, options);
  }
}
