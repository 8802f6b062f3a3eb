import { parseConfig } from './issues';
import { fullReward, recipeSchema } from './recipe';
import { hasOwnRollout, hasTurns, needsGateway } from './rollout';

const recipe = (parts: object) =>
  parseConfig(
    recipeSchema,
    {
      ...{ name: 'r', model: 'm', steps: 1, task: { kind: 'arithmetic' }, algorithm: { name: 'grpo' } },
      ...parts,
    },
    'a recipe',
  );
const rewards = [{ name: 'exact' }];

describe('the rollout of a recipe', () => {
  it('names tools and an environment, built in or of the user, with bounds for its turns', () => {
    const { rollout } = recipe({
      rewards,
      rollout: {
        tools: [{ name: 'calculator' }, { module: './search.ts' }],
        environment: { module: './maze.ts' },
      },
    });
    expect(rollout).toEqual({
      tools: [{ name: 'calculator' }, { name: 'module', module: './search.ts', options: {} }],
      environment: { name: 'module', module: './maze.ts', weight: 1, options: {} },
      options: {},
      sandbox: false,
      sessions: false,
      env: {},
      network: 'open',
      maxTurns: 8,
      truncated: 'keep',
    });
    const plain = recipe({ rewards });
    expect([hasOwnRollout(plain), hasTurns(plain)]).toEqual([false, false]);
    const own = recipe({ rewards, rollout: { module: './own.ts' } });
    expect([hasOwnRollout(own), hasTurns(own)]).toEqual([true, false]);
  });

  it('has a sandbox for tools and environments that run here, with bounds of its processes', () => {
    const tools = [{ name: 'calculator' }];
    const bounds = { sandbox: true, env: { KEY: 'x' }, parallel: 3, memoryMb: 128 };
    expect(recipe({ rewards, rollout: { tools, ...bounds } }).rollout).toMatchObject(bounds);
    const server = { name: 'openenv', url: 'http://127.0.0.1:8000' };
    expect(recipe({ rollout: { tools, environment: server, sandbox: true } }).rollout.sandbox).toBe(true);
    for (const none of [{}, { environment: server }, { module: './own.ts' }])
      expect(() => recipe({ rewards, rollout: { ...none, sandbox: true } })).toThrow(
        'rollout.sandbox: found true, expected none without tools or an environment that runs here',
      );
    expect(() => recipe({ rewards, rollout: { tools, sandbox: true, memoryMb: 100 } })).toThrow(
      'rollout.memoryMb: found 100, expected >= 128 with sandbox',
    );
  });

  it('names an OpenEnv server, whose name is that of its rewards', () => {
    const url = 'https://games.example.com/guess';
    const { rollout, evaluation } = recipe({ rollout: { environment: { name: 'openenv', url } } });
    expect(rollout.environment).toEqual({
      ...{ name: 'openenv', url, weight: 1, actionErrors: 'fail', reset: {}, maxMessageMb: 16 },
      ...{ connectTimeoutMs: 10_000, timeoutMs: 60_000, attempts: 4, fullWaitMs: 300_000 },
    });
    expect(evaluation.reward).toBe('openenv');
  });

  it.each([
    [{ url: 'ws://games.example.com' }, /rollout\.environment\.url/],
    [{ url: 'https://me:secret@games.example.com' }, /an address without user, password/],
    [{ action: 'text' }, /rollout\.environment\.action/],
    [{ apiKeyEnv: 'TOKEN' }, /rollout\.environment\.apiKeyEnv/],
    [{ seed: 3 }, /rollout\.environment\.seed/],
  ])('refuses an OpenEnv server with %p', (options, message) => {
    const environment = { name: 'openenv', url: 'http://127.0.0.1:8000', ...options };
    expect(() => recipe({ rollout: { environment } })).toThrow(message);
  });

  it('may do without rewards when its environment gives its own, which decides what is correct', () => {
    const { rewards: none, evaluation } = recipe({ rollout: { environment: { module: './games/maze.ts' } } });
    expect([none, evaluation.reward]).toEqual([[], 'maze']);
    const both = recipe({ rewards, rollout: { environment: { name: 'guess-number' } } });
    expect(both.evaluation.reward).toBe('exact');
    const named = {
      rollout: { environment: { name: 'guess-number' } },
      evaluation: { reward: 'guess-number' },
    };
    expect(recipe({ rewards, ...named }).evaluation.reward).toBe('guess-number');
    const weighed = { environment: { name: 'guess-number', weight: 3 } };
    expect(fullReward(recipe({ rewards, rollout: weighed }))).toBe(4);
  });

  it('is left to agents, started by a command or from elsewhere, which may give rewards of their own', () => {
    const command = recipe({ rollout: { command: ['node', 'agent.mjs'], env: { DEPTH: '2' } } });
    expect([hasOwnRollout(command), hasTurns(command), needsGateway(command)]).toEqual([true, false, true]);
    expect(command.rollout).toMatchObject({ command: ['node', 'agent.mjs'], env: { DEPTH: '2' } });
    expect([command.rewards, command.evaluation.reward, fullReward(command)]).toEqual([[], 'agent', 1]);
    const elsewhere = recipe({ rewards, rollout: { sessions: true }, evaluation: { everySteps: 0 } });
    expect([hasOwnRollout(elsewhere), needsGateway(elsewhere)]).toEqual([true, true]);
    expect(elsewhere.evaluation.reward).toBe('exact');
    expect(needsGateway(recipe({ rewards }))).toBe(false);
    expect([command.rollout.maxTurns, recipe({ rewards }).rollout.maxTurns]).toEqual([100, 8]);
  });

  it('has a gateway where agents make it, and none elsewhere', () => {
    const elsewhere = { rewards, rollout: { sessions: true }, evaluation: { everySteps: 0 } };
    const replicas = (parts: object): number => recipe(parts).gateway.replicas;
    expect([replicas(elsewhere), replicas({ ...elsewhere, gateway: { replicas: 3 } })]).toEqual([1, 3]);
    expect([replicas({ rewards }), replicas({ rewards, gateway: { replicas: 3 } })]).toEqual([0, 0]);
    expect(() => recipe({ ...elsewhere, gateway: { replicas: 0 } })).toThrow(
      'gateway.replicas: found 0, expected at least 1: agents call the policy through it',
    );
  });

  it.each<[object, string]>([
    [
      { rewards, rollout: { sessions: true, tools: [{ name: 'calculator' }] } },
      'rollout.tools: found [{"name":"calculator"}], expected none beside sessions, which rolls out itself',
    ],
    [
      { rewards, rollout: { command: ['a'], module: './own.ts' } },
      'expected none beside module: one of them',
    ],
    [{ rewards, rollout: { command: ['a'], sessions: true } }, 'rollout.sessions: found true, expected none'],
    [{ rewards, rollout: { command: ['a'], system: 'Be brief.' } }, 'rollout.system: found "Be brief."'],
    [{ rewards, rollout: { env: { A: '1' } } }, 'expected none without command or sandbox'],
    [{ rewards, rollout: { network: 'closed' } }, 'rollout.network: found "closed", expected none without'],
    [
      { rewards, rollout: { parallel: 2 } },
      'rollout.parallel: found 2, expected none without command or sandbox',
    ],
    [
      { rewards, rollout: { memoryMb: 100 } },
      'rollout.memoryMb: found 100, expected none without command or sandbox',
    ],
    [{ rewards, rollout: { command: ['a'], memoryMb: 1 } }, 'rollout.memoryMb: found 1'],
    [{ rewards, rollout: { command: [] } }, 'rollout.command: found []'],
    [
      { rewards, rollout: { sessions: true } },
      'evaluation.everySteps: missing, expected 0 with rollout.sessions',
    ],
    [
      { rewards: [{ module: './agent.js' }], rollout: { command: ['a'] } },
      'expected a name other than agent, which is taken',
    ],
    [
      { rewards, rollout: { module: './own.ts', tools: [{ name: 'calculator' }] } },
      'rollout.tools: found [{"name":"calculator"}], expected none beside module',
    ],
    [
      { rewards, rollout: { module: './own.ts', environment: { name: 'guess-number' } } },
      'expected none beside module, which rolls out itself',
    ],
    [{ rewards, rollout: { tools: [{ name: 'calculater' }] } }, 'rollout.tools.0.name'],
    [{ rewards, rollout: { tools: [{ name: 'calculator' }], maxTurns: 0 } }, 'rollout.maxTurns: found 0'],
    [{}, 'rewards: missing, expected at least one, or an environment that gives its own'],
    [
      { rewards: [{ module: './maze.js' }], rollout: { environment: { module: './maze.ts' } } },
      'rollout.environment: found {"module":"./maze.ts"}, expected a name other than maze, which is taken',
    ],
  ])('refuses %j', (parts, message) => {
    expect(() => recipe(parts)).toThrow(message);
  });
});
