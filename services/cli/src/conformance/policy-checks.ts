import { writeFile } from 'node:fs/promises';
import { serveActor, thisProc } from '@forge/actors';
import { openRolloutQueue } from '@forge/broker';
import { rewardName } from '@forge/config';
import {
  decode,
  evaluationJobs,
  groupSchema,
  rolloutsOf,
  runPaths,
  SCHEMA_VERSION,
  versionsOf,
  type Group,
  type RolloutJob,
  type WeightsAnnouncement,
} from '@forge/contracts';
import { promptText } from '@forge/rl';
import { Reward } from '@forge/rl-actors';
import { queueLimits } from '@forge/service-kit';
import { WeightStore, type Parameters } from '@forge/weights';
import { difference, firstFault, type Check } from './check';
import type { ScratchRun } from './scratch-run';

type Job = Extract<RolloutJob, { kind: 'rollout' }>;

const HEARTBEAT_MS = 500;
/** Wait for something that must not come. */
const QUIET_MS = 3_000;
const EVALUATED = 4;
/** Distance of log-probs of the same tokens under the same weights that is rounding, in whatever precision. */
const TOLERANCE = 0.05;

/** Duties of a policy, in the order of a run. */
export async function policyChecks(run: ScratchRun): Promise<Check[]> {
  const { runState, redis, recipe, task } = run;
  const { keys, weights } = runState;
  const { groupSize } = recipe.algorithm;
  const queue = await openRolloutQueue(run.redisUrl, run.runId, undefined, queueLimits(recipe));
  const reader = await run.ownPolicy();
  await serveReward(run);
  const epoch = await runState.newEpoch();
  const store = new WeightStore({
    dir: runPaths(run.directory).weights,
    keep: 4,
    format: { dtype: recipe.trainer.publishDtype },
  });
  let announced: WeightsAnnouncement | null = null;
  let parameters = run.model.parameters;
  let group: Group | null = null;

  const publish = async (version: number): Promise<WeightsAnnouncement> => {
    announced = await store.publish(version, epoch, parameters);
    return announced;
  };
  const announce = async (announcement: WeightsAnnouncement): Promise<void> => {
    const { version } = announcement;
    await redis.hset(keys.run, 'version', version);
    await weights.announce(announcement);
    await reader.applyWeights.callOne(announcement);
  };
  await announce(await publish(0));

  const jobOf = (index: number, minVersion: number): Job => ({
    kind: 'rollout',
    schemaVersion: SCHEMA_VERSION.rolloutJob,
    index,
    sample: task.sample(index),
    minVersion,
  });
  /** Admits a group and puts its job into the queue. */
  const addJob = async (minVersion: number): Promise<Job> => {
    const [admitted] = await runState.admit(1, 1);
    const job = jobOf(admitted!.index, minVersion);
    await queue.add([job]);
    return job;
  };
  const entriesOf = async (index: number): Promise<Buffer[]> => {
    const all = (await redis.xrangeBuffer(keys.groups, '-', '+')) as unknown as [Buffer, Buffer[]][];
    return all.flatMap(([, fields]) => (Number(fields[1]?.toString()) === index ? [fields[3]!] : []));
  };
  /** The fault of the group that a job leads to, and the group. */
  const groupFault = async (job: Job): Promise<string | null> => {
    const { index, sample } = job;
    const payload = await run.until(async () => (await entriesOf(index))[0] ?? null);
    if (payload === null) return run.absent(`group ${index} in the stream groups`, 'none');
    group = decode(groupSchema, payload, `group ${index}`);
    const found = group;
    const about = { runId: run.runId, index, sampleId: sample.id, promptText: promptText(sample.prompt) };
    const versions = versionsOf(found.episodes);
    return firstFault(
      () => difference('in the group', about, pick(found, about)),
      () => difference('rollouts in the group', groupSize, rolloutsOf(found.episodes).length),
      () => difference('versions in weightHashes', versions, Object.keys(found.weightHashes).map(Number)),
      () =>
        versions.every((version) => version >= job.minVersion)
          ? null
          : difference('versions of tokens, at least', job.minVersion, versions),
      async () => {
        const fault = await weights.disagreement(found.weightHashes);
        return fault && `expected the hashes that were announced, found ${fault}`;
      },
      async () => {
        const { state, origin } = (await runState.ledgerSnapshot()).groups.get(index) ?? {};
        const expected = { replica: found.replica, oldest: versions[0], newest: versions.at(-1) };
        return difference(
          `record of group ${index}`,
          { state: 'published', origin: expected },
          { state, origin },
        );
      },
      async () => difference(`entries of group ${index}`, 1, (await entriesOf(index)).length),
    );
  };
  const logprobFault = async (): Promise<string | null> => {
    for (const [i, one] of group!.episodes.entries()) {
      const distance = await reader.mismatch.callOne(one);
      if (distance === null || distance <= TOLERANCE) continue;
      return `expected log-probs of episode ${i} within ${TOLERANCE} of those of its weights at temperature ${recipe.sampling.temperature}, found a distance of ${distance}`;
    }
    return null;
  };
  const usesFault = async (version: number): Promise<string | null> => {
    const uses = async (): Promise<(number | null)[]> =>
      [...(await weights.users()).values()].map((use) => use.version);
    const isUsed = await run.until(async () => (await uses()).includes(version));
    return isUsed === null
      ? run.absent(
          `version ${version} in use by policy/<replica> in weights-users`,
          JSON.stringify(await uses()),
        )
      : null;
  };
  const letterFault = async (id: string): Promise<string | null> => {
    const ids = async (): Promise<string[]> => (await runState.deadLetters.list()).map((letter) => letter.id);
    const isKept = await run.until(async () => (await ids()).includes(id));
    return isKept === null ? run.absent(`a dead letter ${id}`, (await ids()).join(', ') || 'none') : null;
  };

  return [
    {
      name: 'takes up the weights that are announced',
      section: 'policy-weights',
      isVital: true,
      faultOf: () => usesFault(0),
    },
    { name: 'registers as a replica', section: 'registry', faultOf: () => run.registrationFault() },
    {
      name: 'rolls out a group and publishes it',
      section: 'policy-group',
      isVital: true,
      faultOf: async () => groupFault(await addJob(0)),
    },
    { name: 'tells log-probs of the weights it used', section: 'policy-group', faultOf: logprobFault },
    {
      name: 'marks what it generated, and no more',
      section: 'policy-group',
      faultOf: async () => {
        const { prompt } = task.sample(group!.index);
        const [completion] = await reader.generate.callOne(prompt, { n: 1 });
        const expected = completion!.promptTokenIds;
        for (const [i, { tokenIds, mask }] of group!.episodes.entries()) {
          const fault = await firstFault(
            () => difference(`prompt of episode ${i}`, expected, [...tokenIds.subarray(0, expected.length)]),
            () => difference(`first token with mask 1 of episode ${i}`, expected.length, mask.indexOf(1)),
            () => {
              const length = tokenIds.length - expected.length;
              const most = recipe.sampling.maxTokens;
              return length <= most ? null : difference(`tokens of episode ${i} at most`, most, length);
            },
          );
          if (fault !== null) return fault;
        }
        return null;
      },
    },
    {
      name: 'has its group scored',
      section: 'policy-group',
      faultOf: async () => {
        const { answer } = task.sample(group!.index);
        for (const [i, { rewards, text }] of group!.episodes.entries()) {
          const names = recipe.rewards.map(rewardName).sort();
          const isRight = text.replace(/^<[^<>]*>/, '').trim() === answer ? 1 : 0;
          const fault = await firstFault(
            () => difference(`rewards of episode ${i}`, names, Object.keys(rewards).sort()),
            () => difference(`reward exact of ${JSON.stringify(text)}`, isRight, rewards['exact']),
          );
          if (fault !== null) return fault;
        }
        return null;
      },
    },
    {
      name: 'does a job that is done no second time',
      section: 'policy-jobs',
      faultOf: async () => {
        const { index } = group!;
        await queue.addAgain([jobOf(index, 0)]);
        const second = await run.until(async () => (await entriesOf(index)).length > 1, QUIET_MS);
        return second === null
          ? null
          : `expected one entry of group ${index} in the stream groups, found a second`;
      },
    },
    {
      name: 'takes up new weights for the jobs that ask for them',
      section: 'policy-weights',
      faultOf: async () => {
        parameters = moved(parameters);
        await announce(await publish(1));
        return firstFault(
          async () => groupFault(await addJob(1)),
          logprobFault,
          () => usesFault(1),
        );
      },
    },
    {
      name: 'refuses damaged weights, and asks for them',
      section: 'policy-weights',
      faultOf: async () => {
        parameters = moved(parameters);
        const { path, sizeBytes } = await publish(2);
        await writeFile(path, Buffer.alloc(sizeBytes, 1));
        await redis.hset(keys.run, 'version', 2);
        await weights.announce(announced!);
        const isAsked = await run.until(async () => (await weights.wanted()).publish === 2);
        const inUse = [...(await weights.users()).values()].map(({ version }) => version);
        await weights.takeAsked();
        await announce(await publish(2));
        return firstFault(
          () => (isAsked === null ? run.absent('publish 2 in weights-requests', 'nothing') : null),
          () => (inUse.includes(2) ? 'expected version 1 to stay in use, found the damaged version 2' : null),
          () => usesFault(2),
        );
      },
    },
    {
      name: 'refuses jobs that are none',
      section: 'refusing',
      faultOf: async () => {
        await queue.bullQueue.add('rollout', { kind: 'rollout', nonsense: true }, { jobId: 'nonsense' });
        return firstFault(
          () => letterFault('j-nonsense'),
          () => run.part.ended && `expected the part to go on; ${run.part.ended}`,
        );
      },
    },
    {
      name: 'gives up a job of a version that there is not',
      section: 'policy-jobs',
      faultOf: async () => letterFault(`r-${(await addJob(99)).index}`),
    },
    {
      name: 'answers an evaluation',
      section: 'policy-evaluation',
      faultOf: async () => {
        const jobs = evaluationJobs(2, task.heldOut.slice(0, EVALUATED));
        await queue.add(jobs);
        const event = await run.until(async () => (await run.events('evaluation'))[0] ?? null);
        if (event === null) return run.absent('an event of kind evaluation', 'none');
        const { version, part, parts, total } = event;
        const about = { version: 2, part: 0, parts: 1, total: EVALUATED };
        return difference('in the event of the evaluation', about, { version, part, parts, total });
      },
    },
    { name: 'drains on SIGTERM', section: 'lifecycle', endsPart: true, faultOf: () => run.drainFault() },
    {
      name: 'does the jobs that a killed one leaves',
      section: 'policy-jobs',
      endsPart: true,
      faultOf: async () => {
        await run.registered();
        const job = await addJob(2);
        await run.part.stop('SIGKILL', QUIET_MS);
        run.part.ensure();
        return groupFault(job);
      },
    },
  ];
}

/** Answers as the reward of the run, for as long as this process lives. */
async function serveReward({ recipe, registry }: ScratchRun): Promise<void> {
  const { timeoutMs } = recipe.reward;
  const reward = await thisProc().spawn('reward', Reward, { rewards: recipe.rewards, timeoutMs });
  const { address, actor } = await serveActor(reward, 'unix');
  const beat = (): Promise<void> =>
    registry.heartbeat({
      ...{ service: 'reward', replica: 'conformance', url: 'http://127.0.0.1', pid: process.pid },
      ...{ isReady: true, answers: { address, actor }, callsMade: [] },
    });
  await beat();
  setInterval(() => void beat().catch(() => undefined), HEARTBEAT_MS).unref();
}

/** Other weights, whose log-probs differ by more than rounding. */
function moved(parameters: Parameters): Parameters {
  return new Map(
    [...parameters].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((value, i) => value * (i % 2 === 0 ? 1.3 : 0.8)) },
    ]),
  );
}

function pick(from: object, keys: object): object {
  return Object.fromEntries(Object.keys(keys).map((key) => [key, (from as Record<string, unknown>)[key]]));
}
