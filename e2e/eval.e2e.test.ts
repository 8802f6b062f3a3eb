import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@forge/testing';

jest.setTimeout(240_000);

const root = join(__dirname, '..');
const forge = join(root, 'services/cli/bin/forge.cjs');
const SAMPLES = 70;

let dir: string;
let child: ChildProcess | undefined;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), 'forge-eval-'))));
afterEach(() => child?.kill('SIGKILL'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** `forge` in a directory of the test's own. */
function start(...args: string[]): { child: ChildProcess; ended: Promise<[number | null, string, string]> } {
  const started = spawn(process.execPath, [forge, ...args], {
    cwd: dir,
    env: { ...process.env, REDIS_URL: '' },
  });
  child = started;
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    started[name].on('data', (bytes: Buffer) => (said[name] += String(bytes)));
  const ended = once(started, 'close').then(
    ([status]) => [status as number | null, said.stdout, said.stderr] as [number | null, string, string],
  );
  return { child: started, ended };
}

const OVERRIDES = [
  ...['guesses.jsonl', 'guesses.test.jsonl'].map(
    (file, i) => `task.${['path', 'heldOutPath'][i]!}=${join(root, 'infra/data', file)}`,
  ),
  'batch.groups=2',
];

describe('forge eval of a recipe whose rollouts are its own', () => {
  it('finds the accuracy that a run has found for the same weights', async () => {
    const model = `model=${join(root, 'models/agent')}`;
    const evaluation = ['evaluation.everySteps=1', `evaluation.samples=${SAMPLES}`];
    const [ran, said] = await start('run', 'guess-grpo', ...OVERRIDES, model, 'steps=1', ...evaluation).ended;
    expect([ran, said]).toEqual([0, expect.stringContaining('run finished')]);
    const runDir = join(dir, 'runs', readdirSync(join(dir, 'runs'))[0]!);
    const { finalAccuracy } = JSON.parse(readFileSync(join(runDir, 'summary.json'), 'utf8')) as {
      finalAccuracy: number;
    };
    const asked = ['--task', 'guess-grpo', '--samples', `${SAMPLES}`, '--json'];
    const [status, shown] = await start('eval', join(runDir, 'model'), ...asked, ...OVERRIDES).ended;
    expect(status).toBe(0);
    // An answer without the game would be right in a tenth at most.
    expect(finalAccuracy).toBeGreaterThan(0.2);
    expect(JSON.parse(shown)).toMatchObject({ samples: SAMPLES, accuracy: finalAccuracy, failed: [] });
    expect(readdirSync(join(dir, '.forge/eval'))).toEqual([]);
  });

  it('names the samples whose environment fails, and leaves them out', async () => {
    writeFileSync(
      join(dir, 'shop.ts'),
      `import { defineEnvironment } from '@forge/rl';
      export default () =>
        defineEnvironment({
          reset({ id }) {
            if (id.endsWith(':2')) throw new Error('the shop is shut');
            return 'Buy.';
          },
          step: () => ({ reward: 1, done: true }),
        });`,
    );
    const shop = 'rollout={"environment": {"name": "module", "module": "./shop.ts"}}';
    const asked = ['--task', 'guess-grpo', '--samples', '4', '--json', ...OVERRIDES, shop];
    const [status, shown, said] = await start('eval', join(root, 'models/agent'), ...asked).ended;
    expect(status).toBe(0);
    expect(JSON.parse(shown)).toMatchObject({
      reward: 'shop',
      accuracy: 1,
      failed: [
        {
          id: expect.stringMatching(/guesses\.test\.jsonl:2$/) as string,
          code: 'TRANSIENT_ENVIRONMENT_FAILED',
          isUnjudged: true,
        },
      ],
    });
    expect(said).toContain('the shop is shut');
  });

  it('leaves nothing behind at Ctrl-C', async () => {
    const { child: asked, ended } = start(
      ...['eval', join(root, 'models/agent'), '--task', 'guess-grpo', '--samples', '200', ...OVERRIDES],
    );
    const logs = (): string[] =>
      existsSync(join(dir, '.forge/eval'))
        ? readdirSync(join(dir, '.forge/eval'), { recursive: true }).map(String)
        : [];
    await waitFor('the policy', () => logs().some((file) => file.endsWith('policy-0.log')), 60_000);
    asked.kill('SIGINT');
    const [status, shown, said] = await ended;
    expect([status, shown]).toEqual([130, '']);
    expect(said).toContain('the evaluation was ended');
    expect(logs()).toEqual([]);
  });

  it('is refused where agents elsewhere make the rollouts', async () => {
    const sessions = ['rollout={"sessions": true}', 'evaluation.everySteps=0'];
    const asked = ['eval', join(root, 'models/agent'), '--task', 'guess-grpo', ...OVERRIDES, ...sessions];
    const [status, , said] = await start(...asked).ended;
    expect([status, said]).toEqual([2, expect.stringContaining('agents elsewhere take no held-out samples')]);
  });
});
