import { once } from 'node:events';
import { createConnection } from 'node:net';
import { connectService } from '@forge/actors';
import { rewardName } from '@forge/config';
import { check, scoreResultsSchema, type Completion, type ScoreItem } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { Policy, Reward } from '@forge/rl-actors';
import { replicaDirectory } from '@forge/service-kit';
import { difference, firstFault, type Check } from './check';
import type { ScratchRun } from './scratch-run';

/** Calls that are made at a time. */
const CALLS = 32;
const ROUNDING = 1e-6;

/** Duties of a reward, asked for as a policy asks. */
export function rewardChecks(run: ScratchRun): Promise<Check[]> {
  const { recipe, registry, task } = run;
  const { timeoutMs } = run.options;
  const directory = replicaDirectory(registry, 'reward');
  const rewards = connectService('reward', Reward, directory, { timeoutMs, maxConcurrent: CALLS });
  const others = connectService('reward', Policy, directory, { timeoutMs });
  const names = recipe.rewards.map((reward) => rewardName(reward));

  /** A right and a wrong answer to a sample. */
  const items = (index: number): ScoreItem[] => {
    const { id, prompt, answer = '' } = task.sample(index);
    const sample = { id, prompt, answer };
    return [answer, `${answer}0`].map((text) => ({ sample, completion: completionOf(text) }));
  };
  const scores = async (asked: readonly ScoreItem[]) =>
    check(scoreResultsSchema, await rewards.score.choose(asked), 'result of score');
  const codeOf = (call: Promise<unknown>): Promise<string> =>
    call.then(
      () => 'none',
      (error: unknown) => ForgeError.from(error).code,
    );
  /** The fault of an answer to a right and a wrong item. */
  const scoreFault = async (): Promise<string | null> => {
    const results = await scores(items(1));
    if (results.length !== 2) return difference('number of results for two items', 2, results.length);
    const exact = results.map((result) => ('score' in result ? result.score.rewards['exact'] : result.error));
    return difference('rewards.exact of a right and a wrong answer, in this order', [1, 0], exact);
  };

  return Promise.resolve([
    {
      name: 'registers as a replica that answers calls',
      section: 'registry',
      isVital: true,
      faultOf: async () => {
        const replica = await run.registered();
        if (replica === null) return run.registrationFault();
        return replica.answers === null
          ? 'expected answers in replicas:reward to say address and actor, found null'
          : null;
      },
    },
    {
      name: 'scores completions in their order',
      section: 'reward-score',
      faultOf: scoreFault,
    },
    {
      name: 'gives the weighted sum of what it names',
      section: 'reward-score',
      faultOf: async () => {
        for (const result of await scores(items(2))) {
          if ('error' in result)
            return `expected a score, found ${result.error.code}: ${result.error.message}`;
          const { reward, rewards: raw } = result.score;
          const sum = recipe.rewards.reduce(
            (total, one) => total + one.weight * (raw[rewardName(one)] ?? 0),
            0,
          );
          const fault = await firstFault(
            () => difference('names in rewards', [...names].sort(), Object.keys(raw).sort()),
            () => (Math.abs(sum - reward) <= ROUNDING ? null : difference('reward', sum, reward)),
          );
          if (fault !== null) return fault;
        }
        return null;
      },
    },
    {
      name: 'answers calls that come at the same time',
      section: 'reward-score',
      faultOf: async () => {
        const calls = Array.from({ length: CALLS }, (_, i) => scores(items(i)));
        const answered = (await Promise.all(calls)).filter((results) => results.length === 2);
        return difference('answers of two results each', CALLS, answered.length);
      },
    },
    {
      name: 'refuses items that are none',
      section: 'refusing',
      faultOf: async () => {
        const wrong = [{ sample: { id: '' }, completion: { text: 1 } }] as unknown as ScoreItem[];
        const code = await codeOf(rewards.score.choose(wrong));
        return firstFault(
          () => difference('error of a call with broken items', 'CONTRACT_INVALID_MESSAGE', code),
          scoreFault,
        );
      },
    },
    {
      name: 'refuses an endpoint that it does not have',
      section: 'calls',
      faultOf: async () => {
        const code = await codeOf(others.version.choose());
        return firstFault(
          () => difference('error of a call of version', 'CONTRACT_UNKNOWN_ENDPOINT', code),
          scoreFault,
        );
      },
    },
    {
      name: 'goes on after bytes that are no call',
      section: 'calls',
      faultOf: async () => {
        const address = (await run.registered())?.answers?.address ?? '';
        await sendNonsense(address);
        return firstFault(
          scoreFault,
          () => run.part.ended && `expected the part to go on; ${run.part.ended}`,
        );
      },
    },
    { name: 'drains on SIGTERM', section: 'lifecycle', endsPart: true, faultOf: () => run.drainFault() },
    {
      name: 'answers again when it is started again',
      section: 'lifecycle',
      endsPart: true,
      faultOf: () => firstFault(() => run.registrationFault(), scoreFault),
    },
  ]);
}

function completionOf(text: string): Completion {
  const tokenIds = Array.from(text, (_, i) => i + 3);
  return {
    text,
    promptTokenIds: [3],
    tokenIds,
    logprobs: tokenIds.map(() => -0.5),
    versions: tokenIds.map(() => 0),
    stopReason: 'end',
  };
}

/** Says something at an address of a socket that nobody who calls would say; does nothing at others. */
async function sendNonsense(address: string): Promise<void> {
  const path = /^unix:(.+)$/.exec(address)?.[1];
  const [, host, port] = /^tcp:\/\/\[?([^\]]+?)\]?:(\d+)$/.exec(address) ?? [];
  if (path === undefined && host === undefined) return;
  const socket = path === undefined ? createConnection(Number(port), host) : createConnection(path);
  socket.on('error', () => undefined);
  socket.resume();
  const closed = once(socket, 'close');
  socket.end('GET / HTTP/1.1\r\n\r\n');
  await closed;
}
