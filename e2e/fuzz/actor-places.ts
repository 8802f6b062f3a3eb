import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { childEnvironment } from '@forge/config';
import type { Replica, WeightsAnnouncement } from '@forge/contracts';
import { waitFor } from '@forge/testing';
import type { ForgeRun } from '../chaos/forge-run';
import { TOKEN } from './fuzz-run';
import type { ActorPlace } from './socket-target';

const root = join(__dirname, '..', '..');
const UP_WITHIN_MS = 30_000;
const SAMPLE = { id: 's', prompt: '1+1=', answer: '2' };
const QUESTION = { role: 'user', content: '1+1=' };
const COMPLETION = {
  text: '2',
  promptTokenIds: [1],
  tokenIds: [2],
  logprobs: [-1],
  versions: [0],
  stopReason: 'end',
};
const EPISODE = {
  tokenIds: Int32Array.of(1, 2),
  mask: Uint8Array.of(0, 1),
  logprobs: Float32Array.of(0, -1),
  versions: Int32Array.of(-1, 0),
  reward: 1,
  rewards: {},
  text: '',
};

const ENDPOINTS = (weights: WeightsAnnouncement): Readonly<Record<string, ActorPlace['endpoints']>> => ({
  policy: {
    generate: [SAMPLE.prompt],
    renderChat: [{ messages: [QUESTION] }],
    bridgeChat: [{ tokenIds: [1], before: [QUESTION], added: [QUESTION] }],
    parseAnswer: [{ tokenIds: [1] }],
    settledText: [{ tokenIds: [1] }],
    settledAnswer: [{ tokenIds: [1] }],
    applyWeights: [weights],
    mismatch: [EPISODE],
    stats: [],
  },
  reward: { score: [[{ sample: SAMPLE, completion: COMPLETION }]], evaluateResponse: [SAMPLE, COMPLETION] },
  reference: { logprobs: [[[1, 2, 3]]], stats: [] },
});

/** Addresses at which the actors of a run answer: on unix sockets, and one more reward on TCP. */
export async function actorPlaces(
  run: ForgeRun,
  replicas: readonly Replica[],
  weights: WeightsAnnouncement,
): Promise<{ places: Record<string, ActorPlace>; end: () => void }> {
  const endpoints = ENDPOINTS(weights);
  const placeOf = ({ service, answers }: Replica): ActorPlace => ({
    ...answers!,
    token: TOKEN,
    endpoints: endpoints[service]!,
  });
  const onUnix = replicas.filter(({ answers, replica }) => answers !== null && replica === '0');
  const child = spawn(process.execPath, [join(root, 'services/reward/dist/main.js')], {
    cwd: run.workDir,
    env: {
      ...childEnvironment({ redisUrl: run.redisUrl, runId: run.runId, logLevel: 'error' }),
      FORGE_REPLICA: 'tcp',
      FORGE_CALL_ADDRESS: 'tcp://127.0.0.1:0',
      FORGE_CLUSTER_TOKEN: TOKEN,
    },
    stdio: 'ignore',
  });
  const end = (): void => void child.kill('SIGTERM');
  try {
    const tcp = await waitFor(
      'a reward on TCP',
      async () => (await run.replicas('reward')).find(({ replica, isReady }) => replica === 'tcp' && isReady),
      UP_WITHIN_MS,
    );
    const named = onUnix.map((one) => [`${one.service}/${one.replica} on unix`, placeOf(one)] as const);
    return { places: { ...Object.fromEntries(named), 'reward on tcp': placeOf(tcp) }, end };
  } catch (error) {
    end();
    throw error;
  }
}
