import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { AlgorithmInput } from '@forge/config';
import { encode, type Batch, type Group } from '@forge/contracts';
import { createModel, saveModel } from '@forge/model';
import { trainingEpisode } from '../training-episode.fixture';
import { Trainer } from '../trainer/trainer';
import { recordedBaseSchema } from './record-file';
import { Recorder } from './recorder';
import { replay, type ReplayedStep, type ReplayOptions } from './replay';
import { TrainingRecord } from './training-record';

const arithmetic = join(__dirname, '../../../../models/arithmetic');
const root = mkdtempSync(join(tmpdir(), 'forge-replayed-'));
// Files that are written on the way are among no others.
process.env['TMPDIR'] = root;
afterAll(() => {
  rmSync(root, { recursive: true });
});

/** A batch of two rollouts, the first in two parts, whose tokens are one version old, where there is an older one. */
function batchOf(step: number): { batch: Batch; payload: Buffer } {
  const advantages = [1, 1, Float32Array.of(0, 0, -0.5, 2, 0.25)];
  const version = Math.max(0, step - 1);
  const episodes = advantages
    .map(() => trainingEpisode(0, [version, version, version]))
    .map(({ advantage: _advantage, ...episode }, part) => ({ ...episode, rollout: part < 2 ? 0 : 1 }));
  const group: Group = {
    schemaVersion: 3,
    runId: 'run',
    index: step,
    sampleId: 's',
    promptText: '',
    replica: '0',
    weightHashes: {},
    episodes,
  };
  return {
    batch: { schemaVersion: 4, version: step, groups: [{ index: step, advantages }], statistics: {} },
    payload: encode(group),
  };
}

describe.each<[string, AlgorithmInput & { name: string }]>([
  ['grpo', { name: 'grpo' }],
  ['dapo by rollouts', { name: 'dapo', normalization: 'rollout' }],
  ['ppo with several updates a batch', { name: 'ppo', updatesPerBatch: 2, minibatches: 2 }],
])('replay of %s', (_, algorithm) => {
  const dir = join(root, `record-${algorithm.name}`);
  const hashes: string[] = [];

  async function collect(options: ReplayOptions): Promise<ReplayedStep[]> {
    const steps: ReplayedStep[] = [];
    for await (const step of replay(await TrainingRecord.open(dir), options)) steps.push(step);
    return steps;
  }

  beforeAll(async () => {
    const optimizer = { learningRate: 1e-3, warmupSteps: 0 };
    const settings = recordedBaseSchema.shape.trainer.parse({ model: arithmetic, algorithm, optimizer });
    const trainer = await thisProc().spawn('trainer', Trainer, { ...settings, dir: root, maxStaleness: 1 });
    const recorder = await Recorder.open(dir, 'run', 0, 1);
    hashes.push((await trainer.publishWeights.callOne()).sha256);
    await recorder.base(settings, hashes[0]!);
    for (const step of [0, 1, 2]) {
      const { batch, payload } = batchOf(step);
      await trainer.trainBatch.callOne(batch, [payload]);
      hashes.push((await trainer.publishWeights.callOne()).sha256);
      await recorder.step(batch, [payload], hashes[step + 1]!);
    }
    // Step 3 goes back to version 1, and is trained on after that.
    const [untrained, next] = [batchOf(3), batchOf(4)];
    await trainer.rollBack.callOne(1, hashes[1]!);
    hashes.push((await trainer.publishWeights.callOne()).sha256);
    await recorder.step(untrained.batch, [untrained.payload], hashes[4]!, 1);
    await trainer.trainBatch.callOne(next.batch, [next.payload]);
    hashes.push((await trainer.publishWeights.callOne()).sha256);
    await recorder.step(next.batch, [next.payload], hashes[5]!);
    await trainer.stop();
  });

  it('comes to the weights of every step, also where it went back, and leaves nothing behind', async () => {
    const expected = hashes.map((weightsHash, version) => ({ version, weightsHash, recorded: weightsHash }));
    // Another process may replay something at the same time.
    const replays = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('forge-replay-'));
    const before = replays();
    expect(hashes[4]).toBe(hashes[1]);
    expect(new Set(hashes).size).toBe(5);
    expect(await collect({ to: 5 })).toEqual(expected);
    expect(await collect({ to: 1 })).toEqual(expected.slice(0, 2));
    expect(replays()).toEqual(before);
  });

  it('shows the first step that differs', async () => {
    const recorder = await Recorder.open(dir, 'run', 5, 1);
    const { batch, payload } = batchOf(1);
    const others = { ...batch, groups: [{ index: 1, advantages: [-1, -1, -1] }] };
    await recorder.step(others, [payload], hashes[2]!);
    const steps = await collect({ to: 3 });
    expect(steps.map(({ weightsHash, recorded }) => weightsHash === recorded)).toEqual([
      true,
      true,
      false,
      false,
    ]);
    await recorder.step(batch, [payload], hashes[2]!);
  });

  it('refuses another base model, by its hash', async () => {
    const file = (name: string) => JSON.parse(readFileSync(join(arithmetic, name), 'utf8')) as object;
    const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
    const model = join(root, 'other');
    await saveModel(
      model,
      createModel(Object.fromEntries(names.map((name) => [name, file(name)])) as never, 7),
      { dtype: 'F32' },
    );
    await expect(collect({ to: 3, model })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`expected ${hashes[0]}, from which the run started`) as string,
    });
  });

  it('says when there is no base model', async () => {
    const model = join(root, 'nowhere');
    await expect(collect({ to: 3, model })).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
  });

  it('checks every file before it trains', async () => {
    await expect(collect({ to: 6 })).rejects.toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: expect.stringContaining('version 6 is missing') as string,
    });
  });
});
