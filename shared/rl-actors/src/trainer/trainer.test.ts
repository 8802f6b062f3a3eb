import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { thisProc } from '@forge/actors';
import { encode, type Group } from '@forge/contracts';
import { loadModel } from '@forge/model';
import { waitFor } from '@forge/testing';
import { parametersHash, readSafetensors, readVersion, WeightStore, writeSafetensors } from '@forge/weights';
import { trainingEpisode } from '../training-episode.fixture';
import { onMicroBatches, type MicroBatches } from './micro-batches';
import { Trainer } from './trainer';
import type { TrainerConfig } from './trainer-config';

const model = join(__dirname, '../../../../models/arithmetic');
const root = mkdtempSync(join(tmpdir(), 'forge-trainer-'));
afterAll(() => {
  rmSync(root, { recursive: true });
});

let trainers = 0;
function spawn(config: object = {}) {
  const dir = join(root, String(trainers++));
  const optimizer = { learningRate: 1e-3, warmupSteps: 0 };
  return thisProc().spawn('trainer', Trainer, { model, dir, optimizer, ...config });
}
const episodes = (version: number) =>
  [1, -0.5].map((advantage) => trainingEpisode(advantage, [version, version, version]));

describe('Trainer', () => {
  it('counts its steps, and gives the same bits for the same steps', async () => {
    const [first, second] = await Promise.all([spawn(), spawn()]);
    const base = await first.publishWeights.callOne();
    const result = await first.trainStep.callOne(episodes(0));
    expect(result).toMatchObject({ tokens: 6, learningRate: 1e-3, lag: { 'lag/mean': 0, 'lag/max': 0 } });
    expect(await second.trainStep.callOne(episodes(0))).toMatchObject({ loss: result.loss });
    const [one, other] = await Promise.all([first.publishWeights.callOne(), second.publishWeights.callOne()]);
    expect([base.version, one.version, await first.version.callOne()]).toEqual([0, 1, 1]);
    expect(one.sha256).toBe(other.sha256);
    expect(one.sha256).not.toBe(base.sha256);
    await Promise.all([first.stop(), second.stop()]);
  });

  it('trains on a batch of the pipeline as on its episodes', async () => {
    const [byEpisodes, byBatch] = await Promise.all([spawn(), spawn()]);
    await byEpisodes.trainStep.callOne(episodes(0));
    const group: Group = {
      schemaVersion: 3,
      runId: 'run',
      index: 4,
      sampleId: 's',
      promptText: '',
      replica: '0',
      weightHashes: { '0': '0'.repeat(64) },
      episodes: episodes(0).map(({ advantage: _advantage, ...one }) => one),
    };
    const batch = {
      schemaVersion: 4 as const,
      version: 0,
      groups: [{ index: 4, advantages: [1, -0.5] }],
      statistics: {},
    };
    await byBatch.trainBatch.callOne(batch, [encode(group)]);
    const [a, b] = await Promise.all([byEpisodes.publishWeights.callOne(), byBatch.publishWeights.callOne()]);
    expect(b.sha256).toBe(a.sha256);
    await expect(byBatch.trainBatch.callOne(batch, [encode(group)])).rejects.toMatchObject({
      message: 'batch 0 came to version 1 of the policy',
    });
    await Promise.all([byEpisodes.stop(), byBatch.stop()]);
  });

  it('trains on a batch larger than any frame between processes, which it is handed in either kind of memory', async () => {
    const trainer = await spawn();
    const text = 'x'.repeat(36 * 2 ** 20);
    const groups = [0, 1].map((index): Group => ({
      schemaVersion: 3,
      runId: 'run',
      index,
      sampleId: 's',
      promptText: '',
      replica: '0',
      weightHashes: {},
      episodes: episodes(0).map(({ advantage: _advantage, ...one }, k) => (k === 0 ? { ...one, text } : one)),
    }));
    const [own, another] = groups.map(encode);
    const shared = Buffer.from(new SharedArrayBuffer(another!.length));
    another!.copy(shared);
    const batch = (version: number) => ({
      schemaVersion: 4 as const,
      version,
      groups: groups.map(({ index }) => ({ index, advantages: [1, -0.5] })),
      statistics: {},
    });
    const result = await trainer.trainBatch.callOne(batch(0), [own!, shared]);
    expect(result.tokens).toBe(12);
    // Neither is taken away from the caller, who records it.
    expect([own!.length, shared.equals(another!)]).toEqual([another!.length, true]);
    await trainer.stop();
  });

  it('tells of every micro-batch while its step goes on', async () => {
    const trainer = await spawn({ optimizer: { microBatchTokens: 16 } });
    const other = await spawn();
    const told: MicroBatches[] = [];
    let isOver = false;
    let wasToldBefore = false;
    const end = onMicroBatches(join(root, String(trainers - 2)), (one) => {
      told.push(one);
      wasToldBefore ||= !isOver;
    });
    // Alike ones would be computed once.
    const many = Array.from({ length: 200 }, (_, i) => {
      const episode = trainingEpisode(1);
      episode.tokenIds.set([i % 10, Math.floor(i / 10) % 10]);
      return episode;
    });
    const step = trainer.trainStep.callOne(many).then(() => (isOver = true));
    await Promise.all([step, other.trainStep.callOne(episodes(0))]);
    await waitFor('the last micro-batch', () => Promise.resolve(told.at(-1)?.done === told.at(-1)?.of));
    end();
    const of = told.length - 1;
    expect(of).toBeGreaterThan(10);
    expect(told).toEqual(Array.from({ length: of + 1 }, (_, done) => ({ version: 0, done, of })));
    expect(wasToldBefore).toBe(true);
    await Promise.all([trainer.stop(), other.stop()]);
  });

  it('refuses tokens older than maxStaleness, and what is no episode', async () => {
    const trainer = await spawn({ maxStaleness: 1 });
    for (const version of [0, 0]) await trainer.trainStep.callOne(episodes(version));
    const stale = trainer.trainStep.callOne([...episodes(2), trainingEpisode(1, [2, 1, 0])]);
    await expect(stale).rejects.toMatchObject({
      code: 'STALE_EPISODE',
      message: 'episode 2: a token of version 0 reached the gradient of step 2; expected a lag of 0..1',
    });
    const none = trainer.trainStep.callOne([]);
    await expect(none).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
    expect(await trainer.version.callOne()).toBe(2);
    await trainer.stop();
  });

  it.each<[string, Partial<TrainerConfig>]>([
    ['grpo', {}],
    ['several updates a batch', { algorithm: { name: 'grpo', updatesPerBatch: 2, minibatches: 2 } }],
    ['ppo', { algorithm: { name: 'ppo', updatesPerBatch: 2 } }],
    ['ppo, published in half precision', { algorithm: { name: 'ppo' }, publishDtype: 'BF16' }],
  ])('goes on with the same bits from a checkpoint or a published version, with %s', async (_, config) => {
    const trainer = await spawn(config);
    await trainer.trainStep.callOne(episodes(0));
    const [checkpoint, published] = [
      await trainer.checkpoint.callOne(),
      await trainer.publishWeights.callOne(),
    ];
    await trainer.trainStep.callOne(episodes(1));
    const { sha256 } = await trainer.publishWeights.callOne();

    const resumed = await spawn({ ...config, resumeFrom: checkpoint });
    await resumed.trainStep.callOne(episodes(1));
    expect((await resumed.publishWeights.callOne()).sha256).toBe(sha256);
    expect(await trainer.resume.callOne(published)).toBe(1);
    await trainer.trainStep.callOne(episodes(1));
    expect((await trainer.publishWeights.callOne()).sha256).toBe(sha256);

    const successor = await spawn(config);
    expect(await successor.takeOver.callOne(7, published)).toBe(1);
    await successor.trainStep.callOne(episodes(1));
    expect(await successor.publishWeights.callOne()).toMatchObject({ sha256, epoch: 7, version: 2 });

    await expect(trainer.resume.callOne(model)).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringContaining('checkpoint.json: it is missing, so this is no checkpoint') as string,
    });
    expect(await trainer.version.callOne()).toBe(2);
    await Promise.all([trainer.stop(), resumed.stop(), successor.stop()]);
  });

  it('gives the same bits from a checkpoint when the model is saved in half precision', async () => {
    const half = { optimizer: { learningRate: 1e-3, warmupSteps: 0, dtype: 'BF16' } };
    const trainer = await spawn(half);
    await trainer.trainStep.callOne(episodes(0));
    const resumed = await spawn({ ...half, resumeFrom: await trainer.checkpoint.callOne() });
    const [one, other] = await Promise.all([
      trainer.publishWeights.callOne(),
      resumed.publishWeights.callOne(),
    ]);
    expect(other.sha256).toBe(one.sha256);
    await Promise.all([trainer.stop(), resumed.stop()]);
  });

  it.each(['BF16', 'F16'])(
    'gives the same bits from weights that were published in %s',
    async (publishDtype) => {
      const [trainer, exact] = await Promise.all([spawn({ publishDtype }), spawn()]);
      for (const one of [trainer, exact]) await one.trainStep.callOne(episodes(0));
      const [published, whole] = [
        await trainer.publishWeights.callOne(),
        await exact.publishWeights.callOne(),
      ];
      expect(published.sizeBytes / whole.sizeBytes).toBeCloseTo(0.5, 1);
      const [rounded, unrounded] = [await readVersion(published), await readVersion(whole)];
      const file = join(root, `${publishDtype}.safetensors`);
      await writeSafetensors(file, unrounded, { dtype: publishDtype as 'BF16' });
      expect(parametersHash(rounded)).toBe(parametersHash(await readSafetensors(file)));

      const resumed = await spawn({ publishDtype, resumeFrom: published });
      for (const one of [trainer, exact, resumed]) await one.trainStep.callOne(episodes(1));
      // Training itself is not rounded, and goes on from what it had.
      const hashes = [];
      for (const one of [trainer, exact, resumed])
        hashes.push(parametersHash((await loadModel(await one.checkpoint.callOne())).parameters));
      expect(hashes).toEqual([hashes[0], hashes[0], hashes[0]]);
      const { sha256 } = await trainer.publishWeights.callOne();
      expect((await resumed.publishWeights.callOne()).sha256).toBe(sha256);
      await trainer.rollBack.callOne(1, published.sha256);
      expect(await trainer.publishWeights.callOne()).toMatchObject({ version: 3, sha256: published.sha256 });
      await Promise.all([trainer.stop(), exact.stop(), resumed.stop()]);
    },
  );

  it('refuses moments of a published version that are cut, changed or gone', async () => {
    const trainer = await spawn();
    await trainer.trainStep.callOne(episodes(0));
    const published = await trainer.publishWeights.callOne();
    const moments = join(dirname(published.path), 'v1-e0.optimizer.safetensors');
    const bytes = readFileSync(moments);
    const changed = Buffer.from(bytes);
    changed[bytes.length - 1]! ^= 1;
    for (const [spoilt, problem] of [
      [changed, 'found sha256'],
      [bytes.subarray(1), 'bytes, expected'],
    ] as const) {
      writeFileSync(moments, spoilt);
      await expect(trainer.resume.callOne(published)).rejects.toMatchObject({
        code: 'CONTRACT_WEIGHTS_CORRUPT',
        message: expect.stringContaining(problem) as string,
      });
    }
    writeFileSync(moments, bytes);
    expect(await trainer.resume.callOne(published)).toBe(1);
    await trainer.stop();
  });

  it('goes back to a version that is kept, by a version of its own', async () => {
    const trainer = await spawn({ keepSeconds: 0 });
    const hashes: string[] = [(await trainer.publishWeights.callOne()).sha256];
    for (const version of [0, 1]) {
      await trainer.trainStep.callOne(episodes(version));
      if (version === 0) await trainer.checkpoint.callOne();
      hashes.push((await trainer.publishWeights.callOne()).sha256);
    }
    await trainer.rollBack.callOne(1, hashes[1]!);
    const back = await trainer.publishWeights.callOne();
    expect([back.version, back.sha256]).toEqual([3, hashes[1]]);
    const dir = dirname(back.path);
    const [, manifest] = (await new WeightStore({ dir, keep: 2 }).manifests()).slice(-2);
    expect(manifest).toMatchObject({ version: 3, parent: { version: 1, sha256: hashes[1] }, trained: null });

    // With the moments of that version: another trainer that takes them up there comes to the same bits.
    const other = await spawn({ resumeFrom: back });
    for (const one of [trainer, other]) await one.trainStep.callOne(episodes(3));
    expect((await other.publishWeights.callOne()).sha256).toBe(
      (await trainer.publishWeights.callOne()).sha256,
    );

    await trainer.rollBack.callOne(4);
    for (const version of [5, 6, 7]) {
      await trainer.trainStep.callOne(episodes(version));
      await trainer.publishWeights.callOne();
    }
    await expect(trainer.rollBack.callOne(2)).rejects.toMatchObject({
      code: 'CONFLICT_STATE',
      message: expect.stringMatching(/^version 2 is not kept any more/) as string,
    });
    expect(await trainer.version.callOne()).toBe(8);
    // Version 1 has a checkpoint.
    await trainer.rollBack.callOne(1, hashes[1]!);
    expect(await trainer.publishWeights.callOne()).toMatchObject({ version: 9, sha256: hashes[1] });
    await Promise.all([trainer.stop(), other.stop()]);
  });

  it('goes back to a version with its value model and its updates', async () => {
    const config = { algorithm: { name: 'ppo', minibatches: 2 } } as const;
    const trainer = await spawn(config);
    await trainer.trainStep.callOne(episodes(0));
    const first = await trainer.publishWeights.callOne();
    await trainer.trainStep.callOne(episodes(1));
    await trainer.rollBack.callOne(1, first.sha256);
    const back = await trainer.publishWeights.callOne();
    expect([back.version, back.sha256]).toEqual([3, first.sha256]);
    const other = await spawn({ ...config, resumeFrom: back });
    for (const one of [trainer, other]) await one.trainStep.callOne(episodes(3));
    const [checkpoint, otherCheckpoint] = [
      await trainer.checkpoint.callOne(),
      await other.checkpoint.callOne(),
    ];
    const moments = (dir: string) => readSafetensors(join(dir, 'optimizer.safetensors'));
    const [mine, its] = [await moments(checkpoint), await moments(otherCheckpoint)];
    expect([...mine.keys()]).toContain('critic.parameter.score.weight');
    // Two updates in each of the two steps that led to it.
    expect(mine.get('extraUpdates')?.data).toEqual(Float32Array.of(2));
    expect(parametersHash(its)).toBe(parametersHash(mine));
    await Promise.all([trainer.stop(), other.stop()]);
  });

  it('refuses a step beyond its limits and stays where it was', async () => {
    const trainer = await spawn({ rollback: { maxGradientNorm: 1e-6 } });
    const base = await trainer.publishWeights.callOne();
    await expect(trainer.trainStep.callOne(episodes(0))).rejects.toMatchObject({
      code: 'NUMERIC_LIMIT_EXCEEDED',
    });
    await trainer.rollBack.callOne(0, base.sha256);
    expect(await trainer.publishWeights.callOne()).toMatchObject({ version: 1, sha256: base.sha256 });
    await trainer.stop();
  });

  it('saves the model as it is, and keeps as many checkpoints as it is told', async () => {
    const dir = join(root, 'kept');
    const trainer = await spawn({ dir, keepCheckpoints: 2 });
    for (const version of [0, 1, 2]) {
      await trainer.trainStep.callOne(episodes(version));
      await trainer.checkpoint.callOne();
    }
    expect(readdirSync(join(dir, 'checkpoints')).sort()).toEqual(['step-2', 'step-3']);
    await trainer.save.callOne('model');
    const saved = (await loadModel(join(dir, 'model'))).parameters;
    const pushed = await readVersion(await trainer.publishWeights.callOne());
    expect(parametersHash(saved)).toBe(parametersHash(pushed));
    await trainer.stop();
  });
});
