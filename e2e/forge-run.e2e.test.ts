import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { loadModel } from '@forge/model';
import { isRunning, startTestRedis, waitFor } from '@forge/testing';

jest.setTimeout(120_000);

const root = join(__dirname, '..');
const forge = join(root, 'services/cli/bin/forge.cjs');

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-run-test-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

interface Started {
  child: ChildProcess;
  said: () => string;
  exit: Promise<number | null>;
}

/** `forge` in a directory of the test's own. */
const start = (...args: string[]): Started => startWith({}, ...args);

function startWith(environment: NodeJS.ProcessEnv, ...args: string[]): Started {
  const env = { ...process.env };
  delete env['REDIS_URL'];
  const child = spawn(process.execPath, [forge, ...args], { cwd: dir, env: { ...env, ...environment } });
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  }
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return { child, said: () => said, exit };
}

const runDir = () => join(dir, 'runs', readdirSync(join(dir, 'runs'))[0]!);

/** The README's algorithm and recipe, with a reward as they want it, over the main job's task. */
function writeReadmeExample(): void {
  const section = readFileSync(join(root, 'README.md'), 'utf8').split(
    '## An algorithm is one short file',
  )[1]!;
  const [, algorithm] = /```ts\n(.*?)```/s.exec(section)!;
  const [, parts] = /```yaml\n(.*?)```/s.exec(section)!;
  writeFileSync(join(dir, 'my-grpo.ts'), algorithm!);
  writeFileSync(
    join(dir, 'my-reward.ts'),
    "export default () => ({ name: 'any', score: (sample: { answer?: string }, text: string) => Number(text.endsWith(sample.answer ?? '-')) });",
  );
  const recipe = [
    'name: mine',
    `model: ${join(root, 'models/arithmetic')}`,
    'steps: 3',
    'task: { kind: arithmetic, heldOut: 20 }',
    'batch: { groups: 4 }',
    'sampling: { maxTokens: 10 }',
    'evaluation: { everySteps: 3, samples: 20 }',
    parts,
  ];
  writeFileSync(join(dir, 'mine.yaml'), recipe.join('\n'));
}

