/*
 * Forge, section by section: actors, meshes, services, and one step of reinforcement learning by hand.
 *
 *   npx tsx examples/introduction.ts            all of it, in about ten seconds
 *   npx tsx examples/introduction.ts --pause    waits in section 7 until you `kill -9` a replica
 *
 * docs/actors.md explains what happens here.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  endpoint,
  ForgeActor,
  runMain,
  shutdownService,
  spawnService,
  thisHost,
  thisProc,
  type Service,
} from '@forge/actors';
import { ForgeError } from '@forge/errors';
import { episode, withReference } from '@forge/rl';
import {
  ComputeAdvantages,
  Dataset,
  Policy,
  ReferenceModel,
  EpisodeBuffer,
  Reward,
  Trainer,
} from '@forge/rl-actors';

// 1. An actor is a class. What can be called by message is marked; everything else stays private to it. The class is
//    exported, since other processes look it up in this file.
export class Counter extends ForgeActor {
  constructor(private count: number) {
    super();
  }

  @endpoint()
  increment(): void {
    this.count += 1;
  }

  // Idempotent: may be asked again elsewhere when a replica dies before it has answered.
  @endpoint({ idempotent: true })
  value(): number {
    return this.count;
  }

  @endpoint()
  fail(): void {
    throw new Error('I was asked to fail');
  }
}

function title(text: string): void {
  console.log(`\n${text}`);
}

async function actorsAndMeshes(): Promise<void> {
  title('2. Spawn an actor and send it messages');
  // The actor lives in this process here; it is called like any other.
  const counter = await thisProc().spawn('counter', Counter, 10);
  await counter.increment.callOne();
  console.log(`  after one increment: ${await counter.value.callOne()}`);
  await counter.stop();

  title('3. A mesh: one actor in each of four processes');
  // Dimensions are names to slice by; here all processes are on this machine.
  await using procs = await thisHost().spawnProcs({ hosts: 2, gpus: 2 });
  const counters = await procs.spawn('counters', Counter, 0);
  console.log(`  ${counters.size} actors in processes ${procs.pids.join(', ')}`);
  await counters.slice({ hosts: 0 }).increment.call();
  const values = await counters.value.call();
  console.log(`  after an increment on host 0: ${values.values.join(' ')}`);
  console.log(`  the one at hosts 0, gpus 1 says ${values.get({ hosts: 0, gpus: 1 })}`);

  // Fire and forget: no answer. Messages of one sender stay in order, so the values below come after it.
  title('4. Broadcast');
  counters.increment.broadcast();
  console.log(`  after a broadcast: ${(await counters.value.call()).values.join(' ')}`);
}

async function services(): Promise<void> {
  title('5. A service: four replicas behind one handle, with adverbs for who answers');
  const counters = await spawnService({ name: 'counters', numReplicas: 4 }, Counter, 0);
  for (let i = 0; i < 8; i++) await counters.increment.choose();
  console.log(`  eight increments, balanced over all: ${(await counters.value.call()).join(' ')}`);

  title('6. A sticky session: all its calls go to one replica, which keeps state between them');
  {
    await using session = counters.session();
    for (let i = 0; i < 3; i++) await counters.increment.choose();
    console.log(
      `  three increments in a session: ${await counters.value.choose()} (replica ${session.replica})`,
    );
  }
  console.log(`  and all replicas: ${(await counters.value.call()).join(' ')}`);

  title('7. Failure and recovery');
  await failure(counters);

  title('8. Shutdown');
  await shutdownService(counters);
  console.log('  the service is gone, and so are its processes');
}

async function failure(counters: Service<Counter>): Promise<void> {
  // An exception reaches the caller. The state of that replica is suspect, so a fresh one takes its place.
  let recovered = recovery(counters);
  const error = await counters.fail.choose().catch((thrown: unknown) => ForgeError.from(thrown));
  console.log(`  the caller gets: ${error?.code}: ${error?.message}`);
  console.log(`  replica ${await recovered} was replaced: ${(await counters.value.call()).join(' ')}`);

  // A wrong call is the caller's mistake; the replica lives on.
  const untyped = counters.value as unknown as { choose(tooMany: number): Promise<unknown> };
  const refusal = await untyped.choose(1).catch((thrown: unknown) => ForgeError.from(thrown));
  console.log(`  a wrong call: ${(refusal as ForgeError).code}, healthy: ${healthy(counters)} of 4`);

  // A process that dies is noticed at once. Calls go on with the others, and a new process starts.
  recovered = recovery(counters);
  const pids = counters.replicas().map((replica) => replica.pids[0]!);
  if (process.argv.includes('--pause')) console.log(`  kill -9 one of the replicas: ${pids.join(', ')}`);
  else process.kill(pids[1]!, 'SIGKILL');
  const index = await recovered;
  const status = counters.replicas()[index]!;
  console.log(`  replica ${index} was killed; process ${status.pids[0]} took over for ${pids[index]}`);
  console.log(`  healthy: ${healthy(counters)} of 4, values: ${(await counters.value.call()).join(' ')}`);
}

/** The index of the next replica that has been replaced. */
function recovery(service: Service<Counter>): Promise<number> {
  return new Promise((resolve) => {
    service.on('replica-recovered', ({ replica }) => {
      resolve(replica);
    });
  });
}

