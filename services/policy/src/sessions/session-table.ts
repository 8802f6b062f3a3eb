import type { SessionAnswer, SessionCall } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import type { AgentSession } from '@forge/rl';
import type { LiveSessions } from '@forge/rl-actors';

/** Place of the sessions of a group that this process makes. */
export interface SeatedGroup {
  /** By rollout; calls that come early wait for it. */
  sessions: Promise<readonly AgentSession[]>;
  /** One of its sessions has ended. */
  ended: () => void;
}

/** The sessions that this policy replica has, by id. */
export class SessionTable implements LiveSessions {
  private readonly seats = new Map<string, { group: SeatedGroup; rollout: number }>();

  /** Seats the sessions of a group in place of those of an attempt before; the function lets go of them. */
  seat(sessionIds: readonly string[], group: SeatedGroup): () => void {
    sessionIds.forEach((id, rollout) => this.seats.set(id, { group, rollout }));
    return () => {
      for (const id of sessionIds) if (this.seats.get(id)?.group === group) this.seats.delete(id);
    };
  }

  async answer(call: SessionCall): Promise<SessionAnswer> {
    const seat = this.seats.get(call.sessionId);
    const sessions = await seat?.group.sessions.catch(() => undefined);
    if (seat === undefined || sessions === undefined) {
      const message = `session ${call.sessionId} is not at this policy; call the one that has it by now`;
      throw new ForgeError('TRANSIENT_SESSION_LOST', message, { session: call.sessionId });
    }
    return sessions[seat.rollout]!.answer(call);
  }

  ended(sessionId: string): void {
    this.seats.get(sessionId)?.group.ended();
  }
}
