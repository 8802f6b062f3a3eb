import type { Delivery } from '@forge/broker';
import { RunTraces, spansOfRequest, startTracing, traceIds, type RecordedSpan } from '@forge/telemetry';
import { RolloutAttempt } from './rollout-attempt';

const T = 1_700_000_000_000;
const lines: string[] = [];
const traces = new RunTraces('run', { kept: 1e-9, exported: 0 });
const first: Delivery = { attempt: 1, queuedAtMs: T + 5, startedAtMs: T + 8 };
const pass = () => Promise.resolve();
let stop: () => Promise<void>;

beforeAll(async () => {
  stop = await startTracing({
    ...{ service: 'policy', replica: '0', runId: 'run', sampleRatio: 1e-9 },
    settings: {
      exporters: [],
      protocol: 'http/json',
      endpoint: '',
      limits: {
        ...{ attributes: 128, valueLength: Infinity, events: 128, links: 200 },
        ...{ eventAttributes: 128, linkAttributes: 128 },
      },
    },
    save: (line) => Promise.resolve(void lines.push(line)),
    warn: (message) => expect(message).toBe(''),
  });
});

/** Runs one attempt with its phases; true when the trace that travels on is sampled. */
async function attempt(
  index: number,
  { isSampled = false, delivery = first, slowMs = Infinity, publish = pass },
): Promise<string | undefined> {
  const trace = traces.rollout(index, T, isSampled);
  const made = new RolloutAttempt({ index, ...(trace && { trace }) }, delivery, traces, slowMs);
  let flags: string | undefined;
  const work = async () => {
    made.hasWeights();
    await made.generating(pass);
    await Promise.all([made.phase('score', pass), made.phase('score', pass)]);
    flags = made.origin()?.traceparent.slice(-2);
    await made.phase('publish', publish);
  };
  await made.run(work).catch(() => undefined);
  return flags;
}

describe('RolloutAttempt', () => {
  it('tells everything of what is sampled, failed, slow, or tried again, and nothing of the others', async () => {
    const failing = () => Promise.reject(new TypeError('boom'));
    expect(await attempt(0, { isSampled: true })).toBe('03');
    expect(await attempt(1, {})).toBeUndefined();
    expect(await attempt(2, { publish: failing })).toBeUndefined();
    expect(await attempt(3, { slowMs: 0 })).toBe('03');
    expect(await attempt(4, { delivery: { ...first, attempt: 2 } })).toBe('03');
    const nothing = new RunTraces('run', { kept: 0, exported: 0 });
    await new RolloutAttempt({ index: 5 }, first, nothing, 0)
      .run(() => Promise.reject(new TypeError('boom')))
      .catch(pass);
    // An attempt ends when its group is sent, however late it hears that it came.
    const trace = traces.rollout(6, T, true)!;
    const made = new RolloutAttempt({ index: 6, trace }, first, traces, Infinity);
    let sentMs = 0;
    await made.run(() =>
      made.phase('publish', async () => {
        made.sending();
        made.sending(false);
        made.sending();
        sentMs = Date.now();
        while (Date.now() < sentMs + 5) await new Promise(setImmediate);
      }),
    );
    await stop();

    const spans = lines.flatMap(spansOfRequest);
    const of = (index: number): RecordedSpan[] => {
      const { traceId } = traceIds('run', 'rollout', index);
      return spans.filter((span) => span.traceId === traceId);
    };
    const names = (index: number): string[] => of(index).map(({ name }) => name);
    expect(names(0)).toEqual(['queue', 'score', 'publish', 'attempt']);
    expect(of(0)[3]!.events.map(({ name }) => name)).toEqual(['has weights']);
    expect([...names(1), ...names(5)]).toEqual([]);
    for (const index of [2, 3])
      expect(names(index)).toEqual(['queue', 'generate', 'score', 'publish', 'attempt']);
    expect(names(4)).toEqual(['queue', 'score', 'publish', 'attempt']);
    expect(of(2).map(({ error }) => error)).toEqual([null, null, null, 'boom', 'boom']);
    expect(of(3)[4]!.attributes).toEqual({
      'forge.rollout.index': 3,
      'forge.attempt': 1,
      'forge.kept': 'slow',
    });
    expect(of(4)[3]!.attributes).toMatchObject({ 'forge.attempt': 2 });
    expect(of(6).map(({ name, endMs }) => [name, endMs <= sentMs])).toEqual([
      ['queue', true],
      ['publish', true],
      ['attempt', true],
    ]);
    const [queue, , , , whole] = of(2);
    expect(queue).toMatchObject({ startMs: T + 5, endMs: T + 8 });
    expect(whole).toMatchObject({ startMs: T + 8, parentId: queue!.parentId });
    for (const part of of(2).slice(1, 4)) expect(part.parentId).toBe(whole!.spanId);
  });
});
