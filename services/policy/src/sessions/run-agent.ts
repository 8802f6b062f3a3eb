import type { Sample } from '@forge/contracts';

/** An agent that a policy starts for one rollout. */
export interface StartedAgent {
  /** Address of the gateway, without `/v1`. */
  baseUrl: string;
  /** Secret of its session. */
  key: string;
  sample: Sample;
  /** Aborted, with the reason, once nobody waits for it any more. */
  signal: AbortSignal;
  /** Goes before the others that wait for a place. */
  isFirst: boolean;
}

/** Outcome of an agent that came to its end; null: it gave no reward. */
export interface AgentOutcome {
  reward: number | null;
  /** The last of what it wrote to stderr, for people. */
  stderr: string;
}

/** Runs an agent to its end. @throws {ForgeError} for a fault of the agent, which is never a reward of 0. */
export type RunAgent = (agent: StartedAgent) => Promise<AgentOutcome>;
