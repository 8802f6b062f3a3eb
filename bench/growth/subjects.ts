import { randomBytes } from 'node:crypto';
import { openRolloutQueue, Registry, RunState, type Redis, type RunBounds } from '@forge/broker';
import type { RolloutJob } from '@forge/contracts';
import type { TestRedis } from '@forge/testing';
import { atOnce, costOf, range, type Cost } from './measured';

/** Work that grows, at one size. */
export type Measure = (server: TestRedis, size: number) => Promise<Cost>;

const GROUP_EPISODES = 8;
/** An encoded group of eight short episodes. */
const PAYLOAD = randomBytes(2_000);
const HEARTBEAT_MS = 500;
let runs = 0;

async function newRun(
  redis: Redis,
  candidatesPerBatch: number,
  bounds: Partial<RunBounds>,
): Promise<RunState> {
  const state = new RunState(redis, `growth-${runs++}`, bounds);
  const settings = { maxStaleness: Infinity, candidatesPerBatch, steps: 1_000_000 };
  await state.create({}, settings);
  return state;
}

const jobOf = (index: number): RolloutJob => ({
  kind: 'rollout',
  schemaVersion: 1,
  index,
  minVersion: 0,
  sample: { id: `s${index}`, prompt: '12+34=', answer: '46' },
});
const vitals = { url: 'http://10.0.0.1:8080', pid: 1, isReady: true, answers: null, callsMade: [] };

/**
 * Groups through the queue and the streams, by so many policies without a model: admitted, queued, taken, published, stored. A
 * unit is a group. Every policy beats its heart, as a service does.
 */
export const policies: Measure = async (server, count) => {
  const redis = await server.connect();
  const groups = 3_000;
  const state = await newRun(redis, groups, { inFlight: groups, held: groups, groups });
  const registry = new Registry(redis, state.runId);
  const queue = await openRolloutQueue(server.url, state.runId);
  const workers = await Promise.all(range(count).map(() => openRolloutQueue(server.url, state.runId)));
  let published = 0;
  const beat = (): void => {
    for (const one of range(count))
      void registry.heartbeat({ service: 'policy', replica: String(one), ...vitals }).catch(() => undefined);
  };
  for (const [i, worker] of workers.entries())
    worker.work({
      name: String(i),
      concurrency: 4,
      handler: async (job) => {
        await state.standing(job);
        const { index } = job as { index: number };
        await state.publishGroup(index, PAYLOAD, { replica: String(i), oldest: 0, newest: 0 });
        published++;
      },
      onFailed: () => Promise.resolve(),
      onError: () => undefined,
    });
  const beating = setInterval(beat, HEARTBEAT_MS);
  const cost = await costOf(redis, groups, async () => {
    for (let left = groups; left > 0;) {
      const admitted = await state.admit(100);
      await queue.add(admitted.map(({ index }) => jobOf(index)));
      left -= admitted.length;
    }
    for (let stored = 0; stored < groups;) {
      const streamed = await state.readGroups('buffer', 64, 200);
      await Promise.all(
        streamed.map(({ entryId, index, payload }) =>
          state.storeGroup(entryId, { index, version: 0 }, payload),
        ),
      );
      stored += streamed.length;
    }
  });
  clearInterval(beating);
  if (published < groups) throw new Error(`only ${published} of ${groups} groups were published`);
  await Promise.all([...workers, queue].map((one) => one.close(true)));
  await state.remove();
  state.close();
  return cost;
};

/** Episodes into the buffer and out of it again: stored, and trained batch by batch while the others lie there. A unit is one. */
export const bufferedEpisodes: Measure = async (server, episodes) => {
  const redis = await server.connect();
  const groups = Math.max(1, Math.round(episodes / GROUP_EPISODES));
  const [batch, batches] = [25, Math.min(200, Math.floor(groups / 25))];
  const state = await newRun(redis, batch, { inFlight: groups, held: groups, groups, history: groups });
  const epoch = await state.newEpoch();
  await atOnce(range(Math.ceil(groups / 100)), 1, () => state.admit(100));
  const stored = await costOf(redis, groups * GROUP_EPISODES, async () => {
    await atOnce(range(groups), 64, (index) =>
      state.publishGroup(index, PAYLOAD, { replica: '0', oldest: 0, newest: 0 }),
    );
    for (let done = 0; done < groups;) {
      const streamed = await state.readGroups('buffer', 64, 200);
      await Promise.all(
        streamed.map(({ entryId, index, payload }) =>
          state.storeGroup(entryId, { index, version: 0 }, payload),
        ),
      );
      done += streamed.length;
    }
  });
  const trained = await costOf(redis, batches * batch * GROUP_EPISODES, async () => {
    for (const step of range(batches)) {
      const indices = range(batch).map((i) => step * batch + i);
      const chosen = indices.map((index) => ({ index, advantages: range(GROUP_EPISODES).map(() => 0.5) }));
      await state.formBatch({ schemaVersion: 4, version: step, groups: chosen, statistics: {} }, []);
      await state.readBatch('trainer', 200);
      const weights = { schemaVersion: 1, path: '/w', sizeBytes: 1, sha256: 'a'.repeat(64) } as const;
      await state.commitStep(step, { ...weights, version: step + 1, epoch });
    }
  });
  await state.remove();
  state.close();
  return {
    clientMicros: stored.clientMicros + trained.clientMicros,
    redisMicros: stored.redisMicros + trained.redisMicros,
    redisBytes: stored.redisBytes,
  };
};

/** A second of so many replicas: two heartbeats of each, and two looks of a service at all of them. A unit is a replica. */
export const replicas: Measure = async (server, count) => {
  const redis = await server.connect();
  const registry = new Registry(redis, `growth-${runs++}`);
  const beats = async (): Promise<void> => {
    await atOnce(range(count), 64, (one) =>
      registry.heartbeat({ service: 'policy', replica: `host-${one}`, ...vitals }),
    );
  };
  await beats();
  const seconds = Math.ceil(4_000 / count);
  const cost = await costOf(redis, count * seconds, async () => {
    for (let second = 0; second < seconds; second++)
      for (let half = 0; half < 2; half++) {
        await beats();
        const alive = await registry.list('policy');
        if (alive.length !== count) throw new Error(`found ${alive.length} of ${count} replicas`);
      }
  });
  return { ...cost, redisBytes: 0 };
};

/** Sessions of agents: so many offered, and some of them taken, answered and ended while the others wait. A unit is one. */
export const sessions: Measure = async (server, count) => {
  const redis = await server.connect();
  const state = await newRun(redis, count, { inFlight: count, held: count, groups: count, history: count });
  await atOnce(range(Math.ceil(count / 100)), 1, () => state.admit(100));
  const offered = await costOf(redis, count, () =>
    atOnce(range(count), 64, (index) =>
      state.sessions.offer(1, {
        group: String(index),
        sample: { id: `s${index}`, prompt: '12+34=', answer: '46' },
        replica: '0',
        owner: 'owner',
      }),
    ),
  );
  const takenCount = Math.min(count, 1_000);
  const served = await costOf(redis, takenCount, () =>
    atOnce(range(takenCount), 8, async () => {
      const taken = await state.sessions.take(1);
      if (taken === null) throw new Error('no session waits');
      const { sessionId } = taken.sessions[0]!;
      await state.sessions.setReward(sessionId, 1);
      await state.sessions.end(sessionId);
    }),
  );
  await state.remove();
  state.close();
  return {
    clientMicros: offered.clientMicros + served.clientMicros,
    redisMicros: offered.redisMicros + served.redisMicros,
    redisBytes: offered.redisBytes,
  };
};
