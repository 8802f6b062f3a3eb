import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { loadModel } from '@forge/model';
import { episode } from '@forge/rl';
import { parametersHash, readSafetensors, readVersion, WeightStore } from '@forge/weights';
import { trainingEpisode } from '../training-episode.fixture';
import { Trainer } from '../trainer/trainer';
import { Policy } from './policy';

const model = join(__dirname, '../../../../models/arithmetic');
const adapter = { rank: 4, seed: 3 };
const greedy = { temperature: 0, maxTokens: 10 };
const root = mkdtempSync(join(tmpdir(), 'forge-adapter-'));
afterAll(() => {
  rmSync(root, { recursive: true });
});

let count = 0;
const trainerOf = (config: object = {}) =>
  thisProc().spawn('trainer', Trainer, {
    ...{ model, adapter, dir: join(root, String(count++)), algorithm: { name: 'reinforce' } },
    optimizer: { learningRate: 0.02, warmupSteps: 0 },
    ...config,
  });
const policyOf = (worker: object = {}) =>
  thisProc().spawn('policy', Policy, { worker: { model, adapter, ...worker }, sampling: { maxTokens: 10 } });
const episodes = (version: number) =>
  [1, -0.5].map((advantage) => trainingEpisode(advantage, [version, version, version]));

describe('a policy with an adapter', () => {
  it('samples with what the trainer announces of it, a small part of the model', async () => {
    const [policy, trainer] = await Promise.all([policyOf(), trainerOf()]);
    const whole = await thisProc().spawn('trainer', Trainer, { model, dir: join(root, 'whole') });
    const first = await trainer.publishWeights.callOne();
    const prompt = '82-1=';
    const [before] = await policy.generate.callOne(prompt, greedy);
    // The text of the base model, under the name of the adapter that changes nothing yet.
    expect(before).toMatchObject({ text: '<11>11', weightHashes: { '0': first.sha256 } });
    expect(await policy.applyWeights.callOne(first)).toBe(0);
    const wrong = episode(before!, { reward: 0, rewards: {} });
    for (const version of [0, 1])
      await trainer.trainStep.callOne([
        { ...wrong, versions: wrong.versions.map((v) => (v < 0 ? v : version)), advantage: -1 },
      ]);
    const announced = await trainer.publishWeights.callOne();
    expect(announced.sizeBytes).toBeLessThan(0.2 * (await whole.publishWeights.callOne()).sizeBytes);
    expect(await policy.applyWeights.callOne(announced)).toBe(2);
    const [after] = await policy.generate.callOne(prompt, greedy);
    expect(after!.text).not.toBe(before!.text);
    expect(after!.weightHashes).toEqual({ '2': announced.sha256 });
    const recorded = episode(after!, { reward: 0, rewards: {} });
    expect(await policy.mismatch.callOne(recorded)).toBeLessThan(1e-4);
    const { logprobMismatch } = await trainer.trainStep.callOne([{ ...recorded, advantage: -1 }]);
    expect(logprobMismatch).toBeGreaterThan(0);
    expect(logprobMismatch).toBeLessThan(1e-4);
    await Promise.all([policy.stop(), trainer.stop(), whole.stop()]);
  });

  it('refuses a version that it would not generate with, and takes the next one', async () => {
    const [policy, trainer] = await Promise.all([policyOf(), trainerOf()]);
    await policy.applyWeights.callOne(await trainer.publishWeights.callOne());
    await trainer.trainStep.callOne(episodes(0));
    const announced = await trainer.publishWeights.callOne();
    const mine = announced.canary!;
    expect(mine.logprobs).toHaveLength(mine.tokenIds.length - 1);

    // Bytes in the place of the announced ones, with a checksum that fits them.
    const replaced = await readSafetensors(announced.path);
    for (const { data } of replaced.values()) data.forEach((x, i) => (data[i] = x * 0.5));
    const store = new WeightStore({ dir: join(root, 'replaced'), keep: 2 });
    const other = { ...(await store.publish(1, 0, replaced)), canary: mine };
    await expect(policy.applyWeights.callOne(other)).rejects.toMatchObject({
      code: 'CONTRACT_CANARY_MISMATCH',
      message: expect.stringMatching(
        /^version 1 is refused: token \d+ of its canary has the log-prob/,
      ) as string,
    });
    expect(await policy.version.callOne()).toBe(0);
    // A checksum that does not fit is the older error.
    const bytes = readFileSync(announced.path);
    writeFileSync(announced.path, Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)]));
    await expect(policy.applyWeights.callOne(announced)).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
    });
    writeFileSync(announced.path, bytes);
    expect(await policy.applyWeights.callOne(announced)).toBe(1);
    await Promise.all([policy.stop(), trainer.stop()]);
  });

  it('refuses the first version, too, and begins with one that proves itself', async () => {
    const [policy, trainer] = await Promise.all([
      policyOf({ adapter: { ...adapter, alpha: 3 } }),
      trainerOf(),
    ]);
    await trainer.trainStep.callOne(episodes(0));
    const announced = await trainer.publishWeights.callOne();
    await expect(policy.applyWeights.callOne(announced)).rejects.toMatchObject({
      code: 'CONTRACT_CANARY_MISMATCH',
    });
    const fresh = await trainerOf();
    expect(await policy.applyWeights.callOne(await fresh.publishWeights.callOne())).toBe(0);
    await Promise.all([policy.stop(), trainer.stop(), fresh.stop()]);
  });
});

