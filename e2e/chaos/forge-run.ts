import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis, Registry, RunState, withPasswordFrom, type Redis } from '@forge/broker';
import type { Replica } from '@forge/contracts';
import { recipeToYaml, type Recipe } from '@forge/config';
import { waitFor } from '@forge/testing';
import { bundleOf } from '@forge/threads';
import { keepHistory } from './append-only-file';
import type { Kind } from './chaos-plan';

const root = join(__dirname, '..', '..');
const forge = join(root, 'services/cli/bin/forge.cjs');
const STARTS_WITHIN_MS = 60_000;
const STOPS_WITHIN_MS = 60_000;

/** A process that takes part in a run, as it is known from outside. */
export interface Part<K = Kind> {
  kind: K;
  /** Empty for Redis. */
  replica: string;
  pid: number;
  isReady: boolean;
}

interface Parts {
  child: ChildProcess;
  workDir: string;
  recipe: Recipe;
  runId: string;
  redisUrl: string;
  redis: Redis;
}

/** `forge run` as a user starts it, in its own directory, with its own Redis unless its environment names one. */
export class ForgeRun {
  readonly runState: RunState;
  private readonly registry: Registry;
  private readonly exited: Promise<number | null>;
  private readonly standIns: ChildProcess[] = [];
  private readonly stopKeeping: () => void;

  private constructor(private readonly is: Parts) {
    this.stopKeeping = keepHistory(join(this.workDir, '.forge', 'redis', this.runId), this.historyDir);
    this.runState = new RunState(is.redis, is.runId);
    this.registry = new Registry(is.redis, is.runId);
    this.exited = once(is.child, 'close').then(([code]) => code as number | null);
  }

