import type { ChatMessage, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { RolloutScope } from './rollout-scope';
import { Slots } from './slots';
import type { Tools } from './tools';

/** Words that the model is told next: a text is a message of the user. */
export type Observation = string | ChatMessage | readonly ChatMessage[];

/** Outcome of an action. */
export interface Step {
  /** Told to the model before its next action; the last one may be left out. */
  observation?: Observation;
  /** Worth of the action; default 0. The rewards of all steps add up to that of the environment. */
  reward?: number;
  /** Whether the environment has come to its end. */
  done?: boolean;
  /** Whether it ends before that: it has seen enough, say. */
  truncated?: boolean;
}

export interface StepScope extends RolloutScope {
  /** Actions before this one. */
  readonly turn: number;
}

/** A world in which the model acts, a turn at a time: one object for each rollout. */
export interface Environment {
  /** The first observation. */
  reset(sample: Sample, scope: RolloutScope): Observation | Promise<Observation>;
  /** Takes what the model answered as its action. */
  step(action: ChatMessage, scope: StepScope): Step | Promise<Step>;
  /** Puts away what the rollout had of it; called once, however the rollout ends. */
  close?(): unknown;
  /** Tools of this environment, there once `reset` is done: an answer that calls one is no action. */
  tools?: Tools;
  /** Worth of the calls of its tools in one answer, and whether they end it: asked for once all have been answered. */
  outcome?(): Outcome | Promise<Outcome>;
}

/** Outcome of calls, whose observation is what the tools have said. */
export type Outcome = Omit<Step, 'observation'>;

export interface EnvironmentOptions {
  /** Name in rewards, metrics and errors; default 'environment'. */
  name?: string;
  /** Set-up, reset, step or close that take longer have failed; default 30 000. */
  timeoutMs?: number;
  /** Rollouts that have one at the same time in one process; left out: any number. */
  maxConcurrent?: number;
  /** Wait of a group for the first place in an environment that is full (CAPACITY_ENVIRONMENT_FULL); default 300 000. */
  fullWaitMs?: number;
}

/** Environments that a rollout can be given. */
export interface EnvironmentSet {
  readonly name: string;
  readonly timeoutMs: number;
  readonly fullWaitMs: number;
  /** Places of its rollouts in this process. */
  readonly slots: Slots;
  /** Places of the calls of its tools, by name. */
  readonly toolSlots: Map<string, Slots>;
  open(scope: RolloutScope): Promise<Environment>;
}

/**
 * An environment for rollouts: a function that makes the one of a rollout, or an object, of which each rollout has a
 * copy of its own to keep its state in (`this`).
 *
 * @throws {ForgeError} CONFIG_INVALID naming the bound that is invalid.
 */
export function defineEnvironment(
  make: (scope: RolloutScope) => Environment | Promise<Environment>,
  options?: EnvironmentOptions,
): EnvironmentSet;
export function defineEnvironment<E extends Environment>(
  environment: E & ThisType<E>,
  options?: EnvironmentOptions,
): EnvironmentSet;
export function defineEnvironment(
  given: Environment | ((scope: RolloutScope) => Environment | Promise<Environment>),
  {
    name = 'environment',
    timeoutMs = 30_000,
    maxConcurrent = Infinity,
    fullWaitMs = 300_000,
  }: EnvironmentOptions = {},
): EnvironmentSet {
  if (!(timeoutMs > 0)) throw invalid(name, `timeoutMs: found ${timeoutMs}, expected > 0`);
  if (!(maxConcurrent >= 1)) throw invalid(name, `maxConcurrent: found ${maxConcurrent}, expected >= 1`);
  if (!(fullWaitMs >= 0)) throw invalid(name, `fullWaitMs: found ${fullWaitMs}, expected >= 0`);
  const open = typeof given === 'function' ? given : () => copyOf(given);
  return {
    name,
    timeoutMs,
    fullWaitMs,
    slots: new Slots(maxConcurrent),
    toolSlots: new Map(),
    open: async (scope) => open(scope),
  };
}

/** An object with the methods of `environment` and fields of its own. */
function copyOf(environment: Environment): Environment {
  const copy = Object.create(Object.getPrototypeOf(environment) as object) as Environment;
  return Object.defineProperties(copy, Object.getOwnPropertyDescriptors(environment));
}

function invalid(name: string, problem: string): ForgeError {
  return new ForgeError('CONFIG_INVALID', `environment ${name}: ${problem}`, { field: 'environment' });
}