describe('forge run', () => {
  it("trains by the README's algorithm and a reward of the user's", async () => {
    writeReadmeExample();
    const { said, exit } = start('run', 'mine.yaml', '--record');
    expect([await exit, said()]).toEqual([
      0,
      expect.stringMatching(/run finished: all 3 steps are done\n.*\nrecord +runs.*, 0\.\d MiB\n/s),
    ]);
    const files = ['config.yaml', 'metrics.jsonl', 'samples.jsonl', 'summary.json', 'report.html'];
    expect(files.filter((name) => !existsSync(join(runDir(), name)))).toEqual([]);
    const rows = readFileSync(join(runDir(), 'metrics.jsonl'), 'utf8').trim().split('\n');
    expect(rows.map((row) => (JSON.parse(row) as { step: number }).step)).toEqual([1, 2, 3]);
    // The policy is the reference still; their graphs agree but for the rounding of float32.
    expect(JSON.parse(rows[0]!)).toMatchObject({
      'kl/reference': expect.closeTo(0, 7) as number,
      'reward/my-reward': expect.any(Number) as number,
    });
    await loadModel(join(runDir(), 'model'));

    const id = basename(runDir());
    const listed = start('runs', '--json');
    expect(await listed.exit).toBe(0);
    const [{ summary }] = JSON.parse(listed.said()) as [{ summary: { weightsHash: string } }];
    expect(said()).toContain(`weights            ${summary.weightsHash}\n`);
    const replayed = start('replay', id);
    expect([await replayed.exit, replayed.said()]).toEqual([
      0,
      expect.stringContaining(`3 steps replayed, all as recorded\nweights  ${summary.weightsHash}\n`),
    ]);

    const verified = start('ledger', id, '--verify');
    expect([await verified.exit, verified.said()]).toEqual([
      0,
      expect.stringMatching(
        /trained +12\n.*adds up\nverified: 12 groups .* 4 versions, 0 batches under way, 3 steps in metrics.jsonl, 1 checkpoints agree/s,
      ),
    ]);
    const history = start('ledger', id, '--rollout', '11', '--json');
    expect(await history.exit).toBe(0);
    const { sha256 } = { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string };
    expect(JSON.parse(history.said())).toMatchObject({
      rollout: {
        index: 11,
        state: 'trained',
        job: `r-${id}-11`,
        replica: '0',
        generatedBy: [{ version: 2, weightsHash: sha256 }],
        step: 3,
        lag: 0,
        produced: { version: 3, weightsHash: sha256 },
        reason: null,
      },
    });
    writeFileSync(join(runDir(), 'metrics.jsonl'), rows.slice(1).join('\n') + '\n');
    const wrong = start('ledger', id, '--verify');
    expect([await wrong.exit, wrong.said()]).toEqual([
      1,
      expect.stringContaining('WRONG  metrics.jsonl: row 1 is of step 2'),
    ]);

    const kept = [runDir(), join(dir, '.forge/redis', id)];
    const asked = start('runs', 'rm', id);
    expect([await asked.exit, asked.said()]).toEqual([2, expect.stringContaining('without --yes')]);
    expect(kept.filter((path) => !existsSync(path))).toEqual([]);
    const removed = start('runs', 'rm', id, '--yes');
    expect([await removed.exit, removed.said()]).toEqual([0, `removed ${id}\n`]);
    expect(kept.filter((path) => existsSync(path))).toEqual([]);
  });

  it('refuses a mistyped key before any process starts', async () => {
    const { said, exit } = start('run', 'arithmetic-grpo', 'trainer.learningRat=1');
    expect(await exit).toBe(2);
    expect(said()).toContain('trainer.learningRat: unknown key; did you mean trainer.learningRate?');
    expect(existsSync(join(dir, 'runs'))).toBe(false);
  });

  const model = `model=${join(root, 'models/arithmetic')}`;

  it('uses the Redis it is given, if that has room, and leaves nothing there that stays', async () => {
    writeReadmeExample();
    const server = await startTestRedis();
    const redis = await server.connect();
    const command = async (...args: string[]) => {
      const { said, exit } = startWith({ REDIS_URL: server.url }, ...args);
      return { code: await exit, said: said() };
    };
    await redis.config('SET', 'maxmemory', '20mb');
    expect(await command('run', 'mine.yaml', 'steps=2')).toMatchObject({
      code: 2,
      said: expect.stringMatching(/the run may take \d+ MiB of Redis memory.*maxmemory 20 MiB/) as string,
    });
    expect([await redis.dbsize(), existsSync(join(dir, 'runs'))]).toEqual([0, false]);

    await redis.config('SET', 'maxmemory', '0');
    expect(await command('run', 'mine.yaml', 'steps=2')).toMatchObject({ code: 0 });
    const id = basename(runDir());
    // BullMQ's own locks go sooner.
    const keys = (await redis.keys('*')).filter((key) => !/:(lock|stalled-check)$/.test(key));
    expect(keys.length).toBeGreaterThan(10);
    for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(71 * 3_600_000);
    expect(await command('ledger', id, '--verify')).toMatchObject({ code: 0 });
    expect(await command('runs', 'rm', id, '--yes')).toMatchObject({ code: 0 });
    expect([await redis.dbsize(), existsSync(join(dir, 'runs', id))]).toEqual([0, false]);
    await server.stop();
  });

  it('goes on when a reward throws for some samples, and takes them up again when they are replayed', async () => {
    writeReadmeExample();
    const reward = `export default () => ({ name: 'picky', score: ({ answer }) => {
      if (answer.endsWith('7')) throw new RangeError('no sevens');
      return 1;
    } });`;
    writeFileSync(join(dir, 'my-reward.ts'), reward);
    const { child, exit } = start('run', 'mine.yaml', 'steps=100000', 'maxStaleness=1');
    const command = async (...args: string[]) => {
      const { said, exit: ended } = start(...args);
      return { code: await ended, said: said() };
    };
    interface Letter {
      id: string;
      kind: string;
      attempts: number;
      message: string;
    }
    const letters = async () => {
      const { said } = await command('dead-letter', 'list', basename(runDir()), '--json');
      return (JSON.parse(said) as { letters: Letter[] }).letters;
    };
    await waitFor(
      'a run',
      () => existsSync(join(dir, 'runs')) && readdirSync(join(dir, 'runs')).length > 0,
      20_000,
    );
    const failed = await waitFor(
      'dead letters of both kinds',
      async () => {
        const all = await letters();
        return ['rollout', 'evaluation'].every((kind) => all.some((letter) => letter.kind === kind)) && all;
      },
      60_000,
    );
    const rollout = failed.find(({ kind }) => kind === 'rollout')!;
    expect(rollout).toMatchObject({ attempts: 3, message: expect.stringContaining('no sevens') as string });
    const id = basename(runDir());
    expect(await command('dead-letter', 'replay', id, rollout.id)).toMatchObject({ code: 0 });
    expect(await command('dead-letter', 'replay', id, rollout.id)).toMatchObject({
      code: 1,
      said: expect.stringContaining(`there is no dead letter ${rollout.id}`) as string,
    });
    // The sample of the replayed letter fails again, under an index of its own.
    const index = Number(rollout.id.slice('r-'.length));
    await waitFor(
      'the sample of the replayed group',
      async () => {
        for (const { id: other, kind } of await letters()) {
          if (kind !== 'rollout') continue;
          const { said } = await command('ledger', id, '--rollout', other.slice('r-'.length), '--json');
          const { rollout: history } = JSON.parse(said) as {
            rollout: { replayOf: number | null; reason: string };
          };
          if (history.replayOf === index) return history.reason === 'failed';
        }
        return false;
      },
      60_000,
    );
    expect(await command('ledger', id, '--verify')).toMatchObject({ code: 0 });
    expect(await command('runs', 'rm', id, '--yes', '--dir', 'runs')).toMatchObject({
      code: 2,
      said: expect.stringContaining(`still running: ${id}`) as string,
    });
    child.kill('SIGINT');
    expect(await exit).toBe(130);

    const [last] = (await letters()).filter(({ kind }) => kind === 'rollout');
    const shown = await command('dead-letter', 'show', id, last!.id, '--json');
    expect(JSON.parse(shown.said)).toMatchObject({
      code: 'BUG_INVARIANT',
      payload: { kind: 'rollout', sample: { answer: expect.stringMatching(/7$/) as string } },
    });
    expect((await command('dead-letter', 'replay', id, last!.id)).said).toContain('the run is');
    expect(await command('dead-letter', 'discard', id, last!.id)).toEqual({
      code: 0,
      said: `${last!.id} discarded\n`,
    });
    expect((await letters()).map((letter) => letter.id)).not.toContain(last!.id);
    expect(await command('ledger', id, '--verify')).toMatchObject({ code: 0 });
  });

  it('saves the model at the first Ctrl-C and exits with 130', async () => {
    const { child, said, exit } = start('run', 'arithmetic-grpo', model);
    await waitFor('a step', () => /step \d+\/\d+  reward/.test(said()), 60_000);
    child.kill('SIGINT');
    expect(await exit).toBe(130);
    expect(said()).toContain('run interrupted');
    await loadModel(join(runDir(), 'model'));
  });

  it('ends at once at the second Ctrl-C, and leaves no process behind', async () => {
    const { child, said, exit } = start('run', 'arithmetic-grpo', model);
    await waitFor('a step', () => /step \d+\/\d+  reward/.test(said()), 60_000);
    const pids = readdirSync(join(runDir(), 'logs')).map((name) => {
      const [, pid] = /"pid":(\d+)/.exec(readFileSync(join(runDir(), 'logs', name), 'utf8'))!;
      return Number(pid);
    });
    expect(pids).toHaveLength(5);
    child.kill('SIGINT');
    await waitFor('the first to be heard', () => said().includes('Ctrl-C again'));
    child.kill('SIGINT');
    expect(await exit).toBe(130);
    await waitFor('the end of all services', () => !pids.some(isRunning));
    const listed = start('runs', '--json');
    expect(await listed.exit).toBe(0);
    expect(JSON.parse(listed.said())).toMatchObject([
      {
        state: 'interrupted',
        message: 'ended at once by a second Ctrl-C, before the model was saved',
        resume: 'where it was',
      },
    ]);
  });
});
