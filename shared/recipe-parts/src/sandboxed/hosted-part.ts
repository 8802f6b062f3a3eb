import type { EnvironmentConfig, ToolsConfig } from '@forge/config';
import type { ChatMessage, Sample, ToolSpec } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import {
  defineTools,
  parsedArguments,
  seededRandom,
  toolText,
  type Environment,
  type EnvironmentSet,
  type Observation,
  type OpenTools,
  type RolloutScope,
  type Step,
  type ToolSet,
} from '@forge/rl';
import { loadEnvironment, loadTools } from '../load-surroundings';

/** Parts of a recipe's rollouts that a process hosts. */
export type PartSource = { tools: readonly ToolsConfig[] } | { environment: EnvironmentConfig };

/** Facts about what a process has loaded; a bound that is left out is none. */
export interface PartFacts {
  isStateless: boolean;
  environment?: { name: string; timeoutMs: number; fullWaitMs: number; maxConcurrent?: number };
}

/** A tool as it is told to the policy. */
export interface ToolFacts {
  spec: ToolSpec;
  timeoutMs?: number;
  maxConcurrent?: number;
}

export interface OpenedPart {
  tools: ToolFacts[];
  hasOutcome: boolean;
}

/** Result of a call, or the message of what the user's code threw. */
export type Told<T> = { value: T } | { thrown: string };

interface HostedRollout {
  scope: RolloutScope;
  ending: AbortController;
  tools: OpenTools['offered'];
  environment?: Environment;
  close: () => unknown;
}

/** Hosts the tools or the environment of one rollout at a time, in a process of its own. */
export class HostedPart {
  private tools: ToolSet | null = null;
  private environment: EnvironmentSet | null = null;
  private rollout: HostedRollout | null = null;

  /** @throws {ForgeError} CONFIG_MODULE_UNLOADABLE */
  async load(source: PartSource): Promise<PartFacts> {
    if ('tools' in source) {
      this.tools = await loadTools(source.tools);
      return { isStateless: this.tools.isStateless === true };
    }
    this.environment = await loadEnvironment(source.environment);
    const { name, timeoutMs, fullWaitMs, slots } = this.environment;
    const maxConcurrent = Number.isFinite(slots.count) ? slots.count : undefined;
    return {
      isStateless: false,
      environment: { name, timeoutMs, fullWaitMs, ...(maxConcurrent !== undefined && { maxConcurrent }) },
    };
  }

  /** Makes the part of a rollout. */
  async open({ sample, seed }: { sample: Sample; seed: number }): Promise<OpenedPart> {
    const ending = new AbortController();
    const scope = { sample, seed, random: seededRandom(seed), signal: ending.signal };
    if (this.tools !== null) {
      const { offered, close } = await this.tools.open(scope);
      this.rollout = { scope, ending, tools: offered, close };
    } else {
      const environment = await this.environment!.open(scope);
      const close = (): unknown => environment.close?.();
      this.rollout = { scope, ending, tools: new Map(), environment, close };
    }
    const hasOutcome = this.rollout.environment?.outcome !== undefined;
    return { tools: factsOf(this.rollout.tools), hasOutcome };
  }

  async reset(signal: AbortSignal): Promise<{ observation: Observation; tools: ToolFacts[] }> {
    const rollout = this.current;
    const { scope } = rollout;
    const observation = await rollout.environment!.reset(scope.sample, { ...scope, signal });
    const { tools } = rollout.environment!;
    // A set of its own checks them as one that a recipe lists.
    if (tools !== undefined) rollout.tools = (await defineTools(tools).open(scope)).offered;
    return { observation, tools: factsOf(rollout.tools) };
  }

  async step({ action, turn }: { action: ChatMessage; turn: number }, signal: AbortSignal): Promise<Step> {
    const { environment, scope } = this.current;
    return finite(await environment!.step(action, { ...scope, turn, signal }));
  }

  async outcome(): Promise<Step> {
    return finite(await this.current.environment!.outcome!());
  }

  /** The answer of a tool to the model. */
  async call(
    { name, given, seed }: { name: string; given: unknown; seed: number },
    signal: AbortSignal,
  ): Promise<string> {
    const { tools, scope } = this.current;
    const { tool } = tools.get(name)!;
    const args = await parsedArguments(tool, given);
    return toolText(await tool.run(args, { ...scope, seed, random: seededRandom(seed), signal }));
  }

  /** Tells the rollout that nobody waits for it any more. */
  abandon(reason: string): void {
    this.rollout?.ending.abort(new ForgeError('CANCELLED', reason));
  }

  async close(): Promise<void> {
    const { rollout } = this;
    this.rollout = null;
    await rollout?.close();
  }

  private get current(): HostedRollout {
    if (this.rollout !== null) return this.rollout;
    throw new ForgeError('BUG_INVARIANT', 'the process hosts no rollout');
  }
}

function factsOf(offered: OpenTools['offered']): ToolFacts[] {
  return [...offered.values()].map(({ spec, tool: { timeoutMs, maxConcurrent } }) => ({
    spec,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(maxConcurrent !== undefined && Number.isFinite(maxConcurrent) && { maxConcurrent }),
  }));
}

/** The step with a reward that is no finite number as its text: JSON has none of these. */
function finite(step: Step): Step {
  const reward: unknown = (step as Step | null | undefined)?.reward;
  const isOdd = reward !== undefined && !Number.isFinite(reward);
  return isOdd ? { ...step, reward: String(reward) as never } : step;
}
