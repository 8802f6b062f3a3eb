import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, provisionRedis, Registry, type Redis, type RunState } from '@forge/broker';
import { traceIds } from '@forge/telemetry';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import type {
  ApiError,
  ControlChange,
  DeadLetterView,
  MetricsRow,
  RolloutView,
  RunListing,
  RunView,
  SampleRollout,
  Span,
} from './api';
import type { Dashboard } from './service';
import {
  control,
  DashboardUnderTest,
  dataOf,
  get,
  listen,
  post,
  row,
  sample,
  TOKEN,
} from './test-run.fixture';

let server: TestRedis;
let redis: Redis;
let under: DashboardUnderTest;
let dashboard: Dashboard;
let id: string;
let runs = 0;

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(() => server.stop());
beforeEach(async () => {
  under = new DashboardUnderTest();
  dashboard = await under.start();
  id = `run-${++runs}`;
});
afterEach(async () => {
  await under.stop();
});

const running = (name = id): Promise<RunState> => under.run(name, server.url, redis);
const spanOf = (kind: 'rollout' | 'step', index: number) => {
  const span = {
    ...traceIds(id, kind, index),
    name: kind,
    startTimeUnixNano: '5000000',
    endTimeUnixNano: '9000000',
  };
  const attributes = [
    { key: 'service.name', value: { stringValue: 'forge-trainer' } },
    { key: 'service.instance.id', value: { stringValue: '0' } },
  ];
  return { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans: [span] }] }] };
};
const reply = (replica: string, pid: number) => ({
  ...{
    service: 'policy',
    replica,
    url: 'http://127.0.0.1:1',
    pid,
    isReady: true,
    answers: null,
    callsMade: [],
  },
});
describe('runs', () => {
  it('are listed newest first, with how far they are', async () => {
    under.directory('older', { startedAt: '2026-01-01T00:00:00.000Z', state: 'finished' });
    under.replace('older', 'summary.json', { steps: 40, startAccuracy: 0.4, finalAccuracy: 0.9 });
    under.directory('newer');
    under.write('newer', 'metrics.jsonl', row(1, { 'eval/accuracy': 0.5 }), row(2, { 'eval/accuracy': 0.6 }));
    const listed = await get<RunListing[]>(dashboard, '/runs');
    expect(listed).toMatchObject([
      { id: 'newer', state: 'running', step: 2, steps: 50, startAccuracy: 0.5, accuracy: 0.6, problem: null },
      { id: 'older', state: 'finished', step: 40, startAccuracy: 0.4, accuracy: 0.9 },
    ]);
  });

  it('of another schema are listed with the problem, and answered with it', async () => {
    mkdirSync(join(under.dir, 'odd'));
    under.replace('odd', 'run.json', { id: 'odd', shards: 2 });
    const [odd] = await get<RunListing[]>(dashboard, '/runs');
    expect(odd).toMatchObject({ id: 'odd', recipe: '', steps: 0 });
    expect(odd!.problem).toContain('odd/run.json');
    const response = await fetch(`${dashboard.url}/api/runs/odd`);
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ message: odd!.problem });
  });

  it.each(['none', '..', '.', '..%2f..%2fetc', '%2e%2e', 'a%00b', '-x', 'x'.repeat(100)])(
    'that there are none of (%s) are 404',
    async (name) => {
      mkdtempSync(join(under.dir, 'a'));
      for (const path of ['', '/metrics', '/samples', '/weights', '/rollouts/1', '/steps/1', '/events']) {
        const response = await fetch(`${dashboard.url}/api/runs/${name}${path}`);
        expect([path, response.status]).toEqual([path, 404]);
        expect(((await response.json()) as ApiError).code).toBe('NOT_FOUND');
      }
      expect((await post(dashboard, `/runs/${name}/pause`)).status).toBe(404);
    },
  );

  it('show what Redis and the files say', async () => {
    const state = await running();
    await state.admit(3);
    await new Registry(redis, id).heartbeat(reply('0', 11));
    await state.setProgress({
      ...{ step: 1, stage: 'training', groups: { done: 2, of: 2 }, tokens: { done: 9, atMost: 20 } },
      ...{ microBatches: { done: 1, of: 4 }, elapsedMs: 30_000, expectedMs: 120_000 },
    });
    under.write(id, 'metrics.jsonl', row(1), row(2));
    const view = await get<RunView>(dashboard, `/runs/${id}`);
    expect(view.run).toMatchObject({ id, state: 'running', step: 0, steps: 50 });
    expect(view.live).toMatchObject({
      ...{ version: 0, phase: 'running', maxStaleness: 1, steps: 50, isPaused: false, deadLetters: 0 },
      wanted: { policy: 2, reward: 1 },
      replicas: [{ service: 'policy', replica: '0', pid: 11, isReady: true, restarts: 0 }],
    });
    expect(view.live?.step).toEqual({
      step: 1,
      share: 0.25,
      text: 'training, 1 of 4 micro-batches, 0:30 of about 2:00',
    });
    expect(view.liveProblem).toBeNull();
    expect(view.ledger).toMatchObject({ admitted: 3, inFlight: 3, isBalanced: true });
    expect(view.verdict.bound).toBe('policy');
    expect(view.pipeline.nodes.find(({ service }) => service === 'policy')).toMatchObject({ replicas: 1 });
    expect(view.pipeline.edges.find(({ carries }) => carries === 'jobs')).toMatchObject({ depth: 0 });
    expect(view.config).toMatchObject({ name: 'test', steps: 50 });
  });

  it('that are over show what they have left', async () => {
    under.directory(id, { state: 'finished', redisUrl: server.url });
    const ledger = {
      admitted: 2,
      inFlight: 0,
      buffered: 0,
      leased: 0,
      trained: 1,
      discarded: { stale: 1 },
      isBalanced: true,
    };
    under.replace(id, 'summary.json', { steps: 2, finalAccuracy: 0.8, ledger });
    under.write(id, 'metrics.jsonl', row(1), row(2));
    const view = await get<RunView>(dashboard, `/runs/${id}`);
    expect(view).toMatchObject({ run: { step: 2 }, live: null, liveProblem: null, ledger });
    expect(view.verdict.bound).toBe('over');
  });

  it('give metrics behind a step, samples newest first, controls, and a rollout', async () => {
    const state = await running();
    await state.admit(4);
    under.write(id, 'metrics.jsonl', row(1), row(2), row(3));
    under.write(id, 'samples.jsonl', sample, { ...sample, index: 5 }, { none: true });
    under.write(id, 'controls.jsonl', control);
    under.write(id, 'spans.jsonl', spanOf('rollout', 3), spanOf('step', 2));
    const metrics = await get<MetricsRow[]>(dashboard, `/runs/${id}/metrics?after=1`);
    expect(metrics.map(({ step }) => step)).toEqual([2, 3]);
    expect(await get<MetricsRow[]>(dashboard, `/runs/${id}/metrics`)).toHaveLength(3);
    const samples = await get<SampleRollout[]>(dashboard, `/runs/${id}/samples?limit=9`);
    expect(samples.map(({ index }) => index)).toEqual([5, 3]);
    expect(await get<ControlChange[]>(dashboard, `/runs/${id}/controls`)).toMatchObject([{ to: '4' }]);
    expect(await get<RolloutView>(dashboard, `/runs/${id}/rollouts/3`)).toMatchObject({
      history: { state: 'inFlight', job: `r-${id}-3`, step: null },
      sample: { index: 3, completions: [{ text: '2', reward: 1 }, { text: '3' }] },
      spans: [
        {
          spanId: traceIds(id, 'rollout', 3).spanId,
          parentId: null,
          name: 'rollout',
          startMs: 5,
          service: 'trainer',
          replica: '0',
          events: [],
          links: [],
          error: null,
        },
      ],
    });
    expect(await get<Span[]>(dashboard, `/runs/${id}/steps/2`)).toMatchObject([{ name: 'step' }]);
    expect(await get<Span[]>(dashboard, `/runs/${id}/steps/7`)).toEqual([]);
    expect(await get<RolloutView>(dashboard, `/runs/${id}/rollouts/9`)).toMatchObject({
      history: null,
      sample: null,
    });
  });

  it.each([
    'metrics?after=x',
    'samples?limit=501',
    'samples?limit=-1',
    'metrics?before=1',
    'metrics?after=1&step=2',
    'rollouts/x',
  ])('refuse a question that makes no sense: %s', async (path) => {
    under.directory(id);
    const response = await fetch(`${dashboard.url}/api/runs/${id}/${path}`);
    expect([response.status, ((await response.json()) as ApiError).code]).toEqual([400, 'BAD_REQUEST']);
  });

  it('tell how often replicas were started again, also while nobody looked', async () => {
    await running();
    const registry = new Registry(redis, id);
    for (const [name, pid] of [
      ['0', 11],
      ['1', 12],
      ['0', 13],
      ['0', 14],
    ] as const) {
      await registry.begins('policy', name);
      await registry.heartbeat(reply(name, pid));
    }
    const { live } = await get<RunView>(dashboard, `/runs/${id}`);
    expect(live!.replicas).toMatchObject([
      { pid: 14, restarts: 2 },
      { pid: 12, restarts: 0 },
    ]);
  });
});

