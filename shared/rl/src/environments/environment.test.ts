import type { ChatMessage, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { z } from 'zod';
import { defineEnvironment, type Environment, type Step } from './environment';
import { guessNumber } from './guess-number';
import { environmentRollout } from './interactive-rollout';
import { rollOut } from './rollout.fixture';
import { call } from './scripted-policy.fixture';

/** Counts what the model says up to the sample's answer. */
const counter = () =>
  defineEnvironment({
    count: 0,
    reset({ prompt }: Sample) {
      this.count = 0;
      return `${prompt as string} go`;
    },
    step({ content }: ChatMessage): Step {
      this.count += content.length;
      return this.count >= 3 ? { reward: 1, done: true } : { observation: `${this.count}`, reward: 0.25 };
    },
  });

describe('a rollout in an environment', () => {
  it('lets the model act until it is done; rewards of steps add up, and each is its turn', async () => {
    const { said, episodes } = await rollOut(
      environmentRollout({ environment: counter(), weight: 2 }),
      (messages) => (messages.length < 4 ? 'a' : 'bcd'),
    );
    expect(said).toEqual(['12*34= go', 'a', '1', 'a', '2', 'bcd']);
    const [episode] = episodes;
    expect([episode!.reward, episode!.rewards]).toEqual([3, { exact: 0, environment: 1.5 }]);
    expect(episode!.turns!.map(({ reward }) => reward)).toEqual([0.5, 0.5, 2]);
    expect(episode!.end).toBeUndefined();
  });

  it("adds the recipe's rewards of the last answer to the last turn", async () => {
    const reward = { score: () => Promise.resolve({ reward: 10, rewards: { polite: 5 } }) };
    const { episodes } = await rollOut(environmentRollout({ environment: counter() }), () => 'aa', {
      reward,
    });
    expect([episodes[0]!.reward, episodes[0]!.rewards]).toEqual([11.25, { polite: 5, environment: 1.25 }]);
    expect(episodes[0]!.turns!.map((turn) => turn.reward)).toEqual([0.25, 11]);
  });

  it('gives each rollout of a group an object of its own', async () => {
    const { policy } = await rollOut(
      environmentRollout({ environment: counter() }),
      (_messages, k) => 'a'.repeat(k + 1),
      { groupSize: 3 },
    );
    expect(policy.conversations.map(({ messages }) => messages.length)).toEqual([6, 4, 2]);
  });

  it('takes the last action allowed before it ends, and says of a truncated one that it was cut off', async () => {
    const ended = await rollOut(environmentRollout({ environment: counter(), maxTurns: 2 }), () => 'a');
    expect(ended.episodes[0]!.rewards).toMatchObject({ environment: 0.5 });
    expect(ended.policy.conversations[0]!.end).toBe('turns');
    const impatient = defineEnvironment({
      reset: () => 'go',
      step: () => ({ reward: 0.5, truncated: true }),
    });
    const { episodes } = await rollOut(environmentRollout({ environment: impatient }), () => 'a');
    expect([episodes[0]!.reward, episodes[0]!.end]).toEqual([0.5, 'turns']);
  });

  it('has tools of its own, whose calls are no actions', async () => {
    const safe = defineEnvironment(() => {
      let opened = false;
      return {
        tools: { turn: { description: '', parameters: z.object({}), run: () => ((opened = true), 'click') } },
        reset: () => 'Open the safe.',
        step: () => ({ reward: opened ? 1 : 0, done: true }),
      };
    });
    const { said, episodes } = await rollOut(environmentRollout({ environment: safe }), (messages) =>
      messages.length < 2 ? [call('turn', {})] : 'open',
    );
    expect(said).toEqual(['Open the safe.', '', 'click', 'open']);
    expect(episodes[0]!.turns!.map(({ reward }) => reward)).toEqual([0, 1]);
  });

  it('gives calls of its tools a reward and an end, where it says so', async () => {
    const shop = defineEnvironment(() => {
      let paid = 0;
      return {
        tools: { buy: { description: '', parameters: z.object({}), run: () => ((paid += 1), 'thanks') } },
        reset: () => 'Buy.',
        step: () => ({ observation: 'Buy more.', reward: 0.25 }),
        outcome: () => ({ reward: paid, done: paid === 2 }),
      };
    });
    const { said, episodes } = await rollOut(
      environmentRollout({ environment: shop, weight: 2 }),
      (messages) => (messages.length === 3 ? 'hm' : [call('buy', {})]),
    );
    expect(said).toEqual(['Buy.', '', 'thanks', 'hm', 'Buy more.', '']);
    expect(episodes[0]!.turns!.map(({ reward }) => reward)).toEqual([2, 0.5, 4]);
    expect(episodes[0]!.rewards).toMatchObject({ environment: 3.25 });
  });

  it('tells step which turn it is, and gives the same random numbers to all rollouts of a group', async () => {
    const dice = defineEnvironment({
      reset: (_sample, { random }) => `${random()}`,
      step: (_action, { turn, random }) => ({ observation: `${turn}: ${random()}`, done: turn === 2 }),
    });
    const { policy } = await rollOut(environmentRollout({ environment: dice }), () => 'a', { groupSize: 2 });
    const [one, other] = policy.conversations.map(({ messages }) => messages.map(({ content }) => content));
    expect(one).toEqual(other);
    expect(one!.filter((content) => content.includes(': ')).map((content) => content[0])).toEqual(['0', '1']);
    expect(new Set(one).size).toBe(4);
  });
});

describe('bounds of an environment', () => {
  it('has at most so many rollouts at a time, a group of more one part after the other', async () => {
    let open = 0;
    let most = 0;
    const environment = defineEnvironment(
      () => {
        most = Math.max(most, ++open);
        return { reset: () => 'go', step: () => ({ done: true }), close: () => void (open -= 1) };
      },
      { maxConcurrent: 3 },
    );
    const rollout = environmentRollout({ environment });
    const groups = await Promise.all(
      [5, 2, 2].map((groupSize) => rollOut(rollout, () => 'a', { groupSize })),
    );
    expect(groups.map(({ episodes }) => episodes.length)).toEqual([5, 2, 2]);
    expect([most, open]).toEqual([3, 0]);
  });

  /** One that has `places`, each of which a rollout takes in the order of their asking. */
  const scarce = (places: { free: number }, options = {}) =>
    defineEnvironment(
      () => {
        let isIn = false;
        return {
          reset: () => {
            if (places.free === 0) throw new ForgeError('CAPACITY_ENVIRONMENT_FULL', 'all taken');
            places.free -= 1;
            isIn = true;
            return 'go';
          },
          step: () => ({ reward: 1, done: true }),
          close: () => void (places.free += isIn ? 1 : 0),
        };
      },
      { name: 'inn', ...options },
    );

  it('plays as many rollouts of a group at a time as a full environment has places for', async () => {
    const places = { free: 3 };
    const { episodes, policy, counts } = await rollOut(
      environmentRollout({ environment: scarce(places) }),
      () => 'a',
      {
        groupSize: 7,
      },
    );
    expect(episodes.map(({ reward }) => reward)).toEqual(Array(7).fill(1));
    expect(episodes.map(({ rollout }) => rollout)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect([policy.conversations.length, places.free]).toEqual([7, 3]);
    expect(counts['environment/inn/refusals']).toBe(4 + 1);
    expect(counts['environment/inn/failures']).toBeUndefined();
  });

  it('waits for a place, but for no longer than it may', async () => {
    const places = { free: 0 };
    setTimeout(() => (places.free = 1), 50);
    const patient = environmentRollout({ environment: scarce(places) });
    expect((await rollOut(patient, () => 'a', { groupSize: 2 })).episodes).toHaveLength(2);
    places.free = 0;
    const impatient = environmentRollout({ environment: scarce(places, { fullWaitMs: 0 }) });
    await expect(rollOut(impatient, () => 'a', { groupSize: 2 })).rejects.toMatchObject({
      code: 'CAPACITY_ENVIRONMENT_FULL',
      message: "environment 'inn' for sample 's': all taken",
    });
    const ending = new AbortController();
    const waiting = rollOut(patient, () => 'a', { signal: ending.signal });
    ending.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow();
  });

  it('lets a group of more than its places go on once they have become fewer', async () => {
    const environment = defineEnvironment(
      { reset: () => 'go', step: () => ({ done: true }) },
      { maxConcurrent: 4 },
    );
    const [first, second] = [3, 4].map((groupSize) =>
      rollOut(environmentRollout({ environment }), () => 'a', { groupSize }),
    );
    environment.slots.narrow(2);
    environment.slots.narrow(8);
    const groups = await Promise.all([first!, second!]);
    expect(groups.map(({ episodes }) => episodes.length)).toEqual([3, 4]);
    expect(await environment.slots.during(5, (given) => Promise.resolve(given))).toBe(2);
    environment.slots.narrow(0);
    expect(await environment.slots.during(5, (given) => Promise.resolve(given))).toBe(1);
  });

  it('begins conversations in their order, however long each set-up takes', async () => {
    let made = 0;
    const environment = defineEnvironment(async () => {
      const k = made++;
      for (let i = 0; i < 50 * (4 - k); i++) await Promise.resolve();
      return { reset: () => `${k}`, step: () => ({ done: true }) };
    });
    const { policy } = await rollOut(environmentRollout({ environment }), () => 'a', { groupSize: 4 });
    expect(policy.conversations.map(({ messages }) => messages[0]!.content)).toEqual(['0', '1', '2', '3']);
  });

  it.each([
    [{ timeoutMs: 0 }, 'timeoutMs: found 0'],
    [{ maxConcurrent: 0 }, 'maxConcurrent: found 0'],
    [{ fullWaitMs: -1 }, 'fullWaitMs: found -1'],
  ])('refuses %p', (options, message) => {
    const define = () => defineEnvironment({ reset: () => 'go', step: () => ({ done: true }) }, options);
    expect(define).toThrow(message);
  });
});

describe('a fault of an environment', () => {
  const working: Environment = { reset: () => 'go', step: () => ({ observation: 'on' }) };
  const failing = (parts: object, timeoutMs = 10_000) =>
    environmentRollout({
      environment: defineEnvironment(() => ({ ...working, ...parts }), { name: 'house', timeoutMs }),
    });
  const never = () => new Promise<never>(() => undefined);
  const throwing = (error: Error) => () => Promise.reject(error);

  it.each([
    ['reset throws', { reset: throwing(new Error('no fuel')) }, 'TRANSIENT_ENVIRONMENT_FAILED', 'no fuel'],
    ['step throws', { step: throwing(new Error('no fuel')) }, 'TRANSIENT_ENVIRONMENT_FAILED', 'no fuel'],
    ['step hangs', { step: never }, 'TRANSIENT_ENVIRONMENT_FAILED', 'it took longer than 5 ms'],
    [
      'a ForgeError keeps its code',
      { step: throwing(new ForgeError('CONFIG_DATASET_INVALID', 'no map')) },
      'CONFIG_DATASET_INVALID',
      'no map',
    ],
    [
      'a reward is no number',
      { step: () => ({ reward: NaN }) },
      'NUMERIC_NON_FINITE',
      'step gave reward NaN, expected a finite number',
    ],
    [
      'an outcome has no finite reward',
      {
        tools: { buy: { description: '', parameters: z.object({}), run: () => 'ok' } },
        outcome: () => ({ reward: Infinity }),
      },
      'NUMERIC_NON_FINITE',
      'outcome gave reward Infinity, expected a finite number',
    ],
    [
      'an observation is no message',
      { reset: () => ({ text: 'go' }) },
      'CONTRACT_INVALID_MESSAGE',
      'found the observation {"text":"go"}, expected a text, a message { role, content }, or a list of them',
    ],
    [
      'nothing is told though it goes on',
      { step: () => ({}) },
      'CONTRACT_INVALID_MESSAGE',
      'step gave no observation, expected one, or done',
    ],
    ['a step is nothing', { step: () => undefined }, 'CONTRACT_INVALID_MESSAGE', 'step gave undefined'],
  ])('is an error that names environment and sample: %s', async (_what, parts, code, message) => {
    const rolling = rollOut(failing(parts, 5), () => ('outcome' in parts ? [call('buy', {})] : 'a'));
    await expect(rolling).rejects.toMatchObject({
      code,
      details: { environment: 'house', sampleId: 's' },
    });
    await expect(rolling).rejects.toThrow(`environment 'house' for sample 's': ${message}`);
  });

  it('closes all that were opened, also one whose set-up was given up before it was there', async () => {
    const closed: string[] = [];
    let opened = 0;
    let setUp!: (environment: Environment) => void;
    const late = new Promise<Environment>((resolve) => (setUp = resolve));
    const named = (name: string): Environment => ({ ...working, close: () => void closed.push(name) });
    const environment = defineEnvironment(() => (opened++ === 0 ? named('first') : late), { timeoutMs: 5 });
    const rolling = rollOut(environmentRollout({ environment }), () => 'a', { groupSize: 2 });
    await expect(rolling).rejects.toMatchObject({ code: 'TRANSIENT_ENVIRONMENT_FAILED' });
    expect(closed).toEqual(['first']);
    setUp(named('second'));
    await late.then(() => Promise.resolve());
    expect(closed).toEqual(['first', 'second']);
  });

  it('is counted; one of close changes no result', async () => {
    const done = { step: () => ({ reward: 1, done: true }), close: throwing(new Error('gone')) };
    const { episodes, counts } = await rollOut(failing(done), () => 'a');
    expect([episodes[0]!.reward, counts]).toEqual([
      1,
      { 'environment/house/step_ms': 1, 'environment/house/failures': 1 },
    ]);
  });
});

describe('guessNumber', () => {
  const game: Sample = { id: 'g', prompt: 'From 10 to 41.', answer: '25' };
  const play = async (guesses: string[], partialCredit = 0) => {
    const rollout = environmentRollout({
      environment: guessNumber({ partialCredit }),
      maxTurns: guesses.length,
    });
    const script = (messages: readonly unknown[]) => guesses[(messages.length - 1) / 2]!;
    return rollOut(rollout, script, { sample: game });
  };

  it('says whether the number is higher or lower, and ends with it', async () => {
    const { said, episodes } = await play(['12', 'not 30 but 29', 'well', '25', '1']);
    expect(said).toEqual([
      ...['From 10 to 41.', '12', 'higher', 'not 30 but 29', 'lower', 'well', 'number?', '25'],
    ]);
    expect(episodes[0]!.rewards).toEqual({ exact: 1, 'guess-number': 1 });
    expect((await play(['12', '13'])).episodes[0]!.rewards).toMatchObject({ 'guess-number': 0 });
  });

  it('gives partial credit for the bits that a guess rules out, and 1 in all for the number', async () => {
    const rewards = ({ episodes }: Awaited<ReturnType<typeof play>>) =>
      episodes[0]!.turns!.map(({ reward }) => reward);
    // Answers rule out 26 to 41 and then 10 to 17 of 32 numbers; a guess among these earns nothing.
    const [first, second, again] = rewards(await play(['26', '17', '40'], 0.5));
    expect([first, second, again]).toEqual([expect.closeTo(0.1), expect.closeTo(0.1), 0]);
    const found = rewards(await play(['26', '25'], 0.5));
    expect(found).toEqual([expect.closeTo(0.1), expect.closeTo(0.9 + 1)]);
  });

  it.each([
    [{ answer: 'x' }, 'found x between 10 and 41'],
    [{ answer: '42' }, 'found 42 between 10 and 41'],
    [{ prompt: 'Guess.' }, 'found 25 between undefined and undefined'],
  ])('names the sample that is no game: %p', async (parts, message) => {
    const rollout = environmentRollout({ environment: guessNumber() });
    const rolling = rollOut(rollout, () => '1', { sample: { ...game, ...parts } });
    await expect(rolling).rejects.toMatchObject({ code: 'CONFIG_DATASET_INVALID' });
    await expect(rolling).rejects.toThrow(`environment 'guess-number' for sample 'g': ${message}`);
  });
});
