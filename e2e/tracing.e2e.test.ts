import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry, SpanLog } from '@forge/broker';
import { SpanFile } from '@forge/service-kit';
import { traceIds, type RecordedSpan } from '@forge/telemetry';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { renderWaterfall } from '../services/cli/src/shown/waterfall';
import { ForgeRun } from './chaos/forge-run';
import { OtlpReceiver } from './otlp-receiver';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

const SKEW_MS = 20;
const CONSUMER = 5;
const before = { ...process.env };

let redis: TestRedis;
let dir: string;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterAll(() => redis.stop());

const started: ServiceProcesses[] = [];
const receivers: OtlpReceiver[] = [];
afterEach(() => {
  process.env = { ...before };
  for (const run of started) run.kill();
  for (const receiver of receivers.splice(0)) receiver.stop();
});

async function startReceiver(): Promise<OtlpReceiver> {
  const receiver = await OtlpReceiver.start();
  receivers.push(receiver);
  return receiver;
}

async function startRun(
  environment: Record<string, string>,
  overrides: Record<string, unknown> = {},
): Promise<ServiceProcesses> {
  Object.assign(process.env, environment);
  const recipe = smallRecipe(dir, { maxStaleness: 1, tracing: { sampleRatio: 1 }, ...overrides });
  const run = await ServiceProcesses.start(redis, await redis.connect(), `traced-${started.length}`, recipe);
  started.push(run);
  return run;
}

/** Ends the processes, and writes down what they told of while they ended, as `forge run` does. */
async function stop(run: ServiceProcesses): Promise<void> {
  await run.stop();
  await new SpanFile(run.runDir).takeFrom(new SpanLog(await redis.connect(), run.runState), 64);
}

function tracesOf(spans: readonly RecordedSpan[]): Map<string, RecordedSpan[]> {
  const traces = new Map<string, RecordedSpan[]>();
  for (const span of spans) traces.set(span.traceId, [...(traces.get(span.traceId) ?? []), span]);
  return traces;
}