describe('dead letters', () => {
  it('are shown with what was worked on, replayed and thrown away', async () => {
    const state = await running();
    await state.admit(2);
    const failure = { code: 'BUG_INVARIANT', message: 'boom', attempts: 3, payload: '{"kind":"rollout"}' };
    await state.rejectGroup({ index: 0 }, 'failed', failure);
    await state.rejectGroup({ index: 1 }, 'failed', { ...failure, payload: Buffer.from([0xff, 0]) });
    const letters = () => get<DeadLetterView[]>(dashboard, `/runs/${id}/dead-letters`);
    expect(await letters()).toMatchObject([
      { id: 'r-1', payload: 'ff00' },
      { id: 'r-0', index: 0, code: 'BUG_INVARIANT', payload: { kind: 'rollout' }, attempts: 3 },
    ]);
    expect((await post(dashboard, `/runs/${id}/dead-letters/r-0/replay`)).status).toBe(204);
    expect((await post(dashboard, `/runs/${id}/dead-letters/r-1/discard`)).status).toBe(204);
    expect(await letters()).toEqual([]);
    expect(await state.deadLetters.counts()).toMatchObject({ kept: 0, waiting: 1 });
    const gone = await post(dashboard, `/runs/${id}/dead-letters/r-0/replay`);
    expect([gone.status, ((await gone.json()) as ApiError).code]).toEqual([409, 'CONFLICT_STATE']);
  });
});