  /** Starts a run; resolves when its state can be read. What it says goes to `said.log` in its directory. */
  static async start(
    parent: string,
    recipe: Recipe,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ForgeRun> {
    const workDir = mkdtempSync(join(parent, `${recipe.name}-`));
    const output = { ...recipe.output, dir: 'runs' };
    writeFileSync(join(workDir, 'recipe.yaml'), recipeToYaml({ ...recipe, output }));
    const child = spawn(process.execPath, [forge, 'run', 'recipe.yaml'], {
      cwd: workDir,
      env: { ...process.env, REDIS_URL: '', LOG_LEVEL: 'info', ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    keepWords(child, join(workDir, 'said.log'));
    try {
      const { id, redisUrl } = await waitFor(
        'the run',
        () => recordOf(workDir, environment.REDIS_URL),
        STARTS_WITHIN_MS,
      );
      const redis = await connectRedis(redisUrl, { name: 'chaos', giveUpAfterMs: STARTS_WITHIN_MS });
      return new ForgeRun({ child, workDir, recipe, runId: id, redisUrl, redis });
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  /** Process id of `forge run`. */
  get pid(): number {
    return this.is.child.pid!;
  }

  get runId(): string {
    return this.is.runId;
  }

  get redisUrl(): string {
    return this.is.redisUrl;
  }

  get workDir(): string {
    return this.is.workDir;
  }

  get runDir(): string {
    return join(this.workDir, 'runs', this.runId);
  }

  /** Everything its Redis has done, as `transactionsOf` reads it. */
  get historyDir(): string {
    return join(this.workDir, 'history');
  }

  get hasExited(): boolean {
    return this.is.child.exitCode !== null || this.is.child.signalCode !== null;
  }

  /** The processes of a kind. A server that is away is waited for. */
  async parts<K extends Kind>(kind: K): Promise<Part<K>[]> {
    if (kind === 'redis') {
      const pid = Number(/^process_id:(\d+)/m.exec(await this.is.redis.info('server'))?.[1]);
      return [{ kind, replica: '', pid, isReady: true }];
    }
    return (await this.registry.all(kind)).map(({ replica, pid, isReady, isAlive }) => ({
      kind,
      replica,
      pid,
      isReady: isReady && isAlive,
    }));
  }

  /** Live replicas of a service. */
  replicas(service: string): Promise<Replica[]> {
    return this.registry.list(service);
  }

  /** Addresses of its gateways, without `/v1`. */
  async gateways(): Promise<string[]> {
    const replicas = await this.registry.list('gateway');
    const served = await Promise.all(
      replicas.map(({ replica }) => this.registry.servedAt('gateway', replica)),
    );
    return served.filter((address) => address !== null);
  }

  /** Whether every replica of the recipe is ready. */
  async isUp(): Promise<boolean> {
    const { gateway, policy, reward, reference } = this.is.recipe;
    const wanted: [Kind, number][] = [
      ['gateway', gateway.replicas],
      ['coordinator', 1],
      ['trainer', 1],
      ['replay-buffer', 1],
      ['policy', policy.replicas],
      ['reward', reward.replicas],
      ['reference', reference.replicas],
    ];
    for (const [kind, count] of wanted) {
      if ((await this.parts(kind)).filter(({ isReady }) => isReady).length < count) return false;
    }
    return true;
  }

  /** Redis goes on answering for so long without writing down what it does. */
  async stopWriting(forMs: number): Promise<void> {
    await this.is.redis.config('SET', 'appendonly', 'no');
    await sleep(forMs);
  }

  /**
   * Starts a second process in the place of one that is taken for dead, as a user does who runs the services one by
   * one; no supervisor restarts it.
   */
  standIn({ kind, replica }: Part): void {
    const { redisUrl, runId, workDir } = this.is;
    const child = spawn(process.execPath, [bundleOf(join(root, 'services', kind, 'dist/main.js'))], {
      cwd: workDir,
      env: {
        ...process.env,
        REDIS_URL: redisUrl,
        FORGE_RUN_ID: runId,
        FORGE_REPLICA: replica,
        LOG_LEVEL: 'info',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    keepWords(child, join(workDir, `stand-in-${kind}.log`));
    this.standIns.push(child);
  }

  /** Ends the processes that were started in the place of others. */
  endStandIns(): void {
    for (const child of this.standIns.splice(0)) child.kill('SIGKILL');
  }

  /** Asks the run to save and stop; its exit code, or null when it had to be killed. */
  stop(): Promise<number | null> {
    this.is.child.kill('SIGINT');
    return this.ended(STOPS_WITHIN_MS);
  }

  /** The exit code once the run has ended by itself; null when it had to be killed. */
  async ended(withinMs: number): Promise<number | null> {
    const timer = setTimeout(() => this.is.child.kill('SIGKILL'), withinMs);
    const code = await this.exited;
    clearTimeout(timer);
    this.kill();
    return code;
  }

  /** `forge ledger --verify`: whether the ledger is what the groups are, and what it says. */
  verifyLedger(): { isRight: boolean; said: string } {
    const args = [forge, 'ledger', this.runId, '--verify'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: this.workDir,
      encoding: 'utf8',
    });
    return { isRight: status === 0, said: (stdout + stderr).trim() };
  }

  /** Ends what is left; services and Redis end with the process that started them. */
  kill(): void {
    this.is.child.kill('SIGKILL');
    this.endStandIns();
    this.stopKeeping();
    this.runState.close();
    this.is.redis.disconnect();
  }

  removeFiles(): void {
    rmSync(this.workDir, { recursive: true, force: true });
  }
}

function keepWords({ stdout, stderr }: ChildProcess, file: string): void {
  for (const stream of [stdout, stderr]) stream?.on('data', (bytes: Buffer) => appendFileSync(file, bytes));
}

/** `given` is the address of a Redis that is not its own. */
function recordOf(workDir: string, given: string | undefined): { id: string; redisUrl: string } | null {
  const runs = join(workDir, 'runs');
  const [id] = existsSync(runs) ? readdirSync(runs) : [];
  if (id === undefined || !existsSync(join(runs, id, 'run.json'))) return null;
  const { redisUrl, redisPasswordFile } = JSON.parse(
    readFileSync(join(runs, id, 'run.json'), 'utf8'),
  ) as Record<'redisUrl' | 'redisPasswordFile', string>;
  return { id, redisUrl: given ?? withPasswordFrom(redisUrl, redisPasswordFile) };
}
