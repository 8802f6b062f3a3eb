import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyLedger } from '@forge/broker';
import { waitFor } from '@forge/testing';
import { transactionsOf } from './chaos/append-only-file';
import { ForgeRun } from './chaos/forge-run';
import { RunAudit } from './chaos/run-audit';
import { directoryWithModel, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
/** Every score takes so long, without computing: a step is long against what starting processes does to it. */
const SCORE_MS = 1500;
const POLL_MS = 5;

let dir: string;
let run: ForgeRun;
let commits: Commits;
beforeAll(async () => {
  dir = await directoryWithModel();
  const reward = join(dir, 'slow-reward.mjs');
  writeFileSync(
    reward,
    `export default () => ({ name: 'slow', score: (_, text) =>
      new Promise((done) => setTimeout(done, ${SCORE_MS}, text.length / 8)) });`,
  );
  const recipe = smallRecipe(dir, {
    steps: 100_000,
    algorithm: { name: 'grpo', groupSize: 4, klCoefficient: 0 },
    rewards: [{ module: reward }],
    evaluation: { everySteps: 0 },
    limits: { stallSeconds: 1 },
    trainer: { learningRate: 1e-4, checkpointEverySteps: 100_000 },
  });
  run = await ForgeRun.start(dir, recipe);
  await waitFor('the pipeline', async () => (await run.runState.version()) >= 2, 60_000);
  commits = new Commits(run);
});
afterAll(async () => {
  await commits.stop();
  run.kill();
  rmSync(dir, { recursive: true, force: true });
});

/** Times at which steps were committed. */
class Commits {
  private readonly atMs: number[] = [];
  private isStopped = false;
  private readonly watching: Promise<void>;

  constructor(run: ForgeRun) {
    this.watching = this.watch(run);
  }

  get count(): number {
    return this.atMs.length;
  }

  /** The longest time between two successive commits, the first of which came at most a step before `fromMs`. */
  longestGap(fromMs: number): number {
    const first = Math.max(0, this.atMs.findIndex((at) => at >= fromMs) - 1);
    return Math.max(...this.atMs.slice(first + 1).map((at, i) => at - this.atMs[first + i]!));
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.watching;
  }

  private async watch({ runState }: ForgeRun): Promise<void> {
    for (let seen = await runState.version(); !this.isStopped;) {
      const version = await runState.version();
      if (version !== seen) this.atMs.push(performance.now());
      seen = version;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}

/** `forge`, in the directory of the run. */
async function command(name: string, ...args: string[]): Promise<{ code: number; said: string }> {
  const child = spawn(process.execPath, [forge, name, run.runId, ...args], {
    cwd: run.workDir,
    env: { ...process.env, REDIS_URL: '' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number];
  return { code, said };
}

async function steps(count: number): Promise<void> {
  const from = commits.count;
  await waitFor(`${count} steps`, () => commits.count >= from + count, 60_000);
}

const policies = async (): Promise<string[]> =>
  (await run.parts('policy')).filter(({ isReady }) => isReady).map(({ replica }) => replica);
const pidOf = async (kind: 'trainer' | 'policy' | 'coordinator' | 'reward'): Promise<number | undefined> =>
  (await run.parts(kind)).find(({ replica }) => replica === '0')?.pid;

describe('a run that is changed while it goes on', () => {
  it('never stops training for longer than a step, and keeps its ledger and its bounds', async () => {
    const quietFrom = performance.now();
    await steps(4);
    const normalMs = commits.longestGap(quietFrom);
    const pauses: Record<string, number> = {};
    const change = async (...args: [string, ...string[]]): Promise<void> => {
      const fromMs = performance.now();
      expect(await command(...args)).toMatchObject({ code: 0 });
      await steps(2);
      pauses[args.join(' ')] = commits.longestGap(fromMs);
    };

    await change('set', 'maxStaleness=4');
    await change('scale', 'policy=3');
    expect(await policies()).toEqual(['0', '1', '2']);
    await change('set', 'maxStaleness=1');
    await change('scale', 'policy=1');
    expect(await policies()).toEqual(['0']);
    for (const service of ['trainer', 'policy', 'reward', 'coordinator'] as const) {
      const before = await pidOf(service);
      await change('restart', service);
      expect(await pidOf(service)).not.toBe(before);
    }
    expect(await policies()).toEqual(['0']);
    // The step itself, and at most as long again.
    expect(Object.entries(pauses).filter(([, ms]) => ms > 2 * normalMs)).toEqual([]);
    console.log(
      `a step ${normalMs.toFixed(0)} ms; longest with a change: ${Object.entries(pauses)
        .map(([what, ms]) => `${what} ${ms.toFixed(0)}`)
        .join(', ')}`,
    );

    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
  });

  it('loses nothing when a replica dies that is to drain', async () => {
    expect(await command('scale', 'policy=2')).toMatchObject({ code: 0 });
    const victim = (await run.parts('policy')).find(({ replica }) => replica === '1')!;
    await run.runState.controls.scale({ policy: 1 });
    process.kill(victim.pid, 'SIGKILL');
    const held = (await run.runState.pendingGroups()).map(({ index }) => index);
    // No replica has its name any more: its jobs come back when their locks have run out.
    await waitFor(
      'what was in flight',
      async () => {
        const pending = (await run.runState.pendingGroups()).map(({ index }) => index);
        return !held.some((index) => pending.includes(index));
      },
      30_000,
    );
    await waitFor('the end of the replica', async () => (await policies()).join() === '0');
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
  });

  it('refuses what can not be, and says why', async () => {
    const refused = (said: string) => ({ code: 2, said: expect.stringContaining(said) as string });
    expect(await command('set', 'seed=2')).toMatchObject(refused('maxStaleness, steps, stopAtAccuracy'));
    expect(await command('scale', 'coordinator=2')).toMatchObject(refused('there is exactly one'));
  });

  it('finishes what is in flight when it is paused, and says what it waits for', async () => {
    expect(await command('pause')).toMatchObject({ code: 0 });
    await waitFor('the end of what is in flight', async () => {
      const { inFlight, leased } = await run.runState.ledger();
      return inFlight === 0 && leased === 0;
    });
    const { admitted } = await run.runState.ledger();
    expect((await command('status')).said).toContain('admission is paused');
    await waitFor(
      'the watchdog',
      async () => (await run.runState.waitingFor()) === 'forge unpause: admission is paused',
    );
    expect((await run.runState.ledger()).admitted).toBe(admitted);
  });

  it('ends where it is set to end, all accounted for, and is then changed no more', async () => {
    const version = await run.runState.version();
    expect(await command('set', `steps=${version + 2}`)).toMatchObject({ code: 0 });
    expect(await command('unpause')).toMatchObject({ code: 0 });
    await commits.stop();
    expect(await run.ended(60_000)).toBe(0);
    expect(await command('ledger', '--verify')).toMatchObject({ code: 0 });
    const record = JSON.parse(readFileSync(join(run.runDir, 'run.json'), 'utf8')) as { steps: number };
    expect(record.steps).toBe(version + 2);
    const over = { code: 2, said: expect.stringContaining('is over (finished)') as string };
    expect(await command('scale', 'policy=2')).toMatchObject(over);

    const audit = new RunAudit(run.runId, 0);
    for (const transaction of transactionsOf(run.historyDir)) audit.take(transaction);
    expect(audit.result()).toMatchObject({ violations: [], epochs: 2 });
    const lines = readFileSync(join(run.runDir, 'controls.jsonl'), 'utf8').trim().split('\n');
    const told = lines.map((line) => JSON.parse(line) as Record<string, string>);
    expect(told.map(({ operation, name, from, to }) => [operation, name, from, to].join(' ').trim())).toEqual(
      [
        'set maxStaleness 0 4',
        'scale policy 1 3',
        'set maxStaleness 4 1',
        'scale policy 3 1',
        ...['trainer', 'policy', 'reward', 'coordinator'].map((service) => `restart ${service}/0`),
        'scale policy 1 2',
        'scale policy 2 1',
        'pause admission  1',
        expect.stringMatching(/^set steps 100000 \d+$/) as string,
        'unpause admission 1',
      ],
    );
  });
});