describe('controls', () => {
  it('change the run', async () => {
    const { controls, weights } = await running();
    const asked: [string, unknown?][] = [
      ['pause'],
      ['set', { maxStaleness: null, steps: 70 }],
      ['scale', { policy: 3 }],
      ['restart', { target: 'policy/0' }],
      ['rollback', { to: 0 }],
    ];
    for (const [path, body] of asked)
      expect([path, (await post(dashboard, `/runs/${id}/${path}`, body)).status]).toEqual([path, 204]);
    expect(await controls.steering()).toMatchObject({ isPaused: true, maxStaleness: Infinity, steps: 70 });
    const wanted = await controls.wanted();
    expect(wanted.replicas.get('policy')).toBe(3);
    expect(wanted.restarts.has('policy/0')).toBe(true);
    expect((await weights.wanted()).rollback).toBe(0);
    expect((await post(dashboard, `/runs/${id}/unpause`, {})).status).toBe(204);
    expect((await controls.steering()).isPaused).toBe(false);
  });

  it.each([
    ['', 'a token is needed'],
    ['Bearer wrong', 'the token is wrong'],
    [`Basic ${TOKEN}`, 'the token is wrong'],
    [`Bearer ${TOKEN}x`, 'the token is wrong'],
  ])('need the token (%j)', async (authorization, message) => {
    const { controls } = await running();
    for (const name of [id, 'none']) {
      const headers = authorization === '' ? {} : { authorization };
      const response = await fetch(`${dashboard.url}/api/runs/${name}/pause`, { method: 'POST', headers });
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      expect(((await response.json()) as ApiError).message).toContain(message);
    }
    expect((await controls.steering()).isPaused).toBe(false);
  });

  it.each([
    ['pause', { now: true }, 'Unrecognized key'],
    ['set', {}, 'expected maxStaleness or steps'],
    ['set', { maxStaleness: -1 }, 'maxStaleness'],
    ['set', { steps: 70, seed: 1 }, 'Unrecognized key'],
    ['scale', { policy: 0 }, 'policy'],
    ['scale', { trainer: 2 }, 'there is exactly one'],
    ['scale', { nobody: 2 }, 'no such process'],
    ['restart', { target: '../x' }, 'target'],
    ['rollback', { to: '1' }, 'to'],
    ['rollback', undefined, 'body'],
  ])('refuse %s with %j', async (path, body, message) => {
    const { controls } = await running();
    const response = await post(dashboard, `/runs/${id}/${path}`, body);
    expect(response.status).toBe(400);
    expect(((await response.json()) as ApiError).message).toContain(message);
    expect(await controls.steering()).toMatchObject({ isPaused: false, maxStaleness: 1, steps: 50 });
  });

  it('refuse what is no JSON, or too large', async () => {
    await running();
    const send = async (body: string) => {
      const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
      const response = await fetch(`${dashboard.url}/api/runs/${id}/set`, { method: 'POST', headers, body });
      return [response.status, Object.keys((await response.json()) as object)];
    };
    expect(await send('{')).toEqual([400, ['code', 'message']]);
    expect(await send(JSON.stringify({ steps: 'x'.repeat(70_000) }))).toEqual([413, ['code', 'message']]);
  });

  it('are refused for a run that is over', async () => {
    under.directory(id, { state: 'interrupted' });
    const response = await post(dashboard, `/runs/${id}/pause`);
    expect([response.status, ((await response.json()) as ApiError).message]).toEqual([
      409,
      `run ${id} is over (interrupted); only a running one can be changed`,
    ]);
  });
});

