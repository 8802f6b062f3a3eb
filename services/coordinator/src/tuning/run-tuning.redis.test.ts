import { recipeSchema } from '@forge/config';
import { RunState } from '@forge/broker';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { RunTuning } from './run-tuning';

let server: TestRedis;
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

const recipe = recipeSchema.parse({
  ...{ name: 'tuned', model: 'none', steps: 1000, maxStaleness: 'auto' },
  task: { kind: 'arithmetic', heldOut: 0 },
  algorithm: { name: 'grpo' },
  batch: { groups: 4 },
  rewards: [{ name: 'exact' }],
});
const logger = { info: () => undefined, warn: () => undefined };

async function newRun(id: string): Promise<RunState> {
  const state = new RunState(await server.connect(), id);
  states.push(state);
  await state.create({}, { maxStaleness: recipe.maxStaleness, candidatesPerBatch: 4, steps: recipe.steps });
  return state;
}

const row = (step: number) => ({
  step,
  'time/elapsed_s': step,
  'time/wait_ms': 400,
  'idle/policy': 0.3,
  'tokens/trained': 1000,
  'lag/mean': 2,
  'ratio/effective_sample_size': 0.99,
});

describe('RunTuning', () => {
  it('begins at a pace of one version, and turns it by what rows show', async () => {
    const state = await newRun('turns');
    const { controls } = state;
    const tuning = (await RunTuning.open({ controls, recipe, logger }))!;
    expect(await controls.tuning()).toMatchObject({ pace: 1, groupsInFlight: null });
    expect(await state.admit(100)).toHaveLength(2 * 4);
    expect(await tuning.take(row(1))).toEqual({ 'tuning/pace': 1, 'tuning/groups_in_flight': 512 });
    let shown = {};
    for (let step = 2; step <= 10; step++) shown = await tuning.take(row(step));
    expect(shown).toEqual({
      'tuning/pace': 2,
      'tuning/groups_in_flight': 512,
      'tuning/objective': 1000 * Math.exp(-2 / 8),
    });
    expect((await controls.tuning()).pace).toBe(2);
    expect(await state.admit(100)).toHaveLength(4);
  });

  it('goes on where a coordinator that was killed left off', async () => {
    const { controls } = await newRun('goes-on');
    const first = (await RunTuning.open({ controls, recipe, logger }))!;
    for (let step = 1; step <= 9; step++) await first.take(row(step));
    const kept = await controls.tuning();
    expect(kept.pace).toBe(2);
    const second = (await RunTuning.open({ controls, recipe, logger }))!;
    expect(await controls.tuning()).toEqual(kept);
    // The trial that the first one began does not pay.
    for (let step = 10; step <= 19; step++) await second.take(row(step));
    expect((await controls.tuning()).pace).toBe(1);
  });

  it('turns nothing of a run that has just ended', async () => {
    const state = await newRun('ended');
    const tuning = (await RunTuning.open({ controls: state.controls, recipe, logger }))!;
    await state.setPhase('finished');
    for (let step = 1; step <= 20; step++) await tuning.take(row(step));
    expect((await state.controls.tuning()).pace).toBe(1);
  });

  it('is not there where nothing is tuned', async () => {
    const { controls } = await newRun('plain');
    const plain = { ...recipe, tuning: { ...recipe.tuning, pace: false } };
    expect(await RunTuning.open({ controls, recipe: plain, logger })).toBeNull();
  });
});
