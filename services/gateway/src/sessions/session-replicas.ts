import { connectService, type ReplicaDirectory, type Service } from '@forge/actors';
import type { SessionAnswer, SessionCall } from '@forge/contracts';
import { AgentSessions } from '@forge/rl-actors';
import type { CalledService } from '@forge/service-kit';

/** The policy replicas that have sessions, by name: a call goes to the one that has its session, and to no other. */
export interface SessionReplicas {
  /** Whether a replica of that name is there. */
  isThere(replica: string): Promise<boolean>;
  /** @throws {ForgeError} as `AgentSessions.answer`; TRANSIENT_REPLICA_LOST; TRANSIENT_TIMEOUT. */
  answer(replica: string, call: SessionCall): Promise<SessionAnswer>;
  /** Tells a replica that a session has ended; it finds out itself where that fails. */
  ended(replica: string, sessionId: string): void;
}

const ENDED_MS = 2_000;

/** Calls policy replicas as the registry lists them. */
export class ConnectedReplicas implements SessionReplicas {
  private readonly services = new Map<string, Service<AgentSessions>>();

  constructor(
    private readonly directory: ReplicaDirectory,
    private readonly limits: { timeoutMs: number; maxConcurrent: number },
  ) {}

  /** Handles of the replicas that were called. */
  get called(): readonly CalledService[] {
    return [...this.services.values()];
  }

  async isThere(replica: string): Promise<boolean> {
    if (this.of(replica).replicas().length > 0) return true;
    return (await this.directory.list()).some(({ name, isAlive }) => isAlive && name === replica);
  }

  answer(replica: string, call: SessionCall): Promise<SessionAnswer> {
    return this.of(replica).answer.choose(call);
  }

  ended(replica: string, sessionId: string): void {
    this.of(replica)
      .ended.with({ timeoutMs: ENDED_MS })
      .choose(sessionId)
      .catch(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all([...this.services.values()].map((service) => service.shutdown()));
  }

  private of(replica: string): Service<AgentSessions> {
    const known = this.services.get(replica);
    if (known !== undefined) return known;
    const list: ReplicaDirectory['list'] = async () =>
      (await this.directory.list()).filter(({ name }) => name === replica);
    const service = connectService('policy', AgentSessions, { list }, this.limits);
    this.services.set(replica, service);
    return service;
  }
}
