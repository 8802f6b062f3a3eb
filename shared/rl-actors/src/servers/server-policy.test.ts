import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { Completion } from '@forge/contracts';
import { episode } from '@forge/rl';
import { Trainer } from '../trainer/trainer';
import { Policy } from '../policy/policy';
import { StandInServer } from './stand-in-server.fixture';

const model = join(__dirname, '../../../../models/arithmetic');
const dir = mkdtempSync(join(tmpdir(), 'forge-server-'));
const greedy = { temperature: 0, maxTokens: 10 };
let server: StandInServer;
beforeAll(async () => {
  server = await StandInServer.start(model);
});
beforeEach(async () => {
  await server.die();
  await server.startAgain();
});
afterAll(async () => {
  await server.die();
  rmSync(dir, { recursive: true });
});

const spawn = (worker: object = {}) =>
  thisProc().spawn('policy', Policy, { worker: { model, ...worker }, sampling: { maxTokens: 10 } });
let trainers = 0;
const trainerOf = (config: object = {}) =>
  thisProc().spawn('trainer', Trainer, {
    ...{ model, dir: join(dir, `trainer-${trainers++}`), algorithm: { name: 'reinforce' }, canary: true },
    optimizer: { learningRate: 0.02, warmupSteps: 0 },
    ...config,
  });

/** Same tokens, log-probs to rounding, whatever else. */
function expectAlike(found: Completion, expected: Completion): void {
  expect({ ...found, logprobs: [] }).toEqual({ ...expected, logprobs: [] });
  expect(found.logprobs).toHaveLength(expected.logprobs.length);
  found.logprobs.forEach((logprob, t) =>
    expect(Math.abs(logprob - expected.logprobs[t]!)).toBeLessThan(1e-4),
  );
}

describe.each(['sglang', 'vllm'] as const)('a policy at a server that speaks as %s', (kind) => {
  const engineAt = (options: object = {}) => ({
    [kind]: { url: server.url, canaryTolerance: 1e-3, ...options },
  });

  it.each(['drain', 'pause'])(
    'generates with what the trainer announces, as our own would (%s)',
    async (update) => {
      const [served, own, trainer] = await Promise.all([
        spawn({ engine: engineAt({ update }) }),
        spawn(),
        trainerOf(),
      ]);
      const prompts = ['82-1=', '12+7=', '9+9='];
      const both = (prompt: string) =>
        Promise.all([served.generate.callOne(prompt, greedy), own.generate.callOne(prompt, greedy)]);
      for (const step of [0, 1]) {
        const announced = await trainer.publishWeights.callOne();
        expect(await served.applyWeights.callOne(announced)).toBe(step);
        await own.applyWeights.callOne(announced);
        for (const prompt of prompts) {
          const [[found], [expected]] = await both(prompt);
          expectAlike(found!, expected!);
          expect(found!.weightHashes).toEqual({ [step]: announced.sha256 });
        }
        const [wrong] = await served.generate.callOne('82-1=', greedy);
        const unlearnt = episode(wrong!, { reward: 0, rewards: {} });
        const { logprobMismatch } = await trainer.trainStep.callOne([{ ...unlearnt, advantage: -1 }]);
        expect(logprobMismatch).toBeLessThan(1e-4);
      }
      await Promise.all([served.stop(), own.stop(), trainer.stop()]);
    },
  );

  it('draws the same for the same ids, as often as it is asked, at a server that keeps to its seeds', async () => {
    const policy = await spawn({ engine: engineAt() });
    const drawn = await policy.generate.callOne('12+7=', { temperature: 2 }, ['a', 'b', 'c', 'd']);
    const again = await policy.generate.callOne('12+7=', { temperature: 2 }, ['d', 'c', 'b', 'a']);
    expect([...again].reverse()).toEqual(drawn);
    expect(new Set(drawn.map(({ text }) => text)).size).toBeGreaterThan(1);
    await policy.stop();
  });

  it('cuts at stop strings where our own does', async () => {
    const [served, own] = await Promise.all([spawn({ engine: engineAt() }), spawn()]);
    for (const stop of [['1'], ['11'], ['>1']]) {
      const asked = { ...greedy, stop };
      const [[found], [expected]] = await Promise.all([
        served.generate.callOne('82-1=', asked),
        own.generate.callOne('82-1=', asked),
      ]);
      expectAlike({ ...found!, weightHashes: {} }, { ...expected!, weightHashes: {} });
      expect(found!.stopReason).toBe('stop');
    }
    await Promise.all([served.stop(), own.stop()]);
  });
});
