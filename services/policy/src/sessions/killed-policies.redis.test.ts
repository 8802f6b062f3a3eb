import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectService, type Service } from '@forge/actors';
import {
  openRolloutQueue,
  Registry,
  type Admission,
  RunState,
  type Redis,
  type RolloutQueue,
} from '@forge/broker';
import {
  decode,
  groupSchema,
  type ChatMessage,
  type RolloutJob,
  type SessionAnswer,
  type SessionCall,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { AgentSessions } from '@forge/rl-actors';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { agentRecipe } from './scripted-jobs.fixture';

const script = join(__dirname.replace('/src/', '/dist/'), 'session-policy.fixture.js');
const GROUPS = 3;
const TURNS = 12;
const REPLICAS = ['policy-0', 'policy-1'];

let runs = 0;
let runId: string;
let server: TestRedis;
let redis: Redis;
let state: RunState;
let queue: RolloutQueue;
const children = new Map<string, ChildProcess>();
const services = new Map<string, Service<AgentSessions>>();

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
beforeEach(async () => {
  runId = `killed-policies-${runs++}`;
  state = new RunState(redis, runId);
  await state.create(agentRecipe({ sessions: true }), {
    ...{ maxStaleness: Infinity, candidatesPerBatch: GROUPS, steps: 1 },
  });
  queue = await openRolloutQueue(server.url, runId);
});
afterEach(async () => {
  for (const child of children.values()) child.kill('SIGKILL');
  await Promise.all([...services.values()].map((service) => service.shutdown()));
  children.clear();
  services.clear();
  await queue.close(true);
  state.close();
});
afterAll(() => server.stop());

function start(replica: string): ChildProcess {
  const stdio = ['ignore', 'inherit', 'inherit'] as const;
  const child = spawn(process.execPath, [script, server.url, runId, replica], { stdio: [...stdio] });
  children.set(replica, child);
  return child;
}

/** The sessions at a replica, whatever process that is by now. */
function sessionsAt(replica: string): Service<AgentSessions> {
  const known = services.get(replica);
  if (known !== undefined) return known;
  const registry = new Registry(redis, runId);
  const list = async () =>
    (await registry.all('policy')).flatMap(({ replica: name, pid, isAlive, answers }) =>
      name === replica && answers !== null ? [{ name, pid, isAlive, ...answers }] : [],
    );
  const service = connectService(replica, AgentSessions, { list }, { timeoutMs: 2_000 });
  services.set(replica, service);
  return service;
}

/** Calls as a gateway does: wherever the session is, and again as a retry when that is lost. */
async function ask(sessionId: string, messages: ChatMessage[]): Promise<SessionAnswer> {
  const digest = createHash('sha256').update(JSON.stringify(messages)).digest('hex');
  const call: SessionCall = { sessionId, digest, isRetry: false, messages, tools: [] };
  for (;;) {
    const { replica } = (await state.sessions.byId(sessionId))!;
    try {
      return await sessionsAt(replica).answer.choose(call);
    } catch (error) {
      if (!ForgeError.from(error).retryable) throw error;
      call.isRetry = true;
      await sleep(50);
    }
  }
}

/** Admits groups, whose jobs are queued. */
async function admit(count: number, sampleId?: string): Promise<Admission[]> {
  const admitted = await state.admit(count);
  await queue.add(
    admitted.map(({ index, minVersion }): RolloutJob => {
      const sample = { id: sampleId ?? `s${index}`, prompt: 'p' };
      return { kind: 'rollout', schemaVersion: 1, index, minVersion, sample };
    }),
  );
  return admitted;
}

/** An agent of a session; the tokens of the answers that it was told. */
async function agent(sessionId: string, onTurn: () => void): Promise<number[]> {
  const messages: ChatMessage[] = [{ role: 'user', content: sessionId }];
  const told: number[] = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const { message, completion } = await ask(sessionId, messages);
    told.push(...completion.tokenIds);
    messages.push(message, { role: 'user', content: `turn ${turn}` });
    onTurn();
  }
  await state.sessions.setReward(sessionId, told.length);
  expect(await state.sessions.end(sessionId)).toBe('kept');
  return told;
}

