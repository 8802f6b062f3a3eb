import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

jest.setTimeout(120_000);

const root = join(__dirname, '..');
let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-environment-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

/** Output of `forge` in a directory of the test's own, and its exit code. */
async function forge(environment: NodeJS.ProcessEnv, ...args: string[]) {
  const env = { ...process.env };
  delete env['REDIS_URL'];
  const child = spawn(process.execPath, [join(root, 'services/cli/bin/forge.cjs'), ...args], {
    cwd: dir,
    env: { ...env, ...environment },
  });
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

/** A run of one step, with a reward of Forge, or one in a module of this text. */
function writeRecipe(rewardModule?: string): void {
  if (rewardModule !== undefined) writeFileSync(join(dir, 'reward.ts'), rewardModule);
  const recipe = [
    'name: small',
    `model: ${join(root, 'models/arithmetic')}`,
    'steps: 1',
    'task: { kind: arithmetic, heldOut: 20 }',
    'algorithm: { name: grpo, groupSize: 4 }',
    'batch: { groups: 2 }',
    'sampling: { maxTokens: 10 }',
    'evaluation: { everySteps: 0 }',
    `rewards: [{ ${rewardModule === undefined ? 'name: exact' : 'module: ./reward.ts'}, weight: 1 }]`,
  ];
  writeFileSync(join(dir, 'small.yaml'), recipe.join('\n'));
}

/** Writes the record of a run without a supervisor. */
function writeMadeRun(): void {
  mkdirSync(join(dir, 'runs/made'), { recursive: true });
  const record = {
    ...{ id: 'made', recipe: 'small', seed: 0, steps: 1, startedAt: '2026-01-01T00:00:00.000Z' },
    ...{ pid: null, redisUrl: 'redis://127.0.0.1:1', state: 'running' },
  };
  writeFileSync(join(dir, 'runs/made/run.json'), JSON.stringify(record));
}

describe('forge', () => {
  it('works under a TMPDIR longer than the path of a socket', async () => {
    writeRecipe();
    const deep = join(dir, 'scratch-of-a-batch-system'.repeat(4), 'job-55-0');
    mkdirSync(deep, { recursive: true });
    const { code, said } = await forge({ TMPDIR: deep }, 'run', 'small.yaml');
    expect([code, said]).toEqual([0, expect.stringContaining('run finished: all 1 steps are done')]);
    expect(said).not.toContain('starting it again');
    expect(readdirSync(deep)).toEqual([]);
  });

  it('names a TMPDIR that is not there, before any service starts', async () => {
    writeRecipe();
    const gone = join(dir, 'gone');
    const { code, said } = await forge({ TMPDIR: gone }, 'run', 'small.yaml');
    expect([code, said]).toEqual([
      2,
      expect.stringMatching(`TMPDIR: found ${gone}, .* set TMPDIR to a directory that exists`),
    ]);
    expect(said).not.toMatch(/BUG_|^ +at /m);
  });

  it.each([
    ['run', 'small.yaml'],
    ['create', 'small.yaml'],
    ['status', 'made'],
    ['ledger', 'made'],
    ['set', 'made', 'steps=2'],
  ])(
    '%s refuses a REDIS_URL whose password ends it early, at once, and shows nothing of it',
    async (...args) => {
      writeRecipe();
      writeMadeRun();
      const { code, said } = await forge({ REDIS_URL: 'redis://:Tatzel@Wurm/x#1@127.0.0.1:1' }, ...args);
      expect([code, said]).toEqual([
        2,
        expect.stringMatching(
          /^forge: environment variable REDIS_URL: .*percent-encoded.* \[CONFIG_INVALID\]\n$/,
        ),
      ]);
      expect(said).not.toMatch(/Tatzel|Wurm/);
    },
  );

  it.each(['policy', 'coordinator', 'trainer', 'reward', 'reference', 'replay-buffer'])(
    '%s refuses it as well',
    async (service) => {
      const child = spawn(process.execPath, [join(root, 'services', service, 'dist/main.js')], {
        env: { ...process.env, FORGE_RUN_ID: 'made', REDIS_URL: 'redis://:Tatzel/Wurm@127.0.0.1:1' },
      });
      children.push(child);
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
      expect(await once(child, 'close')).toEqual([2, null]);
      expect(said).toMatch(
        new RegExp(`^${service}: CONFIG_INVALID: environment variable REDIS_URL: .*percent-encoded`),
      );
      expect(said).not.toMatch(/Tatzel|Wurm/);
    },
  );

  it('ends at once with exit code 2 and the words of a service that refuses its recipe', async () => {
    writeRecipe(
      "if (process.env.FORGE_REPLICA) throw new Error('no judge is set up here'); export default { name: 'judge', score: () => 1 };",
    );
    const { code, said } = await forge({}, 'run', 'small.yaml');
    expect([code, said]).toEqual([
      2,
      expect.stringMatching(
        /run failed: reward\/0 ended \(exit 2: CONFIG_MODULE_UNLOADABLE: .*no judge is set up here\); see .*reward-0\.log/,
      ),
    ]);
    expect(said).not.toContain('starting it again');
    const [id] = readdirSync(join(dir, 'runs'));
    const record = JSON.parse(readFileSync(join(dir, 'runs', id!, 'run.json'), 'utf8')) as object;
    expect(record).toMatchObject({ state: 'failed', message: expect.stringContaining('no judge') as string });
  });
});
