import { execFile } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { verifyLedger } from '@forge/broker';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { StandInServer } from '../shared/rl-actors/src/servers/stand-in-server.fixture';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
const model = join(__dirname, '..', 'models/arithmetic');
const execute = promisify(execFile);

let redis: TestRedis;
let dir: string;
let server: StandInServer;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
  server = await StandInServer.start(join(dir, 'model'));
});
afterAll(async () => {
  await Promise.all([redis.stop(), server.die()]);
  rmSync(dir, { recursive: true, force: true });
});

const started: ServiceProcesses[] = [];
afterEach(() => {
  for (const run of started.splice(0)) run.kill();
});
let runs = 0;
function startRun(kind: 'sglang' | 'vllm', update: 'drain' | 'pause'): Promise<ServiceProcesses> {
  const engine = { [kind]: { url: server.url, update, canaryTolerance: 1e-3 } };
  return startRunWith({ maxStaleness: update === 'pause' ? 2 : 0, policy: { engine } });
}
async function startRunWith(overrides: Record<string, unknown>): Promise<ServiceProcesses> {
  server.asked.length = 0;
  const recipe = smallRecipe(dir, overrides);
  const run = await ServiceProcesses.start(redis, await redis.connect(), `run-${runs++}`, recipe);
  started.push(run);
  return run;
}

type Row = Record<string, number>;
const rowsOf = (runDir: string): Row[] =>
  readFileSync(join(runDir, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

describe('a run whose policy is in front of a server', () => {
  it.each([
    ['sglang', 'drain'],
    ['sglang', 'pause'],
    ['vllm', 'drain'],
    ['vllm', 'pause'],
  ] as const)('trains to the end with every invariant: %s, %s', async (kind, update) => {
    const run = await startRun(kind, update);
    await run.finished();
    const { runDir, runState } = run;
    expect(verifyLedger(await runState.ledgerSnapshot())).toEqual([]);
    expect(await runState.ledger()).toMatchObject({ buffered: 0, leased: 0, isBalanced: true });
    expect(await runState.deadLetters.list()).toEqual([]);
    expect(Object.values(await run.stop())).toEqual([0, 0, 0, 0, 0, 0]);
    const rows = rowsOf(runDir);
    expect(rows.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const row of rows) {
      expect(row['lag/max']).toBeLessThanOrEqual(update === 'pause' ? 2 : 0);
      expect(row['logprob_mismatch']).toBeLessThanOrEqual(1e-4);
    }
    // Tokens of lag 0 are in the first batch at least.
    expect(rows[0]!['logprob_mismatch']).toBeGreaterThan(0);
  });

  it('goes on with the weights it had where the server dies and starts with old ones', async () => {
    const run = await startRun('sglang', 'drain');
    for (const version of [1, 3]) {
      await run.reached(version);
      await server.die();
      await server.startAgain();
    }
    await run.finished();
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    expect(await run.runState.deadLetters.list()).toEqual([]);
    await run.stop();
    for (const row of rowsOf(run.runDir)) expect(row['logprob_mismatch']).toBeLessThanOrEqual(1e-4);
  });

  it('is distilled from a server that takes no weights, whose tokens are of version 0', async () => {
    const engine = { openai: { url: server.url } };
    const run = await startRunWith({
      ...{ maxStaleness: Infinity, policy: { engine }, evaluation: { everySteps: 0 } },
      algorithm: { name: 'grpo', groupSize: 4, ratioTo: 'old' },
    });
    await run.finished();
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    expect(await run.runState.deadLetters.list()).toEqual([]);
    await run.stop();
    const rows = rowsOf(run.runDir);
    expect(rows.map((row) => row['lag/max'])).toEqual([0, 1, 2, 3, 4, 5]);
    expect(server.askedOf('/update')).toEqual([]);
  });
});

describe('forge eval', () => {
  it('evaluates what a server says, as accurate as our own engine finds the model', async () => {
    const accuracy = async (...overrides: string[]): Promise<number> => {
      const args = ['eval', model, '--task', 'arithmetic-grpo', '--samples', '60', '--json', ...overrides];
      const { stdout } = await execute(process.execPath, [forge, ...args], {
        cwd: dir,
        env: { ...process.env, REDIS_URL: '' },
      });
      return (JSON.parse(stdout) as { accuracy: number }).accuracy;
    };
    const arithmetic = await StandInServer.start(model);
    try {
      const served = await accuracy(`policy.engine.openai.url=${arithmetic.url}`);
      expect(served).toBe(await accuracy());
      expect(served).toBeGreaterThan(0.2);
      expect(arithmetic.askedOf('/v1/completions').length).toBeGreaterThanOrEqual(60);
    } finally {
      await arithmetic.die();
    }
  });
});
