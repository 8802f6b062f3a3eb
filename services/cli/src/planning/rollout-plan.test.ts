import { availableParallelism } from 'node:os';
import { parameterCount } from '@forge/model';
import { adviceFor, checkFits, totalBytes } from './fit';
import { memoryPlan } from './memory-plan';
import { renderPlan } from './plan-view';
import { midConfig, midModels, recipeWith } from './planning.fixture';
import { rolloutPlan } from './rollout-plan';
import { runPlan, type RunPlan } from './run-plan';
import { timePlan } from './time-plan';

const shape = ['batch.groups=8', 'batch.oversample=2', 'algorithm.groupSize=4', 'sampling.maxTokens=58'];
const speed = { trainer: 100e9, policy: 50e9 };
const tools = 'rollout={ tools: [{ name: calculator }], maxTurns: 4 }';
const agent = ['evaluation.everySteps=0', 'rollout.command=[node]'];

const planned = (...overrides: string[]): RunPlan =>
  runPlan(recipeWith(...shape, ...overrides), midModels, 6, {
    memoryBytes: 2 ** 40,
    diskBytes: 2 ** 50,
    speed,
  });
const rollout = (...overrides: string[]) => rolloutPlan(recipeWith(...shape, ...overrides), midConfig, 6);

describe('rolloutPlan', () => {
  it('is one answer to one prompt without turns', () => {
    const one = { turns: 1, generatedTokens: 58, readTokens: 6, contextTokens: 64 };
    expect([rollout(), rollout('rollout.module=./own.ts')]).toEqual([one, one]);
  });

  it('counts every answer, and reads the context anew for each', () => {
    // Prompts of 6, 64, 122 and 180 tokens.
    const four = { turns: 4, generatedTokens: 4 * 58, readTokens: 372, contextTokens: 238 };
    expect(rollout(tools)).toEqual(four);
    expect(rollout(tools, 'rollout.maxTokens=80')).toEqual({
      ...{ turns: 4, generatedTokens: 80, contextTokens: 86 },
      // Prompts of 6, 26, 46 and 66 tokens.
      readTokens: 144,
    });
  });

  it('ends with the positions of the model, and has no more answers than tokens', () => {
    const { turns, generatedTokens, contextTokens } = rollout(...agent);
    expect([turns, generatedTokens, contextTokens]).toEqual([100, 2042, 2048]);
    const short = { ...midConfig, maxPositions: 16 };
    expect(rolloutPlan(recipeWith(...shape, ...agent), short, 6)).toEqual({
      ...{ turns: 10, generatedTokens: 10, contextTokens: 16 },
      // Prompts of 6 to 15 tokens.
      readTokens: 105,
    });
  });
});

describe('the plan of rollouts of several turns', () => {
  it('counts their tokens in the time of a step', () => {
    const time = timePlan(recipeWith(...shape, tools, 'maxStaleness=0'), midModels, 6, speed);
    expect(time).toMatchObject({ generatedTokens: 64 * 232, trainedTokens: 32 * 238 });
    const operations = parameterCount(midConfig) + 2 * 8 * 512 * 238;
    expect(time.generateSeconds).toBeCloseTo((2 * operations * 64 * (232 + 372)) / (50e9 * 0.65), 9);
    expect(time.trainSeconds).toBeCloseTo((6 * operations * 32 * 238) / (100e9 * 0.6), 9);
  });

  it('counts their contexts in the caches of the policy', () => {
    const caches = (...overrides: string[]) =>
      memoryPlan(recipeWith(...shape, 'policy.maxBatch=32', ...overrides), midModels, 6)[1]!.parts['caches'];
    expect([caches(), caches(tools)]).toEqual([64, 238].map((length) => 3 * 32 * length * 2 * 8 * 512 * 4));
  });

  it('names the processes of agents and of the sandbox beside the services, or that their memory is not known', () => {
    const processes = (...overrides: string[]) => planned(...overrides).processes;
    const cores = availableParallelism();
    expect(processes(tools)).toBeNull();
    expect(processes(...agent)).toEqual({ count: 4 * cores, memoryMb: null });
    const bounded = [...agent, 'rollout.parallel=5', 'rollout.memoryMb=300', 'policy.replicas=2'];
    expect(processes(...bounded)).toEqual({ count: 10, memoryMb: 300 });
    const sandbox = [tools, 'rollout.sandbox=true', 'rollout.parallel=3'];
    expect(processes(...sandbox)).toEqual({ count: 3, memoryMb: 512 });
    expect(processes(...sandbox, 'rollout.environment={ name: guess-number }')).toEqual({
      count: 6,
      memoryMb: 512,
    });
  });

  it('says what is an upper bound, and what is not known', () => {
    const shown = renderPlan(planned(...agent, 'rollout.parallel=5'), null);
    expect(shown).toContain(
      'rollout      100 turns   at most, 2,042 tokens generated, 2,048 in context; what is said to the model in between is more\n',
    );
    expect(shown).toContain(
      'processes            ?   5 at a time, of unknown memory: rollout.memoryMb bounds it; of rollouts, beside the memory above\n',
    );
    const bounded = renderPlan(planned(...agent, 'rollout.parallel=4', 'rollout.memoryMb=256'), null);
    expect(bounded).toContain('processes      1.0 GiB   at most, 4 of 256 MB at a time; of rollouts');
    expect(renderPlan(planned(), null)).not.toMatch(/^(rollout|processes) /m);
  });

  it('refuses only what is too large with one answer, and advises fewer tokens last', () => {
    const [plain, many] = [recipeWith(...shape), recipeWith(...shape, ...agent)];
    const bytes = (recipe: typeof plain) => totalBytes(memoryPlan(recipe, midModels, 6));
    const enough = bytes({ ...many, rollout: { ...many.rollout, maxTurns: 1 } });
    expect(bytes(many)).toBeGreaterThan(enough);
    expect(() => checkFits(many, midModels, 6, enough)).not.toThrow();
    expect(() => checkFits(many, midModels, 6, enough - 1)).toThrow('the run takes about');
    const advice = adviceFor(many, midModels, 6, 2 ** 20).map(({ change }) => change);
    expect(advice.slice(-2)).toEqual(['rollout.maxTokens=127', 'rollout.maxTokens=63']);
    expect(
      adviceFor(plain, midModels, 6, 2 ** 20)
        .map(({ change }) => change)
        .join(),
    ).not.toContain('rollout');
  });
});
