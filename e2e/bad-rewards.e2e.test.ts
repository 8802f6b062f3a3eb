import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyLedger } from '@forge/broker';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { directoryWithModel, ServiceProcesses, smallRecipe } from './service-processes';

jest.setTimeout(240_000);

/** One prompt in twelve each throws, gives no number, and never answers. */
const REWARD = `export default () => ({ name: 'bad', score: ({ prompt }, text) => {
  if (prompt === '1+1=') throw new RangeError('no ones');
  if (prompt === '2+2=') return NaN;
  if (prompt === '3+3=') return new Promise(() => {});
  return Math.min(text.length, 3) / 3;
} });`;

let redis: TestRedis;
let run: ServiceProcesses | null = null;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterEach(() => run?.kill());
afterAll(() => redis.stop());

async function start(reward: string, overrides: Record<string, unknown>): Promise<ServiceProcesses> {
  const dir = await directoryWithModel();
  const module = join(dir, 'bad.js');
  writeFileSync(module, reward);
  const prompts = Array.from({ length: 12 }, (_, i) => `${i % 10}+${i % 10}=`);
  const recipe = smallRecipe(dir, {
    task: { kind: 'prompts', prompts },
    rewards: [{ module }],
    reward: { timeoutMs: 500 },
    evaluation: { everySteps: 0 },
    algorithm: { name: 'grpo', groupSize: 2, klCoefficient: 0.01 },
    ...overrides,
  });
  run = await ServiceProcesses.start(redis, await redis.connect(), `bad-${Date.now()}`, recipe);
  return run;
}

describe('a reward', () => {
  it('that throws, gives no number or never answers costs its groups and not the run', async () => {
    const { runState } = await start(REWARD, { steps: 10_000, maxStaleness: 1 });
    const expected = [/no ones/, /'bad' returned NaN/, /took longer than reward\.timeoutMs, 500 ms/];
    await waitFor(
      'all kinds of dead letters',
      async () => {
        const messages = (await runState.deadLetters.list()).map(({ message }) => message);
        return expected.every((pattern) => messages.some((message) => pattern.test(message)));
      },
      90_000,
    );
    await run!.reached((await runState.version()) + 2);
    expect((await runState.phase()).phase).toBe('running');
    expect(verifyLedger(await runState.ledgerSnapshot())).toEqual([]);
  });

  it('that never returns is ended with its process', async () => {
    const blocks = `export default () => ({ name: 'bad', score: () => { for (;;); } });`;
    await start(blocks, { limits: { callTimeoutMs: 1_500 } });
    await waitFor('its end', () => run!.exitOf('reward') === 'SIGKILL', 90_000);
  });
});