describe('a traced run', () => {
  it('gives one complete trace for every rollout and step, which link to each other', async () => {
    const receiver = await startReceiver();
    const run = await startRun(receiver.environment);
    await run.finished();
    const { groups } = await run.runState.ledgerSnapshot();
    await stop(run);
    const traces = tracesOf(receiver.spans);
    const byId = new Map(receiver.spans.map((span) => [span.spanId, span]));
    expect(byId.size).toBe(receiver.spans.length);
    expect(groups.size).toBeGreaterThanOrEqual(48);

    for (const spans of traces.values())
      expect(spans.filter(({ parentId }) => parentId === null)).toHaveLength(1);
    for (const span of receiver.spans) {
      expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);
      if (span.parentId === null) continue;
      const parent = byId.get(span.parentId);
      expect([span.name, parent?.traceId]).toEqual([span.name, span.traceId]);
      expect(span.startMs).toBeGreaterThanOrEqual(parent!.startMs - SKEW_MS);
      // Weights are applied when their step is over.
      if (span.kind !== CONSUMER) expect(span.endMs).toBeLessThanOrEqual(parent!.endMs + SKEW_MS);
    }
    for (const [index, { state, step }] of groups) {
      const { traceId, spanId } = traceIds(run.runState.runId, 'rollout', index);
      const spans = traces.get(traceId) ?? [];
      const names = spans.map(({ name }) => name);
      expect(byId.get(spanId)).toMatchObject({ traceId, name: 'rollout', parentId: null });
      expect(names).toEqual(
        expect.arrayContaining([
          'admit',
          'queue',
          'attempt',
          'generate',
          'score',
          'score exact',
          'score length',
          'reference',
          'publish',
          'buffer',
        ]),
      );
      const generate = spans.find(({ name }) => name === 'generate')!;
      expect(generate.attributes).toMatchObject({
        'gen_ai.operation.name': 'text_completion',
        'gen_ai.request.choice.count': 4,
        'gen_ai.request.model': 'model',
      });
      const chunks = generate.events.filter(({ name }) => name === 'chunk');
      expect(chunks.reduce((sum, { attributes }) => sum + Number(attributes['tokens']), 0)).toBe(
        generate.attributes['gen_ai.usage.output_tokens'],
      );
      expect(new Set(spans.map(({ service }) => service)).size).toBeGreaterThanOrEqual(5);
      const trained = spans.filter(({ name }) => name === 'trained');
      expect(trained).toHaveLength(state === 'trained' ? 1 : 0);
      if (state !== 'trained') continue;
      const stepRoot = byId.get(traceIds(run.runState.runId, 'step', step! + 1).spanId)!;
      expect(stepRoot).toMatchObject({ name: 'step', service: 'trainer', parentId: null });
      expect(trained[0]!.links).toMatchObject([{ traceId: stepRoot.traceId, spanId: stepRoot.spanId }]);
      expect(stepRoot.links.map((link) => link.spanId)).toContain(spanId);
    }
    const linked = receiver.spans.flatMap(({ name, links }) => (name === 'step' ? links : []));
    expect(linked).toHaveLength([...groups.values()].filter(({ state }) => state === 'trained').length);
    for (const step of [1, 2, 3, 4, 5]) {
      const spans = traces.get(traceIds(run.runState.runId, 'step', step).traceId)!;
      const names = spans.map(({ name }) => name);
      const root = spans.find(({ parentId }) => parentId === null)!;
      expect(root.attributes).toMatchObject({ 'forge.step': step, 'forge.policy.version': step });
      expect(names).toEqual(expect.arrayContaining(['step', 'train', 'publish weights', 'commit']));
    }
    const applied = receiver.spans.filter(({ name }) => name === 'apply weights');
    expect(applied.length).toBeGreaterThanOrEqual(5);

    // The same without the collector.
    const { traceId } = traceIds(run.runState.runId, 'rollout', 0);
    const stored = await new SpanFile(run.runDir).trace(traceId);
    const received = traces.get(traceId)!.map(({ spanId }) => spanId);
    expect(stored.map(({ spanId }) => spanId).sort()).toEqual(received.sort());
  });

  it('shows both attempts at a rollout whose policy was killed', async () => {
    const receiver = await startReceiver();
    const connection = await redis.connect();
    const run = await startRun(receiver.environment);
    const { runId } = run.runState;
    // Rollouts wait for their scores while the reward service stands still.
    const reward = await waitFor(
      'the reward service',
      async () => {
        const [replica] = await new Registry(connection, runId).list('reward');
        return replica?.isReady && replica;
      },
      60_000,
    );
    process.kill(reward.pid, 'SIGSTOP');
    const attempts = (name: string, attempt: number): Map<string, RecordedSpan> =>
      new Map(
        receiver.spans
          .filter((span) => span.name === name && span.attributes['forge.attempt'] === attempt)
          .map((span) => [span.traceId, span]),
      );
    const waiting = await waitFor(
      'attempts that wait',
      () => {
        const done = attempts('attempt', 1);
        const open = [...attempts('queue', 1).keys()].filter((traceId) => !done.has(traceId));
        return open.length >= 8 && open;
      },
      60_000,
    );
    const file = new SpanFile(run.runDir);
    await waitFor(
      'their pick-up to be written down',
      async () =>
        (await Promise.all(waiting.map((id) => file.trace(id)))).every((spans) =>
          spans.some(({ name }) => name === 'queue'),
        ),
      60_000,
    );
    await run.killAndRestart('policy');
    process.kill(reward.pid, 'SIGCONT');
    await run.finished();
    await stop(run);
    for (const traceId of waiting) {
      expect(attempts('attempt', 1).has(traceId)).toBe(false);
      expect([attempts('queue', 2).has(traceId), attempts('attempt', 2).has(traceId)]).toEqual([true, true]);
      const spans = await file.trace(traceId);
      expect(spans.filter(({ parentId }) => parentId === null)).toHaveLength(1);
      const lines = renderWaterfall(spans).filter((line) => line.includes('attempt '));
      expect(lines.filter((line) => line.includes('attempt 1  ended without a word'))).toHaveLength(1);
      expect(lines.filter((line) => /^ *attempt .* attempt 2$/.test(line))).toHaveLength(1);
    }
  });

  it('is not affected by a collector that is down, of which it warns once', async () => {
    Object.assign(process.env, {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    });
    const run = await ForgeRun.start(dir, smallRecipe(dir, { name: 'down', tracing: { sampleRatio: 1 } }));
    try {
      expect(await run.ended(120_000)).toBe(0);
      const said = readFileSync(join(run.workDir, 'said.log'), 'utf8');
      expect(said.match(/spans are not exported/g)).toHaveLength(1);
      const logs = join(run.runDir, 'logs');
      const warnings = readdirSync(logs).map(
        (file) => readFileSync(join(logs, file), 'utf8').match(/spans or metrics are lost/g)?.length ?? 0,
      );
      expect(warnings.length).toBe(6);
      expect(Math.max(...warnings)).toBe(1);
      const { traceId } = traceIds(run.runId, 'rollout', 0);
      expect(await new SpanFile(run.runDir).trace(traceId)).not.toEqual([]);
    } finally {
      run.kill();
    }
  });
});
