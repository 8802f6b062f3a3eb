import { endpoint, ForgeActor } from '@forge/actors';
import { check, sessionCallSchema, type SessionAnswer, type SessionCall } from '@forge/contracts';
import type { RenderRequest } from '@forge/rl';
import { z } from 'zod';
import type { Policy } from '../policy/policy';

/** The policy's reading of messages and tokens, which is the same at every replica. */
export type PolicyTexts = Pick<Policy, 'renderChat' | 'tokenTexts'>;

/** The sessions whose rollouts a policy replica makes. */
export interface LiveSessions {
  answer(call: SessionCall): Promise<SessionAnswer>;
  ended(sessionId: string): void;
}

const sessionIdSchema = z.string().min(1).max(256);

/** Answers the calls of agents whose sessions this policy replica has, and what a gateway asks of any. */
export class AgentSessions extends ForgeActor {
  constructor(
    private readonly live: LiveSessions,
    private readonly texts: PolicyTexts,
  ) {
    super();
  }

  /**
   * The policy's answer, which is kept before it is given. One that the client asks for again is the one that is kept, or
   * under way.
   *
   * @throws {ForgeError} CONFLICT_SESSION_OVER; CAPACITY_SESSION_LIMIT; TRANSIENT_SESSION_LOST where the session is not, or
   *   no longer, here: look for its replica again and call as a retry. CAPACITY_PROMPT_TOO_LONG.
   */
  @endpoint({ concurrent: true })
  async answer(call: SessionCall): Promise<SessionAnswer> {
    return this.live.answer(check(sessionCallSchema, call, 'call of an agent'));
  }

  /** Tells of a session that has ended; nothing is lost where it comes too late, or not at all. */
  @endpoint({ concurrent: true, idempotent: true })
  ended(sessionId: string): void {
    this.live.ended(check(sessionIdSchema, sessionId, 'session'));
  }

  /** As `Policy.renderChat`. */
  @endpoint({ concurrent: true, idempotent: true })
  renderChat(request: RenderRequest): Promise<number[]> {
    return this.texts.renderChat(request);
  }

  /** As `Policy.tokenTexts`. */
  @endpoint({ concurrent: true, idempotent: true })
  tokenTexts(tokenIds: readonly number[], positions: readonly number[]): Promise<string[]> {
    return this.texts.tokenTexts(tokenIds, positions);
  }
}
