import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadRecipe } from '@forge/config';
import type { ShownMessage } from '@forge/contracts';
import { waitFor } from '@forge/testing';
import { fileOfPage } from './agents-elsewhere';
import { ForgeRun } from './chaos/forge-run';

jest.setTimeout(900_000);

const root = join(__dirname, '..');
const SAMPLES = 24;

/** The agent and the recipe of docs/agents.md, as a reader has them, but for what makes it short. */
describe('an agent that a recipe starts', () => {
  let dir: string;
  let run: ForgeRun;

  beforeAll(async () => {
    mkdirSync(join(root, '.forge'), { recursive: true });
    // Programs find the SDK of OpenAI from here.
    dir = mkdtempSync(join(root, '.forge', 'agent-command-'));
    for (const name of ['multiplier.mjs', 'multiplier.yaml'])
      writeFileSync(join(dir, name), fileOfPage(name));
    const absolute = (field: string, path: string): string => `${field}=${join(root, path)}`;
    const recipe = loadRecipe(
      join(dir, 'multiplier.yaml'),
      [
        absolute('model', 'models/agent'),
        absolute('task.path', 'infra/data/products.jsonl'),
        absolute('task.heldOutPath', 'infra/data/products.test.jsonl'),
        `rollout.command.1=${join(dir, 'multiplier.mjs')}`,
        // Processes take nearly all of the time: few of them, none that is too late to be trained, and large steps at once.
        ...['batch.groups=4', 'maxStaleness=0', 'trainer.warmupSteps=0'],
        ...['evaluation.everySteps=3', `evaluation.samples=${SAMPLES}`, 'stopAtAccuracy=0.5'],
      ],
      { searchDirs: [] },
    );
    run = await ForgeRun.start(dir, recipe);
  });
  afterAll(() => {
    run.kill();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Process ids of those that run. */
  const agents = (): number[] =>
    execFileSync('ps', ['-A', '-o', 'pid=', '-o', 'args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(join(dir, 'multiplier.mjs')))
      .map((line) => parseInt(line, 10));

  it('goes with its policy when that is killed, and is started again', async () => {
    await waitFor('agents', () => agents().length > 0, 60_000);
    const [policy] = await run.parts('policy');
    const [gateway] = await run.parts('gateway');
    const before = await waitFor('agents at work', () => (agents().length > 0 ? agents() : null));
    process.kill(policy!.pid, 'SIGKILL');
    process.kill(gateway!.pid, 'SIGKILL');
    await waitFor('their end', () => !before.some((pid) => agents().includes(pid)));
    await waitFor('the first step', async () => (await run.runState.version()) > 0, 120_000);
  });

  it('teaches the model to call its tool, by the rewards that it gives itself', async () => {
    await waitFor('the end of the run', () => run.hasExited, 800_000);
    const summary = JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as Record<
      string,
      number
    >;
    expect(summary['startAccuracy']).toBeLessThan(0.2);
    expect(summary['finalAccuracy']).toBeGreaterThanOrEqual(0.5);
    expect(agents()).toEqual([]);
    expect(run.verifyLedger()).toMatchObject({ isRight: true });
  });

  it('is started by forge eval as well, which finds the same accuracy of the trained model', () => {
    const recipe = join(run.runDir, '../../recipe.yaml');
    const args = ['eval', join(run.runDir, 'model'), '--task', recipe, '--json'];
    const { stdout } = spawnSync(process.execPath, [join(root, 'services/cli/bin/forge.cjs'), ...args], {
      cwd: dir,
      encoding: 'utf8',
      env: { ...process.env, REDIS_URL: '' },
    });
    const { finalAccuracy } = JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as {
      finalAccuracy: number;
    };
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ samples: SAMPLES, reward: 'agent', accuracy: finalAccuracy, failed: [] },
    });
    expect(agents()).toEqual([]);
  });

  it('is shown with its calls, its reward and what it wrote', () => {
    const lines = readFileSync(join(run.runDir, 'samples.jsonl'), 'utf8').trim().split('\n');
    const rollouts = lines.flatMap((line) => {
      const { conversations, rewardsByFunction } = JSON.parse(line) as {
        conversations: ShownMessage[][];
        rewardsByFunction: Record<string, number>[];
      };
      return conversations.map((messages, k) => ({ messages, rewards: rewardsByFunction[k]! }));
    });
    const calling = rollouts.find(({ messages }) => messages.some(({ role }) => role === 'tool'))!;
    expect(calling.messages.map(({ role }) => role)).toEqual([
      ...['user', 'assistant', 'tool', 'assistant', 'agent'],
    ]);
    const said = calling.messages.at(-2)!.text;
    expect(calling.messages.at(-1)!.text).toBe(`said ${said}`);
    expect(Object.keys(calling.rewards)).toEqual(['agent']);
  });
});
