import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  initializeAdapter,
  loadModel,
  saveAdapter,
  saveModel,
  type LoadedModel,
  type OptimizerState,
} from '@forge/model';
import { parametersHash, type Parameters } from '@forge/weights';
import { loadCheckpoint, readCheckpoint, writeCheckpoint, type RunPosition } from './checkpoint';
import { Checkpoints } from './checkpoints';

let model: LoadedModel;
let dir: string;
let checkpoints: Checkpoints;
beforeAll(async () => {
  model = await loadModel(join(__dirname, '../../../../models/arithmetic'));
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-checkpoints-'));
  checkpoints = new Checkpoints(dir);
});
afterEach(() => rmSync(dir, { recursive: true }));

const filled = (value: number): Parameters =>
  new Map(
    [...model.parameters].map(([name, { shape, data }]) => [
      name,
      { shape, data: data.map((x) => x * 0.1 + value) },
    ]),
  );
const stateOf = (step: number): OptimizerState => ({
  step,
  firstMoments: filled(step),
  secondMoments: filled(-step),
});
const run: RunPosition = { id: 'run', seed: 3, nextIndex: 17, trained: 8, metrics: { loss: 0.5 } };

async function write(step: number): Promise<string> {
  const path = checkpoints.path(step);
  const about = { epoch: 2, maxStaleness: 'inf' as const, run };
  const save = (target: string): Promise<void> =>
    saveModel(target, { ...model, parameters: filled(step) }, { dtype: 'F32' });
  await writeCheckpoint(path, about, { config: model.config, save }, stateOf(step));
  return path;
}

/** Changes one bit in the middle of a file. */
function flip(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(file, bytes);
}

describe('a checkpoint', () => {
  it('gives back what was written, to the bit, and says what it is', async () => {
    const path = await write(4);
    expect(await readCheckpoint(path)).toMatchObject({ step: 4, epoch: 2, maxStaleness: 'inf', run });
    const { parameters, state } = await loadCheckpoint(path, model);
    expect(parametersHash(parameters)).toBe(parametersHash(filled(4)));
    expect(state.step).toBe(4);
    expect(parametersHash(state.firstMoments)).toBe(parametersHash(filled(4)));
    expect(parametersHash(state.secondMoments)).toBe(parametersHash(filled(-4)));
    expect(parametersHash((await loadModel(path)).parameters)).toBe(parametersHash(filled(4)));
  });

  it.each<[string, (path: string) => void, RegExp]>([
    [
      'a bit of the weights',
      (path) => flip(join(path, 'model.safetensors')),
      /model\.safetensors: found sha256 .* expected/,
    ],
    [
      'a bit of the moments',
      (path) => flip(join(path, 'optimizer.safetensors')),
      /optimizer\.safetensors: found sha256/,
    ],
    [
      'the end of the moments',
      (path) => truncateSync(join(path, 'optimizer.safetensors'), 999),
      /optimizer\.safetensors: found 999 bytes, expected \d+/,
    ],
    ['the tokenizer', (path) => rmSync(join(path, 'tokenizer.json')), /tokenizer\.json: it is missing/],
    ['its description', (path) => rmSync(join(path, 'checkpoint.json')), /checkpoint\.json: it is missing/],
    [
      'half of its description',
      (path) => truncateSync(join(path, 'checkpoint.json'), 40),
      /checkpoint\.json: not JSON/,
    ],
  ])('is refused without %s', async (_what, spoil, message) => {
    const path = await write(4);
    spoil(path);
    await expect(loadCheckpoint(path, model)).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringMatching(message) as string,
    });
  });

  it('is refused for a model of another shape', async () => {
    const other = { ...model.config, heads: model.config.heads * 2 };
    await expect(loadCheckpoint(await write(1), { config: other })).rejects.toMatchObject({
      code: 'CONFLICT_STATE',
      message: expect.stringContaining('a checkpoint of another model') as string,
    });
  });
});

describe('a checkpoint of an adapter', () => {
  const adapter = { rank: 2, alpha: 4, targets: ['q_proj' as const, 'up_proj' as const] };
  const base = 'b'.repeat(64);

  it('is a folder of PEFT with moments, for the model that it was trained beside', async () => {
    const parameters = initializeAdapter(model.config, { ...adapter, seed: 1 });
    const path = checkpoints.path(3);
    const save = (target: string): Promise<void> =>
      saveAdapter(target, { base: 'models/arithmetic', adapter, parameters }, { dtype: 'F32' });
    const state = { step: 3, firstMoments: parameters, secondMoments: parameters };
    const about = { epoch: 2, maxStaleness: 0, run, base };
    await writeCheckpoint(path, about, { config: model.config, save }, state);
    expect(readdirSync(path).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'checkpoint.json',
      'optimizer.safetensors',
    ]);
    const loaded = await loadCheckpoint(path, { config: model.config, base });
    expect(parametersHash(loaded.parameters)).toBe(parametersHash(parameters));
    expect(parametersHash(loaded.state.firstMoments)).toBe(parametersHash(parameters));
    await expect(loadCheckpoint(path, { config: model.config, base: 'c'.repeat(64) })).rejects.toMatchObject({
      code: 'CONFLICT_STATE',
      message: `${path}: a checkpoint of an adapter to the weights bbbbbbbbbbbb, expected an adapter to cccccccccccc, which the run trains`,
    });
    await expect(loadCheckpoint(path, model)).rejects.toThrow('expected a whole model, which the run trains');
    flip(join(path, 'adapter_model.safetensors'));
    await expect(loadCheckpoint(path, { config: model.config, base })).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
    });
  });
});

describe('Checkpoints', () => {
  it('gives the newest that is whole, and why the newer ones were passed over', async () => {
    for (const step of [9, 10, 11]) await write(step);
    flip(join(checkpoints.path(11), 'model.safetensors'));
    rmSync(join(checkpoints.path(10), 'checkpoint.json'));
    expect(await checkpoints.newestGood()).toMatchObject({
      checkpoint: { step: 9 },
      passedOver: [
        { step: 11, reason: expect.stringContaining('step-11/model.safetensors: found sha256') as string },
        { step: 10, reason: expect.stringContaining('step-10/checkpoint.json: it is missing') as string },
      ],
    });
  });

  it('gives none where there is none', async () => {
    expect(await checkpoints.newestGood()).toEqual({ checkpoint: null, passedOver: [] });
  });

  it('keeps the newest, and removes what dead writers have left', async () => {
    for (const step of [8, 9, 10, 30]) await write(step);
    mkdirSync(join(dir, 'checkpoints', 'step-10.0b1c.tmp'));
    await checkpoints.retain(2, 10);
    expect(readdirSync(join(dir, 'checkpoints')).sort()).toEqual(['step-10', 'step-30', 'step-9']);
  });

  it('takes newer ones out of the way without deleting them, twice if need be', async () => {
    for (const step of [8, 10]) await write(step);
    expect(await checkpoints.abandonAfter(8)).toEqual([10]);
    await write(10);
    expect(await checkpoints.abandonAfter(8)).toEqual([10]);
    expect(readdirSync(join(dir, 'checkpoints')).sort()).toEqual(['step-10.abandoned', 'step-8']);
    expect(await checkpoints.steps()).toEqual([8]);
    expect(await readCheckpoint(join(dir, 'checkpoints', 'step-10.abandoned'))).toMatchObject({ step: 10 });
  });
});
