import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { isRunning, startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { ForgeRun } from './chaos/forge-run';
import { createModelDirectory, smallRecipe, TINY } from './service-processes';

jest.setTimeout(240_000);

const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
const STEPS = 12;
const SERVICES = ['coordinator', 'trainer', 'policy', 'reward', 'reference', 'replay-buffer'] as const;

let dir: string;
let undisturbed: string;
const started: ForgeRun[] = [];
const servers: TestRedis[] = [];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'forge-resume-'));
  await createModelDirectory(dir, TINY);
  const run = await start();
  expect(await run.ended(120_000)).toBe(0);
  undisturbed = hashOf(run);
});
afterEach(async () => {
  for (const run of started.splice(0)) run.kill();
  for (const server of servers.splice(0)) await server.stop();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Starts a run, with a Redis of its own where `redisUrl` is left out. */
async function start(overrides: Record<string, unknown> = {}, redisUrl?: string): Promise<ForgeRun> {
  const recipe = smallRecipe(dir, { maxStaleness: 0, steps: STEPS, ...overrides });
  const run = await ForgeRun.start(dir, recipe, redisUrl === undefined ? {} : { REDIS_URL: redisUrl });
  started.push(run);
  return run;
}

const reached = (run: ForgeRun, version: number) =>
  waitFor(`version ${version}`, async () => (await run.runState.version()) >= version, 60_000);

async function startRedis(): Promise<TestRedis> {
  const server = await startTestRedis();
  servers.push(server);
  return server;
}

/** SIGKILL for everything at once: the command, its services, and Redis. */
const killAll = (run: ForgeRun): Promise<void> => kill(run, [...SERVICES, 'redis']);

async function kill(run: ForgeRun, kinds: readonly ((typeof SERVICES)[number] | 'redis')[]): Promise<void> {
  const pids = (await Promise.all(kinds.map((kind) => run.parts(kind)))).flat().map(({ pid }) => pid);
  expect(pids).toHaveLength(kinds.length);
  run.kill();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await waitFor('the end of all processes', () => !pids.some(isRunning));
}

interface Told {
  code: number | null;
  said: string;
}

/** Another command in the directory of the run. */
const command = (run: ForgeRun, ...args: string[]): Promise<Told> => commandWith('', run, ...args);

async function commandWith(redisUrl: string, run: ForgeRun, ...args: string[]): Promise<Told> {
  const env = { ...process.env, REDIS_URL: redisUrl };
  const child = spawn(process.execPath, [forge, ...args], { cwd: run.workDir, env });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

const resume = (run: ForgeRun, ...args: string[]) => command(run, 'resume', run.runId, ...args);
const hashOf = (run: ForgeRun): string =>
  (JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as { weightsHash: string }).weightsHash;
const stepsOf = (run: ForgeRun): number[] =>
  linesOf<{ step: number }>(run, 'metrics.jsonl').map(({ step }) => step);
const linesOf = <T>(run: ForgeRun, name: string): T[] =>
  readFileSync(join(run.runDir, name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
const checkpointsOf = (run: ForgeRun): string[] => readdirSync(join(run.runDir, 'checkpoints')).sort();
/** Steps of the checkpoints, newest first. */
const stepsOfCheckpoints = (run: ForgeRun): number[] =>
  checkpointsOf(run)
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.slice(1).map(Number) ?? [])
    .sort((a, b) => b - a);
const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

/** Checks that a run ended as the undisturbed one: weights, rows, samples, ledger. */
async function expectUndisturbed(run: ForgeRun, redisUrl = '', hash = undisturbed): Promise<void> {
  expect(hashOf(run)).toBe(hash);
  expect(stepsOf(run)).toEqual(upTo(STEPS));
  const samples = linesOf<{ index: number }>(run, 'samples.jsonl').map(({ index }) => index);
  expect(samples).toEqual(upTo(STEPS).map((step) => (step - 1) * 8));
  const verified = await commandWith(redisUrl, run, 'ledger', run.runId, '--verify');
  expect(verified).toMatchObject({
    code: 0,
    said: expect.stringContaining(`${STEPS} steps in metrics.jsonl`) as string,
  });
}

describe('forge resume', () => {
  it('goes on where a run was that was killed with all its processes, to the same bits', async () => {
    const run = await start();
    await reached(run, 5);
    await killAll(run);
    const listed = await command(run, 'runs');
    expect(listed.said).toMatch(/failed .*forge resume: where it was/);
    const { code, said } = await resume(run);
    expect([code, said]).toEqual([0, expect.stringMatching(/going on with .* where it was, at step \d+/)]);
    await expectUndisturbed(run);
  });

  it('goes on with a value model and several updates a batch, where it was and from a checkpoint, to the same bits', async () => {
    const algorithm = { name: 'ppo', groupSize: 4, klCoefficient: 0.01, updatesPerBatch: 2, minibatches: 2 };
    const overrides = { algorithm, output: { sampleRollouts: 1, record: true } };
    const whole = await start(overrides);
    expect(await whole.ended(120_000)).toBe(0);
    expect(hashOf(whole)).not.toBe(undisturbed);

    for (const from of ['where it was', 'the checkpoint of step']) {
      const run = await start(overrides);
      await reached(run, 7);
      await killAll(run);
      if (from !== 'where it was') rmSync(join(run.workDir, '.forge'), { recursive: true });
      const { code, said } = await resume(run);
      expect([code, said]).toEqual([0, expect.stringContaining(from)]);
      await expectUndisturbed(run, '', hashOf(whole));
      expect(await command(run, 'replay', run.runId)).toMatchObject({
        code: 0,
        said: expect.stringContaining(`${STEPS} steps replayed, all as recorded`) as string,
      });
    }
  });

  it('draws the same samples by a curriculum, whether all its processes were killed or not', async () => {
    const task = { kind: 'arithmetic', maxDigits: 2, heldOut: 80, curriculum: { repeatAfter: 8 } };
    const whole = await start({ task });
    expect(await whole.ended(120_000)).toBe(0);
    expect(hashOf(whole)).not.toBe(undisturbed);
    const run = await start({ task });
    await reached(run, 5);
    await killAll(run);
    expect(await resume(run)).toMatchObject({ code: 0 });
    await expectUndisturbed(run, '', hashOf(whole));
  });

  it('goes on from the newest good checkpoint when the state is gone, to the same bits', async () => {
    const run = await start({ output: { sampleRollouts: 1, record: true } });
    await reached(run, 7);
    await killAll(run);
    rmSync(join(run.workDir, '.forge'), { recursive: true });
    const [newest = 0] = stepsOfCheckpoints(run);
    const weights = join(run.runDir, 'checkpoints', `step-${newest}`, 'model.safetensors');
    const bytes = readFileSync(weights);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(weights, bytes);
    expect((await command(run, 'runs')).said).toMatch(/forge resume: from step \d+/);

    const { code, said } = await resume(run);
    expect([code, said]).toEqual([
      0,
      expect.stringMatching(
        new RegExp(
          `step-${newest} is passed over: .*model.safetensors: found sha256.*state in Redis is gone: going on from the checkpoint of step ${newest - 2}`,
          's',
        ),
      ),
    ]);
    await expectUndisturbed(run);
    expect(await command(run, 'replay', run.runId)).toMatchObject({
      code: 0,
      said: expect.stringContaining(`${STEPS} steps replayed, all as recorded`) as string,
    });
  });

  it('goes on after Ctrl-C without doing anything twice, back to a checkpoint, and to more steps', async () => {
    const run = await start();
    await reached(run, 3);
    expect(await run.stop()).toBe(130);
    const stopped = stepsOf(run).at(-1)!;
    expect(checkpointsOf(run)).toContain(`step-${stopped}`);

    const other = await command(run, 'resume', run.runId, 'seed=2', 'maxStaleness=1');
    expect(other).toMatchObject({
      code: 2,
      said: expect.stringMatching(/seed: can't change.*maxStaleness: can't change/s) as string,
    });
    const { code, said } = await resume(run, 'policy.replicas=2', '--dashboard');
    expect([code, said]).toEqual([0, expect.stringContaining(`at step ${stopped}`)]);
    expect(said).toMatch(/^dashboard: http/m);
    // Lines printed before it was stopped are not printed again.
    const shown = [...said.matchAll(/^step (\d+)\/12 /gm)].map(([, step]) => Number(step));
    expect(shown.filter((step) => step < stopped)).toEqual([]);
    expect(shown.at(-1)).toBe(STEPS);
    await expectUndisturbed(run);

    expect(await resume(run)).toMatchObject({
      code: 2,
      said: expect.stringMatching(/has finished: all 12 steps are done.*steps=24/) as string,
    });
    expect(await resume(run, '--from', '5')).toMatchObject({
      code: 2,
      said: expect.stringMatching(/no checkpoint of step 5; there are those of step 12, 10/) as string,
    });
    expect(await resume(run, '--from', '10')).toMatchObject({
      code: 0,
      said: expect.stringContaining('kept as step-12.abandoned') as string,
    });
    await expectUndisturbed(run);

    expect(await resume(run, 'steps=14')).toMatchObject({ code: 0 });
    expect(stepsOf(run)).toEqual(upTo(14));
    expect(await command(run, 'ledger', run.runId, '--verify')).toMatchObject({ code: 0 });
  });

  it('goes on with a run that trains asynchronously, whose ledger stays right', async () => {
    const run = await start({ maxStaleness: 3 });
    await reached(run, 5);
    await killAll(run);
    expect(await resume(run)).toMatchObject({ code: 0 });
    expect(stepsOf(run)).toEqual(upTo(STEPS));
    expect(await command(run, 'ledger', run.runId, '--verify')).toMatchObject({ code: 0 });
  });

  it('goes on where a run was that was killed, on a Redis that others share', async () => {
    const { url, connect } = await startRedis();
    const neighbour = await connect();
    await neighbour.set('not ours', 'kept');
    const run = await start({}, url);
    await reached(run, 3);
    await kill(run, SERVICES);
    const { code, said } = await commandWith(url, run, 'resume', run.runId);
    expect([code, said]).toEqual([0, expect.stringMatching(/going on with .* where it was, at step \d+/)]);
    expect(said).not.toContain('another address');
    await expectUndisturbed(run, url);
    expect(await neighbour.get('not ours')).toBe('kept');
  });

  it('goes on from a checkpoint where REDIS_URL names another Redis, and refuses one that does not let it in', async () => {
    const [shared, other] = [await startRedis(), await startRedis()];
    const run = await start({}, shared.url);
    await reached(run, 3);
    await kill(run, SERVICES);
    expect(await command(run, 'resume', run.runId)).toMatchObject({
      code: 2,
      said: expect.stringMatching(
        /Redis at redis:.* is not for us: .*set user and password by REDIS_URL=.*CONTRACT_UNAUTHORIZED/,
      ) as string,
    });
    const { code, said } = await commandWith(other.url, run, 'resume', run.runId);
    expect([code, said]).toEqual([
      0,
      expect.stringMatching(
        /REDIS_URL names another address than redis:.*state in Redis is gone: going on from the checkpoint of step \d+/s,
      ),
    ]);
    await expectUndisturbed(run, other.url);
  });

  it('says what can not be resumed, and why', async () => {
    const run = await start({
      steps: 10_000,
      trainer: { learningRate: 0.01, warmupSteps: 0, checkpointEverySteps: 1 },
    });
    await reached(run, 3);
    const refusal = (said: RegExp) => ({ code: 2, said: expect.stringMatching(said) as string });
    expect(await resume(run)).toMatchObject(refusal(/is still running \(process \d+\); stop it first/));
    await killAll(run);
    expect(await command(run, 'resume', 'nonsense')).toMatchObject(
      refusal(/no run nonsense in runs; forge runs/),
    );
    expect(await command(run, 'resume', 'checkpoints', '--dir', join('runs', run.runId))).toMatchObject(
      refusal(/is no run: it has no run.json/),
    );

    // A version that is committed and can't be read, older checkpoints only.
    for (const name of readdirSync(join(run.runDir, 'weights'))) {
      if (name.endsWith('optimizer.safetensors')) writeFileSync(join(run.runDir, 'weights', name), 'half');
    }
    const [newest, oldest] = stepsOfCheckpoints(run);
    rmSync(join(run.runDir, 'checkpoints', `step-${newest}`), { recursive: true });
    expect(await resume(run)).toMatchObject(
      refusal(
        new RegExp(`is committed, but can't be read .*forge resume ${run.runId} --from ${oldest} goes back`),
      ),
    );
    rmSync(join(run.runDir, 'checkpoints', `step-${oldest}`), { recursive: true });
    expect(await resume(run)).toMatchObject(
      refusal(/is committed, but can't be read .*there is no good checkpoint either: start a new run/),
    );
    rmSync(join(run.workDir, '.forge'), { recursive: true });
    expect(await resume(run)).toMatchObject(
      refusal(
        /can't be resumed: its state in Redis is gone, and there is no good checkpoint \(none was written\); start a new run/,
      ),
    );
    expect(existsSync(join(run.runDir, 'resume.lock'))).toBe(false);
    expect(basename(run.runDir)).toBe(run.runId);
  });
});
