import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { says, status, TestJudge } from '../shared/recipe-parts/src/judge/judge.fixture';
import { hasTlsRedis, startGuardedRedis, waitFor, type GuardedRedis } from '@forge/testing';

jest.setTimeout(240_000);

const root = join(__dirname, '..');
const forge = join(root, 'services/cli/bin/forge.cjs');
const CLUSTER_TOKEN = 'Clust3rTok3n-of-ours';
const PASSWORD = 'R3disPassw0rd@/of:ours';
/** Texts to look for: any part of a secret would do. */
const JUDGE_KEY = 'Judg3K3y-of-ours';
const SECRETS = ['Clust3rTok3n', 'R3disPassw0rd', 'Judg3K3y'];

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
