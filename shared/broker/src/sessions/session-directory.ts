import type { KeptCall, Sample } from '@forge/contracts';

/** A session of an agent: one rollout of a group. */
export interface OpenSession {
  /** `<group>-<rollout>`. */
  sessionId: string;
  /** Index of its group, or the name of a rollout of an evaluation. */
  group: string;
  rollout: number;
  /** The policy replica whose `AgentSessions` answers its calls; empty once the group is published or given up. */
  replica: string;
  state: 'waiting' | 'open' | 'ended';
  /** Reward that the agent gave; null: none so far. */
  reward: number | null;
}

/** The rollouts of a group, handed to an agent. */
export interface TakenGroup {
  group: string;
  sample: Sample;
  /** One for each rollout; `key` is the secret of its agent, and is kept as a hash only. */
  sessions: { sessionId: string; key: string }[];
}

export type SessionVerdict = 'kept' | 'over' | 'unknown';

/** The part of the directory that a gateway uses. */
export interface SessionDirectory {
  /** Takes the oldest group that waits, of that sample where one is named; null: none waits. Groups have `groupSize` rollouts. */
  take(groupSize: number, sampleId?: string): Promise<TakenGroup | null>;
  /** The session of a key; ended where its group is over; null: no such key. `keyHash` is that of `hashOfKey`. */
  byKey(keyHash: string): Promise<OpenSession | null>;
  /** null: no such session, or its group is over. */
  byId(sessionId: string): Promise<OpenSession | null>;
  /** Notes the agent's reward, in place of one before. */
  setReward(sessionId: string, reward: number): Promise<SessionVerdict>;
  /** Ends the session, for good; `over`: it had ended. Then tell `AgentSessions.ended` of its replica, which looks itself after a second. */
  end(sessionId: string): Promise<SessionVerdict>;
  /** Calls that were answered, in order. */
  calls(sessionId: string): Promise<KeptCall[]>;
}
