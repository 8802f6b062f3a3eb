import { createHmac } from 'node:crypto';
import type { SessionDirectory } from '@forge/broker';
import { MAX_REWARD } from '@forge/contracts';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ApiProblem } from '../dialects/api-problem';
import { readBody, unsupported } from '../dialects/read-body';
import { unauthorized } from '../handlers/api-key';
import { idempotencyKey } from '../handlers/request-key';
import { goneSession, sessionOf, sessionOver } from './callers';
import type { SessionReplicas } from './session-replicas';

export interface SessionRoutes {
  directory: Pick<SessionDirectory, 'take' | 'byId' | 'setReward' | 'end'>;
  replicas: Pick<SessionReplicas, 'ended'>;
  /** Secret of the owner. */
  token: string;
  /** Rollouts of a group. */
  groupSize: number;
  /** Whether the run still goes on. */
  goesOn: () => Promise<boolean>;
}

/** An agent that was told to wait asks again after so long. */
const RETRY_SECONDS = 1;

const id = z.string().min(1).max(256).nullish();
const startSchema = z.object({
  task_id: id,
  group_size: z.int().min(1).nullish(),
  api_key: unsupported('keys are made here; leave it out'),
});
const rewardSchema = z.object({
  reward: z.number().min(-MAX_REWARD).max(MAX_REWARD),
  session_id: id,
  interaction_id: unsupported('a reward is that of the whole session; leave it out'),
});
const endSchema = z.object({ session_id: id });

/** The routes by which agents take rollouts, and say what came of them. */
export function sessionRoutes(http: FastifyInstance, routes: SessionRoutes): void {
  const { directory, replicas, groupSize } = routes;

  http.post('/rl/start_session', async (request, reply) => {
    if (!request.caller!.isOwner)
      throw unauthorized('sessions are handed out to who has the token of the run');
    const { task_id: taskId, group_size: asked } = readBody(startSchema, request.body ?? {});
    if (asked != null && asked !== groupSize) {
      const message = `group_size: found ${asked}, expected ${groupSize}, which is algorithm.groupSize of the recipe`;
      throw new ApiProblem('invalid', message, { param: 'group_size' });
    }
    const name = idempotencyKey(request);
    const keys = name === null ? undefined : agentKeys(routes.token, name, groupSize);
    const taken = await directory.take(groupSize, taskId ?? undefined, keys);
    if (taken === null) throw await noneWaits(routes, taskId ?? null);
    const { group, sample, sessions } = taken;
    return reply.code(201).send({
      group_id: group,
      task_id: sample.id,
      sample,
      sessions: sessions.map(({ sessionId, key }) => ({ session_id: sessionId, session_api_key: key })),
    });
  });

  http.post('/rl/set_reward', async (request) => {
    const { reward, session_id: named } = readBody(rewardSchema, request.body);
    const sessionId = sessionOf(request.caller!, named ?? null);
    const verdict = await directory.setReward(sessionId, reward);
    if (verdict === 'unknown') throw goneSession(request.caller!, sessionId);
    if (verdict === 'over') throw sessionOver(sessionId);
    return { message: 'success', session_id: sessionId };
  });

  http.post('/rl/end_session', async (request) => {
    const { session_id: named } = readBody(endSchema, request.body ?? {});
    const sessionId = sessionOf(request.caller!, named ?? null);
    const session = await directory.byId(sessionId);
    const verdict = await directory.end(sessionId);
    if (verdict === 'unknown' && request.caller!.isOwner) throw goneSession(request.caller!, sessionId);
    // One that had ended stays so: the client may not have heard it.
    if (session !== null && session.replica !== '') replicas.ended(session.replica, sessionId);
    return { message: 'success', session_id: sessionId };
  });
}

/** Why there is no group to take: back-pressure, unless the run is over. */
async function noneWaits({ goesOn }: SessionRoutes, taskId: string | null): Promise<ApiProblem> {
  if (!(await goesOn()))
    return new ApiProblem('conflict', 'the run is over: no more sessions are handed out', {
      code: 'run_over',
      isFinal: true,
    });
  const what = taskId === null ? 'no rollout' : `no rollout of task ${taskId}`;
  return new ApiProblem('too-many', `${what} waits for an agent now; ask again in a while`, {
    retryAfterSeconds: RETRY_SECONDS,
  });
}

/** The keys of agents whose owner names the request for them: the same for the same name, so that it can be sent again. */
function agentKeys(token: string, name: string, count: number): string[] {
  return Array.from({ length: count }, (_, rollout) => {
    const secret = createHmac('sha256', token)
      .update(JSON.stringify([name, rollout]))
      .digest('base64url');
    return `sk-forge-${secret}`;
  });
}
