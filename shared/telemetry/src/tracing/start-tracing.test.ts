import { createLogger } from '../logger';
import { spansOfRequest, spansOfTrace, type RecordedSpan } from './recorded-span';
import {
  activeTraceparent,
  endRollout,
  inRootSpan,
  inSpan,
  linkTo,
  logIds,
  outsideTraces,
  recordSpan,
  spanToBe,
  traceOf,
} from './spans';
import { KEEP_REASON } from './kept-spans';
import { RunTraces } from './run-traces';
import { traceIds } from './trace-ids';
import { startTracing } from './tracing';

/** OpenTelemetry takes small numbers for something else. */
const T = 1_700_000_000_000;
const lines: string[] = [];
const warnings: string[] = [];
let stop: () => Promise<void>;
const traces = new RunTraces('run', { kept: 1e-9, exported: 0 });
const sampled = (index: number) => traces.rollout(index, T + 1000, true)!;
const exported = (index: number) => new RunTraces('run', { kept: 0, exported: 1 }).rollout(index, T, false)!;
const kept = (index: number) => traces.kept(index, undefined, T + 1000)!;

beforeAll(async () => {
  stop = await startTracing({
    service: 'policy',
    replica: '3',
    runId: 'run',
    sampleRatio: 0.01,
    settings: {
      exporters: [],
      protocol: 'http/json',
      endpoint: 'none',
      limits: {
        ...{ attributes: 128, valueLength: Infinity, events: 128, links: 200 },
        ...{ eventAttributes: 128, linkAttributes: 128 },
      },
    },
    save: (line) => {
      lines.push(line);
      return lines.length === 1 ? Promise.resolve() : Promise.reject(new Error('full'));
    },
    warn: (message) => warnings.push(message),
  });
});

let spans: RecordedSpan[] = [];
const named = (name: string): RecordedSpan[] => spans.filter((span) => span.name === name);

describe('spans', () => {
  it('are handed over when tracing ends', async () => {
    const nothing = () => Promise.resolve();

    // A sampled rollout.
    const parent = traceOf(sampled(1).traceparent);
    await inSpan('attempt', { parent, attributes: { a: 1 } }, async (span) => {
      expect(activeTraceparent()).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
      expect(outsideTraces(activeTraceparent)).toBeUndefined();
      const logged: string[] = [];
      createLogger({
        service: 's',
        level: 'info',
        destination: { write: (line) => void logged.push(line) },
      }).info('x');
      const { traceId, spanId } = span!.spanContext();
      expect(JSON.parse(logged[0]!)).toMatchObject({ trace_id: traceId, span_id: spanId });
      expect(logIds(span)).toEqual({ trace_id: traceId, span_id: spanId });
      await nothing();
      // Code behind an await says itself what it belongs to.
      expect(activeTraceparent()).toBeUndefined();
    });
    expect(logIds(sampled(1))).toEqual({ trace_id: expect.any(String), span_id: expect.any(String) });
    endRollout(sampled(1), { 'forge.rollout.end': 'trained' });
    // A rollout that is not traced, and one that was found to be worth it.
    endRollout(traces.rollout(2, T, false), {});
    const parent3 = traceOf(kept(3).traceparent);
    const error = new TypeError('boom');
    await expect(inSpan('failing', { parent: parent3 }, () => Promise.reject(error))).rejects.toThrow('boom');
    const as = spanToBe(parent3!);
    recordSpan('part', { parent: as, startMs: T + 1100 }, T + 1200);
    const events = [{ name: 'half', atMs: T + 1250 }];
    recordSpan('told', { parent: parent3, as, startMs: T + 1000, error, events }, T + 1500);
    // A rollout that goes to a collector alone: its spans that failed, or have a reason, are kept.
    const elsewhere = traceOf(exported(4).traceparent);
    await inSpan('quiet', { parent: elsewhere }, nothing);
    recordSpan('slow', { parent: elsewhere, startMs: T, attributes: { [KEEP_REASON]: 'slow' } }, T + 1);
    await expect(inSpan('failed', { parent: elsewhere }, () => Promise.reject(error))).rejects.toThrow(
      'boom',
    );
    // A step with more links than a span may have by default.
    const links = Array.from({ length: 200 }, (_, index) => linkTo(sampled(index).traceparent, { index }));
    await inRootSpan('step', traces.step(5), { links }, nothing);
    // A span outside any trace.
    await inSpan('nowhere', {}, (span) => Promise.resolve(expect(span).toBeNull()));
    recordSpan('nowhere', {}, 1);
    await inRootSpan('nowhere', undefined, {}, nothing);

    await stop();
    spans = lines.flatMap(spansOfRequest);
    expect(spans.map(({ name }) => name)).toEqual([
      'attempt',
      'rollout',
      'failing',
      'part',
      'told',
      'slow',
      'failed',
      'step',
    ]);
    expect(warnings).toEqual([]);
  });

  it('say whose they are, and belong to the rollout they are of', () => {
    expect(spans[0]).toMatchObject({ service: 'policy', replica: '3' });
    const [, traceId, rootId] = sampled(1).traceparent.split('-');
    const [attempt] = named('attempt');
    expect(attempt).toMatchObject({ traceId, parentId: rootId, attributes: { a: 1 }, error: null });
    const [root] = named('rollout');
    expect(root).toMatchObject({ traceId, spanId: rootId, parentId: null, startMs: T + 1000 });
    expect(root!.endMs).toBeGreaterThan(1e12);
    expect(spansOfTrace([...lines, ...lines], traceId!).map(({ name }) => name)).toEqual([
      'rollout',
      'attempt',
    ]);
  });

  it('say what failed, also when they are told afterwards', () => {
    const { traceId } = traceIds('run', 'rollout', 3);
    const failed = { error: 'boom', attributes: { 'error.type': 'BUG_INVARIANT' } };
    expect(named('failing')[0]).toMatchObject({ traceId, ...failed });
    const [told] = named('told');
    expect(told).toMatchObject({ traceId, startMs: T + 1000, endMs: T + 1500, ...failed });
    expect(told!.events).toMatchObject([{ name: 'half', atMs: T + 1250 }]);
    expect(named('part')[0]).toMatchObject({
      parentId: told!.spanId,
      startMs: T + 1100,
      endMs: T + 1200,
      error: null,
    });
  });

  it('link to as many rollouts as a batch has', () => {
    const [step] = named('step');
    expect(step!.links.map(({ attributes }) => attributes.index)).toEqual([...Array(200).keys()]);
    expect(step!.spanId).toBe(traces.step(5)!.split('-')[2]);
  });
});

describe('spansOfRequest', () => {
  it.each(['', '{"resourceSpans":[{"scopeSp', '[]', '{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}'])(
    'finds none in %j',
    (line) => {
      expect(spansOfRequest(line)).toEqual([]);
    },
  );
});