it('lose no answer that an agent was told, and have none trained twice, when they are killed', async () => {
  const admitted = await admit(GROUPS);
  for (const replica of REPLICAS) start(replica);
  let turns = 0;
  const agents: Promise<[string, number[]]>[] = [];
  for (let group = 0; group < GROUPS; group++) {
    const { sessions } = await waitFor('an offer', () => state.sessions.take(2));
    for (const { sessionId } of sessions)
      agents.push(agent(sessionId, () => turns++).then((told) => [sessionId, told]));
  }
  const all = GROUPS * 2 * TURNS;
  // Killed in the middle of calls: one replica comes back under its name, the other leaves its sessions to it.
  for (const [kill, share] of [0.2, 0.45, 0.7].entries()) {
    await waitFor(`${share} of the turns`, () => turns >= share * all);
    const replica = REPLICAS[kill % 2]!;
    children.get(replica)!.kill('SIGKILL');
    if (kill !== 1) start(replica);
  }
  const told = new Map(await Promise.all(agents));
  await waitFor('the jobs', async () => (await queue.counts()).completed === GROUPS);
  const groups = (await state.readGroups('test', 10, 0)).map(({ payload }) =>
    decode(groupSchema, payload, 'group'),
  );
  expect(groups.map(({ index }) => index).sort()).toEqual(admitted.map(({ index }) => index));
  const trained = groups.flatMap(({ index, episodes }) =>
    episodes.map(({ rollout, tokenIds, mask, reward }) => {
      const chosen = [...tokenIds].filter((_, t) => mask[t] === 1);
      expect(reward).toBe(chosen.length);
      return [`${index}-${rollout}`, chosen] as const;
    }),
  );
  expect(trained).toHaveLength(GROUPS * 2);
  for (const [sessionId, tokens] of trained)
    expect([sessionId, tokens]).toEqual([sessionId, told.get(sessionId)]);
  expect(new Set([...told.values()].flat()).size).toBe(all + 1);
  expect(await state.ledger()).toMatchObject({ admitted: GROUPS, inFlight: GROUPS, isBalanced: true });
}, 60_000);

it('give no job up as they are killed with it five times', async () => {
  await admit(1);
  start('policy-0');
  const { sessions } = await waitFor('an offer', () => state.sessions.take(2));
  let turns = 0;
  const agents = sessions.map(({ sessionId }) => agent(sessionId, () => turns++));
  for (let kill = 1; kill <= 5; kill++) {
    await waitFor('turns', () => turns >= 3 * kill);
    children.get('policy-0')!.kill('SIGKILL');
    start('policy-0');
  }
  const told = (await Promise.all(agents)).flat();
  await waitFor('the job', async () => (await queue.counts()).completed === 1);
  const [group] = await state.readGroups('test', 1, 0);
  const { episodes } = decode(groupSchema, group!.payload, 'group');
  expect(episodes.flatMap(({ tokenIds, mask }) => [...tokenIds].filter((_, t) => mask[t] === 1))).toEqual(
    told,
  );
  expect(await state.deadLetters.list()).toEqual([]);
}, 60_000);

it('end a job that kills each of them as a dead letter that says so', async () => {
  const [{ index }] = (await admit(1, 'poison')) as [Admission];
  let deaths = 0;
  let letters = await state.deadLetters.list();
  while (letters.length === 0) {
    const child = start('policy-0');
    const died = once(child, 'exit').then(() => deaths++);
    await Promise.race([
      died,
      waitFor('a letter', async () => (await state.deadLetters.list()).length > 0, 60_000),
    ]);
    letters = await state.deadLetters.list();
  }
  expect(deaths).toBe(9);
  expect(letters).toMatchObject([
    {
      ...{ kind: 'rollout', index, code: 'TRANSIENT_REPLICA_LOST', attempts: 9 },
      message: expect.stringMatching(
        /^9 policies died while they had this job: .* seems to kill them$/,
      ) as string,
    },
  ]);
  expect(await state.ledger()).toMatchObject({ admitted: 1, inFlight: 0, discarded: { failed: 1 } });
  // The policy that was told of it lives.
  expect(children.get('policy-0')!.exitCode).toBeNull();
}, 120_000);
