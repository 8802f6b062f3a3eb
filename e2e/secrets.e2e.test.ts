import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { says, status, TestJudge } from '../shared/recipe-parts/src/judge/judge.fixture';
import { StandIn } from '../shared/recipe-parts/src/openenv/stand-in.fixture';
import { hasTlsRedis, startGuardedRedis, waitFor, type GuardedRedis } from '@forge/testing';

jest.setTimeout(240_000);

const root = join(__dirname, '..');
const forge = join(root, 'services/cli/bin/forge.cjs');
const CLUSTER_TOKEN = 'Clust3rTok3n-of-ours';
const PASSWORD = 'R3disPassw0rd@/of:ours';
const JUDGE_KEY = 'Judg3K3y-of-ours';
const GATEWAY_TOKEN = 'Gat3wayTok3n-of-ours';
const GAMES_KEY = 'Gam3sK3y-of-ours';
/** Texts to look for: any part of a secret would do. */
const SECRETS = ['Clust3rTok3n', 'R3disPassw0rd', 'Judg3K3y', 'Gat3wayTok3n', 'Gam3sK3y'];

/** Fails for some samples, so that there are retries, dead letters and stacks. */
const REWARD = `export default () => ({ name: 'picky', score: ({ answer }) => {
  if (answer.endsWith('7')) throw new RangeError('no sevens');
  return Math.random();
} });`;

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-secrets-'));
  writeFileSync(join(dir, 'picky.ts'), REWARD);
  const recipe = [
    'name: s',
    `model: ${join(root, 'models/arithmetic')}`,
    'steps: 8',
    'maxStaleness: 1',
    'task: { kind: arithmetic, heldOut: 20 }',
    'algorithm: { name: grpo, groupSize: 4, klCoefficient: 0.01 }',
    'batch: { groups: 4 }',
    'sampling: { maxTokens: 10 }',
    'evaluation: { everySteps: 4, samples: 20 }',
    'trainer: { checkpointEverySteps: 4 }',
    'rewards: [{ module: ./picky.ts }]',
  ];
  writeFileSync(join(dir, 'recipe.yaml'), recipe.join('\n'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function start(script: string, args: readonly string[], environment: NodeJS.ProcessEnv) {
  const env = { ...process.env, LOG_LEVEL: 'trace', FORGE_CLUSTER_TOKEN: CLUSTER_TOKEN, ...environment };
  const child = spawn(process.execPath, [script, ...args], { cwd: dir, env });
  children.push(child);
  const started = { child, said: '', exit: once(child, 'close').then(([code]) => code as number) };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (started.said += bytes.toString()));
  return started;
}

const run = async (environment: NodeJS.ProcessEnv, ...args: string[]) => {
  const started = start(forge, args, environment);
  const code = await started.exit;
  return { code, said: started.said };
};

const filesIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** The files below a directory that hold one of the secrets. */
function filesWith(secrets: readonly string[], directory: string): string[] {
  return filesIn(directory).filter((file) => {
    const bytes = readFileSync(file);
    return secrets.some((secret) => bytes.includes(secret));
  });
}

const runId = () => (existsSync(join(dir, 'runs')) ? readdirSync(join(dir, 'runs'))[0] : undefined);
const processes = () => spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8', maxBuffer: 2 ** 26 }).stdout;
const isSilent = (text: string, secrets = SECRETS) => !secrets.some((secret) => text.includes(secret));

(hasTlsRedis ? describe : describe.skip)('secrets (needs redis-server with TLS and openssl)', () => {
  let server: GuardedRedis;
  let judge: TestJudge;
  beforeAll(async () => {
    server = await startGuardedRedis('worker', PASSWORD);
    judge = await TestJudge.start();
  });
  afterAll(async () => {
    await judge.stop();
    await server.stop();
  });

  it('are in no log, file, message or process list of a run that loses Redis and has failures', async () => {
    const environment = {
      ...{ REDIS_URL: server.url, NODE_EXTRA_CA_CERTS: server.caFile },
      ...{ TEST_JUDGE_KEY: JUDGE_KEY, NO_PROXY: '127.0.0.1' },
    };
    // Now and then the judge is away, or refuses the key and repeats it.
    judge.willAnswer((response, request) => {
      const turn = judge.asked.length % 24;
      const refusal = status(401, {}, `no such key: ${request.headers.authorization}`);
      (turn === 7 ? refusal : turn === 15 ? status(500) : says('Score: 5'))(response, request);
    });
    const reward = `rewards.1={ name: judge, url: '${judge.url}', model: m, apiKeyEnv: TEST_JUDGE_KEY }`;
    const main = start(forge, ['run', 'recipe.yaml', reward], environment);
    await Promise.race([waitFor('a step', () => /step [1-9]/.test(main.said), 120_000), main.exit]);
    expect(isSilent(processes())).toBe(true);
    await server.restart();
    expect([await main.exit, main.said]).toEqual([0, expect.stringContaining('run finished')]);
    const id = runId()!;
    const said = [main.said];
    for (const args of [
      ['status', id],
      ['ledger', id, '--verify'],
      ['dead-letter', 'list', id],
      ['dead-letter', 'list', id, '--json'],
      ['runs', '--json'],
    ]) {
      const { code, said: words } = await run(environment, ...args);
      expect([args, code, words]).toEqual([args, 0, expect.any(String)]);
      said.push(words);
    }
    expect(said.join()).toContain('no sevens');
    expect(new Set(judge.asked.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${JUDGE_KEY}`]),
    );
    expect(said.join()).toContain('answers 401; it does not take the key in TEST_JUDGE_KEY');
    expect(isSilent(said.join())).toBe(true);
    const looked = filesIn(dir).map((file) => file.replace(/.*\//, ''));
    expect(looked).toEqual(
      expect.arrayContaining([
        'run.json',
        'config.yaml',
        'metrics.jsonl',
        'samples.jsonl',
        'report.html',
        'policy-0.log',
        'trainer-0.log',
        'coordinator-0.log',
      ]),
    );
    expect(readFileSync(join(dir, 'runs', id, 'logs/policy-0.log'), 'utf8')).toContain('lost Redis');
    expect(filesWith(SECRETS, dir)).toEqual([]);
    // All that was ever written to Redis: jobs, streams, telemetry, dead letters.
    expect(filesWith(SECRETS, join(server.dir, 'appendonlydir'))).toEqual([]);
  });

  /** Checks that nothing of a run that goes on tells them: its processes, its status, and the metrics of its services. */
  async function expectSilentServices(environment: NodeJS.ProcessEnv, secrets = SECRETS): Promise<void> {
    const shown = await run(environment, 'status', '--json');
    const [{ live }] = JSON.parse(shown.said) as [{ live: { services: Record<string, { url: string }[]> } }];
    const urls = Object.values(live.services).flatMap((replicas) => replicas.map(({ url }) => url));
    expect(urls.length).toBeGreaterThanOrEqual(5);
    const metrics = await Promise.all(urls.map(async (url) => (await fetch(`${url}/metrics`)).text()));
    expect(metrics.join()).toContain('forge_');
    expect(isSilent([shown.said, processes(), ...metrics].join(), secrets)).toBe(true);
  }

  const forAgents = [
    `model=${join(root, 'models/agent')}`,
    'task={ kind: prompts, prompts: ["12*34=", "56*78=", "90*12="] }',
    'algorithm={ name: grpo, groupSize: 2 }',
    'evaluation.everySteps=0',
  ];

  it('of agents that call the gateway are as silent: the token of the run, and the keys of sessions', async () => {
    const environment = {
      ...{ REDIS_URL: server.url, NODE_EXTRA_CA_CERTS: server.caFile },
      ...{ FORGE_GATEWAY_TOKEN: GATEWAY_TOKEN, NO_PROXY: '127.0.0.1' },
    };
    const own = ['rollout={ sessions: true }', 'rewards=[]', 'steps=100000'];
    const main = start(forge, ['run', 'recipe.yaml', ...forAgents, ...own], environment);
    const told = /agents call (\S+)\/v1; the token that hands out sessions is FORGE_GATEWAY_TOKEN/;
    const gateway = await waitFor('the gateway', () => told.exec(main.said)?.[1] ?? null, 120_000);
    const ask = async (path: string, key: string, body: object) => {
      const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
      const answer = await fetch(gateway + path, { method: 'POST', headers, body: JSON.stringify(body) });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const keys: string[] = [];
    while (!/step \d+\/\d+  reward/.test(main.said)) {
      const { status: taken, body } = await ask('/rl/start_session', GATEWAY_TOKEN, {});
      if (taken === 429) await sleep(200);
      for (const { session_api_key: key } of (body['sessions'] ?? []) as { session_api_key: string }[]) {
        keys.push(key);
        const messages = [{ role: 'user', content: '12*34=' }];
        expect(await ask('/v1/chat/completions', key, { model: 'm', messages })).toMatchObject({
          status: 200,
        });
        // Refused: a body that makes no sense, and a session that is not its own.
        expect(await ask('/v1/chat/completions', key, { model: 7 })).toMatchObject({ status: 400 });
        expect(await ask('/sessions/none/v1/messages', key, { model: 'm' })).toMatchObject({ status: 401 });
        await ask('/rl/set_reward', key, { reward: keys.length % 2 });
        await ask('/rl/end_session', key, {});
      }
    }
    expect(keys.length).toBeGreaterThan(3);
    const secrets = [...SECRETS, ...keys.map((key) => key.slice('sk-forge-'.length))];
    await expectSilentServices(environment, secrets);
    main.child.kill('SIGINT');
    expect(await main.exit).toBe(130);
    const { said } = await run(environment, 'dead-letter', 'list', runId()!, '--json');
    expect(isSilent(main.said + said, secrets)).toBe(true);
    expect(readFileSync(join(dir, 'runs', runId()!, 'logs/gateway-0.log'), 'utf8')).toContain(
      'agents may call',
    );
    expect(filesWith(secrets, dir)).toEqual([]);
    expect(filesWith(secrets, join(server.dir, 'appendonlydir'))).toEqual([]);
  });

  it('of an environment over the wire are as silent, also when it refuses the key', async () => {
    const environment = {
      ...{ REDIS_URL: server.url, NODE_EXTRA_CA_CERTS: server.caFile },
      ...{ TEST_GAMES_KEY: GAMES_KEY, NO_PROXY: '127.0.0.1' },
    };
    let turns = 0;
    const end = () => ({ observation: {}, reward: turns++ % 2, done: true });
    const games = await StandIn.start({
      action: { properties: { message: { type: 'string' } }, required: ['message'], type: 'object' },
      reset: JSON.stringify({ type: 'observation', data: { observation: { hint: 'Play.' }, done: false } }),
      // Any action is the last one.
      steps: new Proxy({}, { get: () => JSON.stringify({ type: 'observation', data: end() }) }),
    });
    const environmentConfig = `{ name: openenv, url: '${games.url}', apiKeyEnv: TEST_GAMES_KEY }`;
    const own = [`rollout={ environment: ${environmentConfig} }`, 'rewards=[]', 'steps=100000'];
    const main = start(forge, ['run', 'recipe.yaml', ...forAgents, ...own], environment);
    await waitFor('a step', () => /step \d+\/\d+  reward/.test(main.said), 120_000);
    await expectSilentServices(environment);
    games.refusals = [401, 401];
    const refused = async () => (await run(environment, 'dead-letter', 'list', runId()!)).said;
    await waitFor('a refusal', async () => (await refused()).includes('CONTRACT_UNAUTHORIZED'), 60_000);
    main.child.kill('SIGINT');
    expect(await main.exit).toBe(130);
    expect(new Set(games.headers.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${GAMES_KEY}`]),
    );
    await games.stop();
    expect(isSilent(main.said + (await refused()))).toBe(true);
    expect(filesWith(SECRETS, dir)).toEqual([]);
    expect(filesWith(SECRETS, join(server.dir, 'appendonlydir'))).toEqual([]);
  });

  it('are not said by commands and services that are refused', async () => {
    const ca = { NODE_EXTRA_CA_CERTS: server.caFile };
    const wrong = server.url.replace('R3disPassw0rd', 'R3disPassw0rd-wrong');
    const refused = [
      await run({ ...ca, REDIS_URL: wrong }, 'run', 'recipe.yaml'),
      await run({ REDIS_URL: server.url, NODE_EXTRA_CA_CERTS: '' }, 'run', 'recipe.yaml'),
    ];
    for (const one of refused)
      expect(one).toMatchObject({
        code: 2,
        said: expect.stringContaining('[CONTRACT_UNAUTHORIZED]') as string,
      });
    const service = start(join(root, 'services/policy/dist/main.js'), [], {
      ...ca,
      REDIS_URL: wrong,
      FORGE_RUN_ID: 'r',
    });
    expect(await service.exit).toBe(1);
    expect(service.said).toContain('policy: CONTRACT_UNAUTHORIZED: Redis at rediss://localhost');
    expect(isSilent([...refused, service].map(({ said }) => said).join())).toBe(true);
    expect(runId()).toBeUndefined();
    expect(filesWith(SECRETS, dir)).toEqual([]);
  });
});

