import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import { loadModel, saveModel, type LoadedModel, type OptimizerState } from '@forge/model';
import { WeightStore } from '@forge/weights';
import { OptimizerStore } from './optimizer-store';
import { writeCheckpoint } from './checkpoint';
import { Checkpoints } from './checkpoints';
import { findResumePoint } from './resume-point';

let model: LoadedModel;
let dir: string;
beforeAll(async () => {
  model = await loadModel(join(__dirname, '../../../../models/arithmetic'));
});
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'forge-resume-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const state = (step: number): OptimizerState => ({
  step,
  firstMoments: model.parameters,
  secondMoments: model.parameters,
});

async function publish(version: number): Promise<WeightsAnnouncement> {
  const weights = join(dir, 'weights');
  const announcement = await new WeightStore({ dir: weights, keep: 4 }).publish(version, 2, model.parameters);
  await new OptimizerStore(weights).save(version, 2, { state: state(version), parameters: null });
  return announcement;
}

async function checkpoint(step: number, id = 'run'): Promise<string> {
  const path = new Checkpoints(dir).path(step);
  const run = { id, seed: 1, nextIndex: 0, trained: 0, metrics: {} };
  const save = (target: string): Promise<void> => saveModel(target, model, { dtype: 'F32' });
  await writeCheckpoint(
    path,
    { epoch: 1, maxStaleness: 0, run },
    { config: model.config, save },
    state(step),
  );
  return path;
}

const find = (version: number, announcement: WeightsAnnouncement | null) =>
  findResumePoint({ runId: 'run', dir, version, announcement });

const beside = (blob: string, name: string): string => join(dirname(blob), name);

function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
}

describe('findResumePoint', () => {
  it('is what was published, when that is whole', async () => {
    await checkpoint(5);
    const announcement = await publish(5);
    expect(await find(5, announcement)).toEqual({ from: announcement, note: null });
  });

  it('is the model of the run at version 0', async () => {
    expect(await find(0, await publish(0))).toEqual({ from: null, note: null });
  });

  it.each<[string, (blob: string) => void, string]>([
    ['the weights are changed', flip, '.safetensors: found sha256'],
    ['the weights are gone', (blob) => rmSync(blob), '.safetensors: it is missing'],
    [
      'the moments are cut',
      (blob) => truncateSync(beside(blob, 'v5-e2.optimizer.safetensors'), 100),
      'v5-e2.optimizer.safetensors: found 100 bytes',
    ],
    [
      'the moments are not sealed',
      (blob) => rmSync(beside(blob, 'v5-e2.optimizer.seal')),
      'v5-e2.optimizer.seal: it is missing',
    ],
  ])('is the checkpoint of the same step when %s', async (_what, spoil, reason) => {
    const path = await checkpoint(5);
    const announcement = await publish(5);
    spoil(announcement.path);
    const { from, note } = await find(5, announcement);
    expect(from).toBe(path);
    expect(note).toContain(reason);
    expect(note).toContain(`going on from ${path}, which is of the same step`);
  });

  it('is the checkpoint of the same step when nothing was announced', async () => {
    const path = await checkpoint(5);
    expect(await find(5, null)).toEqual({
      from: path,
      note: expect.stringContaining('nothing was announced') as string,
    });
  });

  it('is nothing when the checkpoint is older: a committed step is not taken back by itself', async () => {
    await checkpoint(4);
    const announcement = await publish(5);
    flip(announcement.path);
    await expect(find(5, announcement)).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringMatching(
        /^step 5 of run run is committed, but can't be read \(.*found sha256.*step-5.*missing.*\); forge resume run --from 4 goes back/,
      ) as string,
    });
  });

  it('is nothing when checkpoints are of another run', async () => {
    await checkpoint(5, 'other');
    await expect(find(5, null)).rejects.toMatchObject({
      message: expect.stringMatching(/a checkpoint of run other.*no good checkpoint either/) as string,
    });
  });
});
