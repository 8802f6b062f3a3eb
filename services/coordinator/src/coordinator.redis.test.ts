import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunState } from '@forge/broker';
import { encode, type RolloutJob } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { Evaluations } from './evaluations';
import { Lifecycle } from './lifecycle/lifecycle';
import { RunDirectory } from './recording/run-directory';
import { RunSinks } from './recording/sinks/run-sinks';
import { StepWork } from './step-work';
import { TelemetryRecorder } from './recording/telemetry-recorder';

const sample = (index: number) => ({ id: `s${index}`, prompt: `${index}+0=`, answer: String(index) });
const task = { size: 100, sample, heldOut: Array.from({ length: 70 }, (_, k) => sample(1000 + k)) };
const logger = { info: () => undefined, warn: () => undefined } as never;

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

const states: RunState[] = [];
afterEach(() => {
  for (const state of states.splice(0)) state.close();
});

/** Sets the version as if so many steps were trained. */
async function committed(state: RunState, version: number): Promise<void> {
  await (await redis.connect()).hset(state.keys.run, 'version', version);
}

async function newRun(maxStaleness: number, steps = 4) {
  const state = new RunState(
    await redis.connect(),
    `run-${states.length}-${maxStaleness}-${performance.now()}`,
  );
  states.push(state);
  await state.create({}, { maxStaleness, candidatesPerBatch: 2, steps, stopAtAccuracy: 0.9 });
  return {
    state,
    ...(await coordinate(state, mkdtempSync(join(tmpdir(), 'forge-run-')))),
  };
}

async function coordinate(state: RunState, dir: string) {
  const jobs: RolloutJob[] = [];
  const again: RolloutJob[] = [];
  const counts = { waiting: 0, active: 0 };
  const queue = {
    add: (added: readonly RolloutJob[]) => Promise.resolve(void jobs.push(...added)),
    addAgain: (added: readonly RolloutJob[]) => Promise.resolve(void again.push(...added)),
    counts: () => Promise.resolve(counts),
  };
  const evaluations = new Evaluations();
  const reported = new StepWork();
  const coordinator = await state.newCoordinator();
  const directory = await RunDirectory.open(dir);
  const recorder = await TelemetryRecorder.open({
    ...{ runState: state, directory, evaluations, reported },
    sinks: new RunSinks([]),
    mayWrite: () => state.checkCoordinator(coordinator),
    services: ['policy', 'trainer'],
    tune: () => Promise.resolve({}),
    warn: () => undefined,
  });
  const lifecycle = await Lifecycle.open({
    ...{ runState: state, queue, task, evaluations, reported, coordinator, logger },
    registry: { list: () => Promise.resolve([]) },
    evaluation: { everySteps: 2, samples: 65 },
    candidatesPerBatch: 2,
    tokensPerBatch: 100,
    services: ['policy', 'trainer'],
    stallMs: 10_000,
    isModelSaved: () => recorder.isModelSaved,
    openRollouts: { origin: () => undefined, end: () => undefined },
    draws: null,
  });
  const rollouts = () => jobs.flatMap((job) => (job.kind === 'rollout' ? [job.index] : []));
  const samples = () =>
    Object.fromEntries(jobs.flatMap((job) => (job.kind === 'rollout' ? [[job.index, job.sample.id]] : [])));
  const asked = () =>
    jobs.flatMap((job) => (job.kind === 'evaluation' ? [[job.minVersion, job.samples.length]] : []));
  const askedAgain = () =>
    again.splice(0).map((job) => (job.kind === 'rollout' ? job.index : `evaluation ${job.part}`));
  return { dir, evaluations, recorder, lifecycle, counts, rollouts, samples, asked, askedAgain };
}

async function evaluated(state: RunState, version: number, correct: number): Promise<void> {
  for (const [part, total] of [64, 1].entries()) {
    await state.emit({
      kind: 'evaluation',
      version,
      part,
      parts: 2,
      correct: part === 0 ? correct : 0,
      total,
    });
  }
}