function healthy(service: Service<Counter>): number {
  return service.metrics().service.healthyReplicas;
}

const MODEL = join(__dirname, '../models/arithmetic');
const [GROUP_SIZE, GROUPS, MAX_STEPS] = [8, 16, 40];
const GREEDY = { n: 1, temperature: 0 };

type Parts = Awaited<ReturnType<typeof spawnParts>>;

/** Parts that compute get processes of their own; quick ones live in this one. */
async function spawnParts(dir: string) {
  const algorithm = { name: 'grpo', klCoefficient: 0.01 } as const;
  const [policy, reference, trainer] = await Promise.all([
    Policy.options({ name: 'policy', numReplicas: 2, maxConcurrent: 64 }).asService({
      worker: { model: MODEL },
      sampling: { n: GROUP_SIZE, maxTokens: 10 },
    }),
    ReferenceModel.asActor({ model: MODEL }),
    Trainer.asActor({ model: MODEL, dir, algorithm, optimizer: { learningRate: 3e-4, warmupSteps: 0 } }),
  ]);
  const here = thisProc();
  return {
    policy,
    reference,
    trainer,
    dataset: await here.spawn('dataset', Dataset, { task: { kind: 'arithmetic', maxDigits: 2 } }),
    reward: await here.spawn('reward', Reward, { rewards: [{ name: 'exact' }] }),
    advantages: await here.spawn('advantages', ComputeAdvantages, { algorithm }),
    buffer: await here.spawn('buffer', EpisodeBuffer, { batchSize: GROUPS * GROUP_SIZE, maxPolicyAge: 0 }),
  };
}

/** One prompt: generate a group, reward it, compare with the reference model, judge within the group, remember. */
async function rollOut({ dataset, policy, reward, reference, advantages, buffer }: Parts): Promise<void> {
  const sample = await dataset.sample.callOne();
  const completions = await policy.generate.choose(sample.prompt);
  const rewards = await Promise.all(
    completions.map((completion) => reward.evaluateResponse.callOne(sample, completion)),
  );
  const episodes = completions.map((completion, k) =>
    episode(completion, { reward: rewards[k]!, rewards: {} }),
  );
  const scores = await reference.judge.callOne(episodes.map(({ tokenIds }) => tokenIds));
  const worth = await advantages.compute.callOne(rewards);
  await Promise.all(
    withReference(episodes, scores).map((one, k) => buffer.add.callOne({ ...one, advantage: worth[k]! })),
  );
}

/** Roll out, train, push the weights, update the policy; what there is to tell. */
async function step(parts: Parts): Promise<string> {
  const { buffer, trainer, policy } = parts;
  await Promise.all(Array.from({ length: GROUPS }, () => rollOut(parts)));
  const [batch = []] = (await buffer.sample.callOne(await trainer.version.callOne())) ?? [];
  const { loss, tokens, lag } = await trainer.trainStep.callOne(batch);
  // Every replica takes the new weights at its next chunk of tokens; nothing waits for it.
  const versions = await policy.applyWeights.call(await trainer.publishWeights.callOne());
  const reward = batch.reduce((sum, one) => sum + one.reward, 0) / batch.length;
  const trained = `reward ${reward.toFixed(2)}, loss ${loss.toFixed(4)}, ${tokens} tokens, lag ${lag['lag/max']}`;
  return `${trained}; policies at version ${versions.join(' ')}`;
}

async function reinforcementLearning(dir: string): Promise<void> {
  title('9. The parts of reinforcement learning are actors too');
  const parts = await spawnParts(dir);
  const { policy, reference, trainer, dataset } = parts;
  console.log(`  policy: ${policy.replicas().length} replicas; reference model, trainer: a process each`);

  const exam = await dataset.heldOut.callOne(48);
  const answers = (): Promise<string[]> =>
    Promise.all(exam.map(async ({ prompt }) => (await policy.generate.choose(prompt, GREEDY))[0]!.text));
  const isRight = (answer: string, i: number): boolean => answer.replace(/<.*>/, '') === exam[i]!.answer;
  const before = await answers();
  console.log(`  it adds and subtracts badly: ${before.filter(isRight).length} of ${exam.length} right`);

  title('10. Synchronous steps, until an answer changes');
  let [after, learned, version] = [before, -1, 0];
  while (learned < 0 && version < MAX_STEPS) {
    console.log(`  step ${++version}: ${await step(parts)}`);
    after = await answers();
    learned = exam.findIndex((_, i) => !isRight(before[i]!, i) && isRight(after[i]!, i));
  }

  title('11. The weights have changed an answer');
  console.log(`  ${String(exam[learned]?.prompt)}`);
  console.log(`    version 0: ${before[learned]}`);
  console.log(`    version ${version}: ${after[learned]}, which is right`);
  await Promise.all([policy.shutdown(), reference.procs.stop(), trainer.procs.stop()]);
}

// Actor processes load this file for its classes; what is in runMain runs here only.
runMain(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'forge-introduction-'));
  process.once('exit', () => {
    rmSync(dir, { recursive: true, force: true });
  });
  // Ctrl-C: no process outlives the one that spawned it.
  process.once('SIGINT', () => process.exit(130));
  await actorsAndMeshes();
  await services();
  await reinforcementLearning(dir);
});