describe('a Redis that is away', () => {
  it('is told as such, keeps nobody waiting, and is found again', async () => {
    const own = await startTestRedis();
    const there = await own.connect();
    const state = await under.run(id, own.url, there);
    const before = await get<RunView>(dashboard, `/runs/${id}`);
    expect(before.live).not.toBeNull();
    expect(before.ledger).not.toBeNull();
    const { told, stop } = await listen(dashboard, `/runs/${id}/events`);
    const pid = await own.pid();
    process.kill(pid, 'SIGSTOP');
    const view = await waitFor('the problem', () =>
      dataOf<RunView>(told, 'view').find(({ liveProblem }) => liveProblem !== null),
    );
    expect(view).toMatchObject({ live: null, run: { state: 'running' }, ledger: before.ledger });
    expect(view.liveProblem).toContain('does not answer');
    expect(view.liveProblem).not.toMatch(/:[^/@]+@/);
    const refused = await post(dashboard, `/runs/${id}/pause`);
    expect([refused.status, ((await refused.json()) as ApiError).code]).toEqual([
      503,
      'TRANSIENT_REDIS_UNREACHABLE',
    ]);
    expect(await get(dashboard, `/runs/${id}/rollouts/0`)).toMatchObject({ history: null });
    // The Redis is started again where it was.
    process.kill(pid, 'SIGKILL');
    await waitFor('it is back', () => dataOf<RunView>(told, 'view').at(-1)?.live != null, 20_000);
    expect((await state.controls.steering()).isPaused).toBe(false);
    stop();
    await own.stop();
  }, 60_000);

  it('was never there', async () => {
    under.directory(id, { redisUrl: 'redis://127.0.0.1:1' });
    const view = await get<RunView>(dashboard, `/runs/${id}`);
    expect(view.live).toBeNull();
    expect(view.liveProblem).toContain('redis://127.0.0.1:1');
  });

  it('has let the keys of the run expire: the run is not called failed', async () => {
    const state = await running();
    expect((await get<RunView>(dashboard, `/runs/${id}`)).live).toMatchObject({ phase: 'running' });
    await state.remove();
    const view = await waitFor('the problem', async () => {
      const now = await get<RunView>(dashboard, `/runs/${id}`);
      return now.live === null && now;
    });
    expect(view).toMatchObject({
      run: { state: 'running' },
      liveProblem: expect.stringContaining('its state has expired') as string,
    });
  });

  it('knows nothing of the run', async () => {
    under.directory(id, { redisUrl: server.url });
    expect((await get<RunView>(dashboard, `/runs/${id}`)).liveProblem).toContain(`no run ${id}`);
  });
});

describe('the own Redis of a run that is over', () => {
  it('is started for as long as something is looked up, once nobody else has it open', async () => {
    const redisDir = mkdtempSync(join(tmpdir(), 'forge-own-redis-'));
    const own = await provisionRedis({ dir: redisDir, log: () => undefined, mayInstall: false });
    const there = await connectRedis(own.url, { name: 'test', giveUpAfterMs: 5_000 });
    const { redisUrl, redisPasswordFile } = { redisUrl: own.url, redisPasswordFile: own.passwordFile };
    const over = { redisUrl, redisPasswordFile, redisDir, state: 'finished' } as const;
    const state = await under.run(id, own.url, there, over);
    const failure = { code: 'C', message: 'm', attempts: 1, payload: '{}' };
    await state.deadLetters.keep('e-1', 'evaluation', failure);
    const letters = () => fetch(`${dashboard.url}/api/runs/${id}/dead-letters`);
    const early = await letters();
    expect([early.status, ((await early.json()) as ApiError).code]).toEqual([409, 'CONFLICT_STATE']);

    state.close();
    there.disconnect();
    await own.stop();
    const both = await Promise.all([letters(), letters()]);
    for (const response of both) expect(await response.json()).toMatchObject([{ id: 'e-1', payload: {} }]);
    rmSync(redisDir, { recursive: true });
    const gone = await letters();
    expect(((await gone.json()) as ApiError).message).toContain('is gone');
  }, 60_000);
});