const rowsOf = (dir: string): Record<string, number>[] =>
  readFileSync(join(dir, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);

let reports = 0;
const recordedOnce = (total: number) => ({
  ...{ kind: 'recorded' as const, service: 'policy', replica: '0', incarnation: 'a', sequence: reports++ },
  reports: [{ rank: '', states: { 'user/calls': { reduce: 'sum' as const, total } }, values: [] }],
});

describe('coordinator', () => {
  it('holds the rollouts of a synchronous run until the version they start from is evaluated', async () => {
    const { state, lifecycle, recorder, rollouts, asked } = await newRun(0);
    await lifecycle.turn();
    expect(asked()).toEqual([
      [0, 64],
      [0, 1],
    ]);
    expect(rollouts()).toEqual([]);
    await evaluated(state, 0, 13);
    await recorder.catchUp();
    await lifecycle.turn();
    expect(rollouts()).toEqual([0, 1]);
    expect((await state.ledger()).inFlight).toBe(2);
  });

  it('rolls the sample of a replayed dead letter out under the next index, also after a crash', async () => {
    const { state, dir, lifecycle } = await newRun(1);
    await lifecycle.turn();
    const failure = { code: 'BUG_INVARIANT', message: 'boom', attempts: 3, payload: '{}' };
    await state.rejectGroup({ index: 2 }, 'failed', failure);
    await state.deadLetters.replay('r-2');
    const successor = await coordinate(state, dir);
    await successor.lifecycle.turn();
    const again = await coordinate(state, dir);
    await again.lifecycle.turn();
    for (const { samples } of [successor, again])
      expect(samples()).toEqual({ 0: 's0', 1: 's1', 3: 's3', 4: 's2' });
  });

  it('overlaps evaluation and rollouts in an asynchronous run, up to the staleness bound', async () => {
    const { lifecycle, rollouts } = await newRun(1);
    await lifecycle.turn();
    expect(rollouts()).toEqual([0, 1, 2, 3]);
  });

  it('lets go what a synchronous run holds once it is set to be asynchronous, and ends where it is set to', async () => {
    const { state, lifecycle, rollouts } = await newRun(0);
    await lifecycle.turn();
    expect(rollouts()).toEqual([]);
    await state.controls.set({ maxStaleness: 1, steps: 1 });
    await lifecycle.turn();
    expect(rollouts()).toEqual([0, 1]);
    await state.controls.set({ steps: 0 });
    await lifecycle.turn();
    expect(await state.phase()).toEqual({ phase: 'stopping', message: 'all 0 steps are done' });
  });

  it('writes every change to the running run down once', async () => {
    const { state, recorder, dir } = await newRun(0);
    await state.controls.set({ maxStaleness: 1 });
    await state.controls.pause();
    await recorder.catchUp();
    const successor = await coordinate(state, dir);
    await successor.recorder.catchUp();
    const lines = readFileSync(join(dir, 'controls.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { operation: 'set', name: 'maxStaleness', from: '0', to: '1', version: 0 },
      { operation: 'pause', name: 'admission', from: '', to: '1', version: 0 },
    ]);
  });

  it('queues again after a crash what was admitted and has no result', async () => {
    const { state, lifecycle, dir } = await newRun(1);
    await lifecycle.turn();
    await state.publishGroup(1, Buffer.from('group'));
    const successor = await coordinate(state, dir);
    await successor.lifecycle.turn();
    expect(successor.rollouts()).toEqual([0, 2, 3]);
  });

  it('queues again what has neither job nor result, once it was missed twice', async () => {
    const { state, lifecycle, counts, askedAgain } = await newRun(1);
    await lifecycle.turn();
    await state.publishGroup(1, Buffer.from('group'));
    counts.active = 1;
    for (let look = 0; look < 3; look++) await lifecycle.requeueLost();
    expect(askedAgain()).toEqual([]);
    counts.active = 0;
    await lifecycle.requeueLost();
    expect(askedAgain()).toEqual([]);
    await state.publishGroup(2, Buffer.from('group'));
    await evaluated(state, 0, 13);
    await lifecycle.requeueLost();
    expect(askedAgain()).toEqual([0, 3, 'evaluation 0', 'evaluation 1']);
  });

  it('does not miss the evaluation that came, nor the groups it holds', async () => {
    const { state, lifecycle, recorder, askedAgain } = await newRun(0);
    await lifecycle.turn();
    for (let look = 0; look < 2; look++) await lifecycle.requeueLost();
    expect(askedAgain()).toEqual(['evaluation 0', 'evaluation 1']);
    await evaluated(state, 0, 13);
    await recorder.catchUp();
    for (let look = 0; look < 2; look++) await lifecycle.requeueLost();
    expect(askedAgain()).toEqual([]);
  });

  it('stops at the accuracy, then evaluates the version that was saved and finishes', async () => {
    const { state, lifecycle, recorder, rollouts, evaluations } = await newRun(0);
    await lifecycle.turn();
    await evaluated(state, 0, 60);
    await recorder.catchUp();
    await lifecycle.turn();
    expect((await state.phase()).phase).toBe('stopping');
    expect(await lifecycle.turn()).toBeNull();
    expect(rollouts()).toEqual([]);
    await state.emit({ kind: 'run', state: 'saved' });
    await recorder.catchUp();
    expect(await lifecycle.turn()).toBe('finished');
    expect(evaluations.results).toEqual([{ version: 0, accuracy: 60 / 65, unjudged: 0 }]);
  });

  it('writes the row of a step when it is committed, once, and at the end completes the last', async () => {
    const { state, recorder, dir } = await newRun(1);
    await committed(state, 2);
    await evaluated(state, 0, 13);
    await state.emit({ kind: 'step', step: 1, values: { loss: 1 } });
    await recorder.catchUp();
    expect(rowsOf(dir)).toMatchObject([{ step: 1, loss: 1, 'eval/accuracy': 0.2, 'eval/version': 0 }]);
    await state.emit({ kind: 'step', step: 2, values: { loss: 2 } });
    await recorder.catchUp();
    const successor = await coordinate(state, dir);
    await evaluated(state, 2, 26);
    await state.emit(recordedOnce(3));
    await successor.recorder.catchUp();
    expect(rowsOf(dir)[1]).not.toHaveProperty('user/calls');
    await successor.recorder.close('interrupted');
    const rows = [
      { step: 1, loss: 1, 'eval/accuracy': 0.2, 'eval/version': 0 },
      { step: 2, loss: 2, 'eval/accuracy': 0.4, 'eval/version': 2, 'user/calls': 3 },
    ];
    expect(rowsOf(dir)).toMatchObject(rows);

    // The run goes on: what the last row was completed with is not counted again.
    await state.emit({ kind: 'run', state: 'resumed' });
    await committed(state, 3);
    await state.emit(recordedOnce(1));
    await state.emit({ kind: 'step', step: 3, values: { loss: 3 } });
    await coordinate(state, dir);
    expect(rowsOf(dir)).toMatchObject([...rows, { step: 3, 'eval/version': 2, 'user/calls': 1 }]);
    await state.emit(recordedOnce(1));
    // The recording was not closed before it goes on again.
    await state.emit({ kind: 'run', state: 'resumed' });
    await coordinate(state, dir);
    expect(rowsOf(dir)).toMatchObject([...rows, { step: 3, 'user/calls': 2 }]);
  });

  it('neither admits nor writes any more once another one took over', async () => {
    const { state, lifecycle, recorder, dir } = await newRun(1);
    const successor = await coordinate(state, dir);
    await expect(lifecycle.turn()).rejects.toMatchObject({ code: 'STALE_EPOCH' });
    expect((await state.ledger()).admitted).toBe(0);
    await successor.lifecycle.turn();
    expect(successor.rollouts()).toEqual([0, 1, 2, 3]);
    await committed(state, 2);
    for (const step of [1, 2]) await state.emit({ kind: 'step', step, values: {} });
    await expect(recorder.catchUp()).rejects.toMatchObject({ code: 'STALE_EPOCH' });
    await successor.recorder.catchUp();
    await successor.recorder.close('finished');
    expect(rowsOf(dir).map(({ step }) => step)).toEqual([1, 2]);
  });

  it('takes telemetry that makes no sense off the stream, and counts it once', async () => {
    const { state, recorder, dir } = await newRun(1);
    const connection = await redis.connect();
    const garbage = [Buffer.from('nonsense'), encode({ kind: 'step', step: NaN, values: {} })];
    for (const bytes of garbage) await connection.xadd(state.keys.telemetry, '*', 'event', bytes);
    await state.emit({ kind: 'step', step: 7, values: {} });
    await state.emit({ kind: 'service', service: 'nobody', replica: '0', values: {} });
    await committed(state, 1);
    await state.emit({ kind: 'step', step: 1, values: { loss: 1 } });
    await recorder.catchUp();
    await coordinate(state, dir);
    expect(await state.rejections.totals()).toEqual({
      'telemetry/not-msgpack': 1,
      'telemetry/wrong-shape': 1,
      'telemetry/unknown': 2,
    });
    expect(await connection.xlen(state.keys.telemetry)).toBe(1);
  });
});
