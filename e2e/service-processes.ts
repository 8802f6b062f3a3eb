import { fork, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunState, type Redis } from '@forge/broker';
import { candidatesPerBatch, childEnvironment, recipeSchema, storedRecipe, type Recipe } from '@forge/config';
import { createModel, saveModel } from '@forge/model';
import { waitFor, type TestRedis } from '@forge/testing';
import { bundleOf } from '@forge/threads';

const root = join(__dirname, '..');

export const SERVICES = ['coordinator', 'trainer', 'policy', 'reward', 'reference', 'replay-buffer'] as const;
export type ServiceName = (typeof SERVICES)[number];
/** A service's first replica, or another one of the policy. */
export type ReplicaName = ServiceName | `policy/${number}`;

export const TINY = {
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 2,
};

/** A fresh directory with a small untrained model in it that speaks arithmetic. */
export async function directoryWithModel(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-e2e-'));
  await createModelDirectory(dir, TINY);
  return dir;
}

/** Puts an untrained model of the given shape that speaks arithmetic into `dir`/model. */
export async function createModelDirectory(
  dir: string,
  shape: Record<string, number>,
  seed = 1,
): Promise<void> {
  const file = (name: string) =>
    JSON.parse(readFileSync(join(root, 'models/arithmetic', name), 'utf8')) as object;
  const { hidden_size: width = 0, num_attention_heads: heads = 1 } = shape;
  const files = {
    'config.json': { ...file('config.json'), ...shape, head_dim: width / heads },
    'tokenizer.json': file('tokenizer.json'),
    'tokenizer_config.json': file('tokenizer_config.json'),
  };
  await saveModel(join(dir, 'model'), createModel(files, seed), { dtype: 'F32' });
}

/** A run of six steps that rewards completions of a certain length: an untrained model makes some of each. */
export function smallRecipe(dir: string, overrides: Record<string, unknown> = {}): Recipe {
  return recipeSchema.parse({
    name: 'small',
    seed: 3,
    model: join(dir, 'model'),
    steps: 6,
    task: { kind: 'arithmetic', maxDigits: 2, heldOut: 80 },
    algorithm: { name: 'grpo', groupSize: 4, klCoefficient: 0.01 },
    batch: { groups: 4, oversample: 2 },
    sampling: { temperature: 1, maxTokens: 8 },
    rewards: [{ name: 'length', targetTokens: 3 }, { name: 'exact' }],
    trainer: { learningRate: 0.01, warmupSteps: 0, checkpointEverySteps: 2 },
    evaluation: { everySteps: 3, samples: 80, reward: 'exact' },
    output: { dir: join(dir, 'runs'), sampleRollouts: 1 },
    ...overrides,
  });
}

export interface StartOptions {
  /** Transport of calls between services. */
  calls?: 'unix' | 'redis';
  /** Variables added to the environment of each process. */
  variables?: NodeJS.ProcessEnv;
  /** Whether services start from their bundles. */
  isBundled?: boolean;
}

/** The processes of one run. */
export class ServiceProcesses {
  private readonly children = new Map<ReplicaName, ChildProcess>();

  private constructor(
    readonly runState: RunState,
    readonly runDir: string,
    private readonly environment: NodeJS.ProcessEnv,
    /** Directory of the sockets; their paths must be short. */
    readonly sockets: string,
    private readonly calls: 'unix' | 'redis',
    private readonly mainOf: (service: string, release: string) => string,
  ) {}

  /** Creates the run and starts one process per service, and as many of the policy as the recipe has. */
  static async start(
    redis: Pick<TestRedis, 'url'>,
    connection: Redis,
    runId: string,
    recipe: Recipe,
    { calls = 'unix', variables = {}, isBundled = true }: StartOptions = {},
  ): Promise<ServiceProcesses> {
    const runState = new RunState(connection, runId);
    const { maxStaleness, steps, stopAtAccuracy } = recipe;
    const settings = { maxStaleness, steps, stopAtAccuracy, candidatesPerBatch: candidatesPerBatch(recipe) };
    await runState.create(storedRecipe(recipe), settings);
    const runDir = join(recipe.output.dir, runId);
    mkdirSync(runDir, { recursive: true });
    const ours = childEnvironment({ redisUrl: redis.url, runId, logLevel: 'error' });
    const environment = { ...ours, ...variables };
    const sockets = mkdtempSync(join(tmpdir(), 'forge-e2e-'));
    const mainOf = (service: string, release: string): string => {
      const compiled = join(release, 'services', service, 'dist/main.js');
      return isBundled ? bundleOf(compiled) : compiled;
    };
    const processes = new ServiceProcesses(runState, runDir, environment, sockets, calls, mainOf);
    for (const service of SERVICES) processes.launch(service);
    for (let replica = 1; replica < recipe.policy.replicas; replica++) processes.launch(`policy/${replica}`);
    return processes;
  }

  /** Exit of a service; null while it runs. */
  exitOf(service: ReplicaName): NodeJS.Signals | number | null {
    const { signalCode, exitCode } = this.children.get(service)!;
    return signalCode ?? exitCode;
  }

  /** Starts a service, of this release or of the one at another root. */
  launch(name: ReplicaName, release = root): void {
    const [service = name, replica = '0'] = name.split('/');
    const child = fork(this.mainOf(service, release), {
      cwd: root,
      env: {
        ...this.environment,
        FORGE_REPLICA: replica,
        FORGE_CALL_ADDRESS:
          this.calls === 'redis' ? 'redis' : `unix:${join(this.sockets, `${service}-${replica}`)}`,
      },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.children.set(name, child);
  }

  /** Kills a service without a warning and starts it again. */
  async killAndRestart(service: ReplicaName): Promise<void> {
    await this.killOne(service);
    this.launch(service);
  }

  /** Kills a service without a warning; `launch` starts it again. */
  async killOne(service: ReplicaName): Promise<void> {
    await this.end(service, 'SIGKILL');
  }

  async reached(version: number): Promise<void> {
    await waitFor(`version ${version}`, async () => (await this.runState.version()) >= version, 60_000);
  }

  /** Resolves once the run is over; fails when it failed or a service ended by itself. */
  async finished(): Promise<void> {
    await waitFor(
      'the end of the run',
      async () => {
        for (const [service, { exitCode }] of this.children) {
          if (exitCode !== null) throw new Error(`${service} ended with ${exitCode}`);
        }
        const { phase, message } = await this.runState.phase();
        if (phase === 'failed') throw new Error(`the run failed: ${message}`);
        return phase === 'finished';
      },
      90_000,
    );
  }

  /** Asks every service to drain; the exit codes. */
  async stop(): Promise<Record<string, number | null>> {
    const codes = await Promise.all(
      [...this.children.keys()].map(async (one) => [one, await this.end(one, 'SIGTERM')]),
    );
    this.forget();
    return Object.fromEntries(codes) as Record<string, number | null>;
  }

  /** Ends what a failed test has left. */
  kill(): void {
    for (const child of this.children.values()) child.kill('SIGKILL');
    this.forget();
  }

  private forget(): void {
    this.runState.close();
    rmSync(this.sockets, { recursive: true, force: true });
  }

  end(service: ReplicaName, signal: NodeJS.Signals): Promise<number | null> {
    const child = this.children.get(service)!;
    return new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
      child.once('exit', (code) => resolve(code));
      child.kill(signal);
    });
  }
}