describe('the server', () => {
  it('can be there twice', async () => {
    const second = await under.start();
    await running();
    for (const one of [dashboard, second])
      expect((await get<RunView>(one, `/runs/${id}`)).live).toMatchObject({ version: 0 });
    expect((await post(second, `/runs/${id}/pause`)).status).toBe(204);
    await waitFor('the pause', async () => (await get<RunView>(dashboard, `/runs/${id}`)).live?.isPaused);
  });

  it('takes another port where its usual one is taken, but not where one was asked for', async () => {
    const taken = Number(new URL(dashboard.url).port);
    await expect(under.start({ port: taken })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`port ${taken} of 127.0.0.1 is taken`) as string,
    });
    const [first, second] = [await under.start({ port: null }), await under.start({ port: null })];
    expect(first.url).not.toBe(second.url);
  });

  it('makes a token where it is given none, and tells it in its address', async () => {
    const own = await under.start({ token: null });
    const { token } = /#token=(?<token>[\w-]{32})$/.exec(own.address)!.groups as { token: string };
    await running();
    expect((await post(own, `/runs/${id}/pause`, undefined, token)).status).toBe(204);
    expect(dashboard.address).not.toContain('token');
  });

  it('serves the page, its views and its files, or says that it is not built', async () => {
    const at = async (one: Dashboard, path: string, accept = '*/*') => {
      const response = await fetch(`${one.url}${path}`, { headers: { accept } });
      return { status: response.status, text: await response.text(), headers: response.headers };
    };
    const bare = await at(await under.start({ pageDir: join(under.dir, 'none') }), '/');
    expect([bare.status, bare.text]).toEqual([503, expect.stringContaining('npm run build')]);

    const pageDir = join(under.dir, '.web');
    mkdirSync(join(pageDir, 'assets'), { recursive: true });
    writeFileSync(join(pageDir, 'index.html'), '<title>page</title>');
    writeFileSync(join(pageDir, 'assets', 'a-1.js'), 'code');
    const built = await under.start({ pageDir });
    const index = await at(built, '/');
    expect([index.status, index.text]).toEqual([200, '<title>page</title>']);
    expect(index.headers.get('cache-control')).toBe('no-cache');
    expect(index.headers.get('content-security-policy')).toContain("script-src 'self';");
    expect((await at(built, '/assets/a-1.js')).headers.get('cache-control')).toContain('immutable');
    expect((await at(built, '/runs/x', 'text/html')).text).toBe('<title>page</title>');
    for (const path of ['/assets/none.js', '/api/none', '/..%2f..%2fetc/passwd', '/%2e%2e/run.json'])
      expect([path, (await at(built, path)).status]).toEqual([path, 404]);
  });

  it('answers to the names of this machine only', async () => {
    const { port } = new URL(dashboard.url);
    const status = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        request({ port, path: '/api/runs', headers: { host } }, ({ statusCode }) => resolve(statusCode))
          .on('error', reject)
          .end();
      });
    const hosts = [
      `localhost:${port}`,
      `127.0.0.1:${port}`,
      `[::1]:${port}`,
      'evil.example',
      `evil.example:${port}`,
    ];
    expect(await Promise.all(hosts.map(status))).toEqual([200, 200, 200, 421, 421]);
  });

  it('shows the queues of running runs, and changes nothing there', async () => {
    await running();
    under.directory('over', { state: 'finished' });
    const response = await fetch(`${dashboard.url}/queues/api/queues`);
    const { queues } = (await response.json()) as { queues: { name: string; readOnlyMode: boolean }[] };
    expect(queues).toMatchObject([{ name: `${id} rollout`, readOnlyMode: true }]);
    expect((await fetch(`${dashboard.url}/queues`)).status).toBe(200);
    const headers = { authorization: `Bearer ${TOKEN}` };
    const put = await fetch(
      `${dashboard.url}/queues/api/queues/${encodeURIComponent(`${id} rollout`)}/pause`,
      { method: 'PUT', headers },
    );
    expect(put.status).toBe(405);
  });
});
