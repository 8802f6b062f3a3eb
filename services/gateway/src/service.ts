import { join } from 'node:path';
import { connectService } from '@forge/actors';
import { gatewayToken, needsGateway } from '@forge/config';
import { runPaths } from '@forge/contracts';
import { AgentSessions } from '@forge/rl-actors';
import { replicaDirectory, type ServiceContext, type ServiceInstance } from '@forge/service-kit';
import { ActivityClock } from '@forge/telemetry';
import { openGateway } from './gateway-server';
import { requireCaller } from './sessions/callers';
import { openAtKeptPort } from './sessions/kept-port';
import { ownerToken } from './sessions/owner-token';
import { SessionAnswers } from './sessions/session-answers';
import { ConnectedReplicas } from './sessions/session-replicas';
import { sessionRoutes } from './sessions/session-routes';

/** Paths of a call: its session is told by key or header, or by the path. */
const PREFIXES = ['', '/sessions/:sessionId'];
/** Answers that are back-pressure, or the end of a session, and no fault of a request. */
const USUAL = new Set(['409', '429']);

/** Hands rollouts to agents as sessions, and takes their calls of the policy. */
export async function start(context: ServiceContext): Promise<ServiceInstance> {
  const { recipe, runId, runState, registry, logger } = context;
  if (!needsGateway(recipe)) {
    logger.info('the rollouts of this run need no gateway');
    return { ready: () => true, drain: () => Promise.resolve() };
  }
  const { maxCalls } = recipe.gateway;
  const { callTimeoutMs: timeoutMs, drainSeconds } = recipe.limits;
  const token = await ownerToken(gatewayToken(), runPaths(join(recipe.output.dir, runId)).gatewayToken);
  const directory = runState.sessions;
  const policies = replicaDirectory(registry, 'policy');
  const policy = connectService('policy', AgentSessions, policies, { timeoutMs });
  const replicas = new ConnectedReplicas(policies, { timeoutMs, maxConcurrent: maxCalls });
  const activity = new ActivityClock(['busy', 'waits/policy']);
  const answers = new SessionAnswers({
    directory,
    replicas,
    policy: {
      renderChat: (request) => policy.renderChat.choose(request),
      tokenTexts: (tokenIds, positions) => policy.tokenTexts.choose(tokenIds, positions),
    },
    patienceMs: timeoutMs,
  });
  const gateway = await openAtKeptPort(context, (at) =>
    openGateway({
      ...at,
      source: {
        modelNamed: (name) => answers.modelNamed(name),
        answers: (call) => activity.during('waits/policy', () => answers.answers(call)),
        countTokens: (...prompt) => answers.countTokens(...prompt),
      },
      names: [recipe.name],
      prefixes: PREFIXES,
      logger,
      limits: { maxCalls, maxConnections: 2 * maxCalls },
      extend: (http) => {
        requireCaller(http, directory, token);
        sessionRoutes(http, {
          directory,
          replicas,
          token,
          groupSize: recipe.algorithm.groupSize,
          goesOn: async () => (await runState.phase()).phase === 'running',
        });
      },
      refused: (reason) => {
        if (!USUAL.has(reason)) runState.rejections.count('gateway', reason);
      },
    }),
  );
  logger.info({ url: gateway.url }, 'agents may call');
  return {
    ready: () => true,
    get calls() {
      return [policy, ...replicas.called];
    },
    drain: async () => {
      await gateway.close(drainSeconds * 500);
      await Promise.all([replicas.close(), policy.shutdown()]);
    },
    totals: () => activity.totals(),
  };
}