describe('the password of the Redis of a run', () => {
  it('is in one file that only its user can read, and services listen where only this machine reaches them', async () => {
    const main = start(forge, ['run', 'recipe.yaml', 'steps=100000'], { REDIS_URL: '' });
    await waitFor('a step', () => /step [1-9]/.test(main.said), 120_000);
    const id = runId()!;
    const redisDir = join(dir, '.forge/redis', id);
    const passwordFile = join(redisDir, 'password.conf');
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([mode(redisDir), mode(passwordFile)]).toEqual([0o700, 0o600]);
    const [, password = ''] = /^requirepass (\S+)/.exec(readFileSync(passwordFile, 'utf8'))!;
    expect(isSilent(processes(), [password])).toBe(true);

    const status = await run({ REDIS_URL: '' }, 'status', '--json');
    const [{ live }] = JSON.parse(status.said) as [
      { live: { services: Record<string, { url: string; answers: { address: string } | null }[]> } },
    ];
    const replicas = Object.values(live.services).flat();
    expect(replicas.length).toBeGreaterThanOrEqual(6);
    for (const { url, answers } of replicas) {
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      if (answers === null) continue;
      const [, directory = ''] = /^unix:(.*)\/[^/]+$/.exec(answers.address)!;
      expect(mode(directory)).toBe(0o700);
    }
    main.child.kill('SIGINT');
    expect(await main.exit).toBe(130);
    const verified = await run({ REDIS_URL: '' }, 'ledger', id, '--verify');
    expect(verified.code).toBe(0);
    expect(isSilent(main.said + status.said + verified.said, [password])).toBe(true);
    expect(filesWith([password, ...SECRETS], dir)).toEqual([passwordFile]);
  });
});