describe('a trainer with an adapter', () => {
  it('goes on from checkpoints and published versions with the same bits, and goes back', async () => {
    const trainer = await trainerOf();
    const hashes = [(await trainer.publishWeights.callOne()).sha256];
    await trainer.trainStep.callOne(episodes(0));
    const [checkpoint, published] = [
      await trainer.checkpoint.callOne(),
      await trainer.publishWeights.callOne(),
    ];
    hashes.push(published.sha256);
    await trainer.trainStep.callOne(episodes(1));
    hashes.push((await trainer.publishWeights.callOne()).sha256);
    for (const resumeFrom of [checkpoint, published]) {
      const resumed = await trainerOf({ resumeFrom });
      expect((await resumed.publishWeights.callOne()).sha256).toBe(hashes[1]);
      await resumed.trainStep.callOne(episodes(1));
      expect((await resumed.publishWeights.callOne()).sha256).toBe(hashes[2]);
      await resumed.stop();
    }
    await trainer.rollBack.callOne(1, hashes[1]!);
    expect((await trainer.publishWeights.callOne()).sha256).toBe(hashes[1]);
    expect(new Set(hashes).size).toBe(3);
    await trainer.stop();
  });

  it('names versions by adapter and base', async () => {
    const base = await loadModel(model);
    const [trainer, otherSeed] = await Promise.all([
      trainerOf(),
      trainerOf({ adapter: { ...adapter, seed: 4 } }),
    ]);
    const [one, other] = [await trainer.publishWeights.callOne(), await otherSeed.publishWeights.callOne()];
    expect(one.sha256).not.toBe(other.sha256);
    expect(readFileSync(one.path, 'latin1')).toContain(`"base":"${parametersHash(base.parameters)}"`);
    await Promise.all([trainer.stop(), otherSeed.stop()]);
  });

  it('saves the adapter in the layout of PEFT, which loads as the model with the adapter merged', async () => {
    const dir = join(root, 'saved');
    const trainer = await trainerOf({ dir });
    await trainer.trainStep.callOne(episodes(0));
    await trainer.save.callOne('model');
    const saved = join(dir, 'model');
    expect(JSON.parse(readFileSync(join(saved, 'adapter_config.json'), 'utf8'))).toMatchObject({
      ...{ peft_type: 'LORA', r: 4, lora_alpha: 32, lora_dropout: 0, base_model_name_or_path: model },
    });
    const stored = await readSafetensors(join(saved, 'adapter_model.safetensors'));
    expect(parametersHash(stored)).toBe(
      parametersHash(await readVersion(await trainer.publishWeights.callOne())),
    );
    expect(statSync(join(saved, 'adapter_model.safetensors')).size).toBeLessThan(200_000);
    const [merged, base] = [await loadModel(saved), await loadModel(model)];
    const name = 'model.layers.1.mlp.up_proj.weight';
    expect(merged.parameters.get(name)).not.toEqual(base.parameters.get(name));
    expect(merged.parameters.get('model.norm.weight')).toEqual(base.parameters.get('model.norm.weight'));
    // A policy with the merged model draws what one with the adapter beside the base draws.
    const [plain, adapted] = await Promise.all([policyOf({ model: saved, adapter: undefined }), policyOf()]);
    await adapted.applyWeights.callOne(await trainer.publishWeights.callOne());
    const [[a], [b]] = await Promise.all([
      plain.generate.callOne('12+7=', greedy),
      adapted.generate.callOne('12+7=', greedy),
    ]);
    expect(a!.tokenIds).toEqual(b!.tokenIds);
    a!.logprobs.forEach((logprob, t) => expect(Math.abs(logprob - b!.logprobs[t]!)).toBeLessThan(1e-4));
    await Promise.all([trainer.stop(), plain.stop(), adapted.stop()]);
  });
});
