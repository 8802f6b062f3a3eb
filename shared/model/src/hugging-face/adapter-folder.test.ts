import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parametersHash, readSafetensors } from '@forge/weights';
import { adapterScale, type AdapterShape } from '../adapter/adapter-factors';
import { trainedAdapter } from '../adapter/adapter.fixture';
import { mergeAdapter } from '../adapter/merge-adapter';
import { isAdapter, readAdapter, saveAdapter } from './adapter-folder';
import { loadModel, type LoadedModel } from './hugging-face';

const base = path.resolve(__dirname, '../../../../models/arithmetic');
const adapter: AdapterShape = { rank: 4, alpha: 6, targets: ['q_proj', 'down_proj'] };

let root: string;
let dir: string;
let model: LoadedModel;
beforeAll(async () => (model = await loadModel(base)));
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'forge-adapter-'));
  dir = path.join(root, 'adapter');
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const save = () =>
  saveAdapter(dir, { base, adapter, parameters: trainedAdapter(model.config, adapter) }, { dtype: 'F32' });
const edit = (change: object): void => {
  const file = path.join(dir, 'adapter_config.json');
  const json = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...json, ...change }));
};

describe('an adapter in the layout of PEFT', () => {
  it('is read as it was written, bit for bit', async () => {
    await save();
    expect(await isAdapter(dir)).toBe(true);
    const stored = await readAdapter(dir);
    expect([stored.base, stored.scale]).toEqual([base, 1.5]);
    expect(parametersHash(stored.parameters)).toBe(parametersHash(trainedAdapter(model.config, adapter)));
    const names = [...(await readSafetensors(path.join(dir, 'adapter_model.safetensors'))).keys()];
    expect(names).toContain('base_model.model.model.layers.2.mlp.down_proj.lora_B.weight');
    expect(names).toHaveLength(2 * 2 * model.config.layers);
  });

  it('loads as the model that it makes of its base, or of the one that is named instead', async () => {
    await save();
    const expected = mergeAdapter(
      model.parameters,
      trainedAdapter(model.config, adapter),
      adapterScale(adapter),
    );
    const merged = await loadModel(dir);
    expect(parametersHash(merged.parameters)).toBe(parametersHash(expected));
    expect(parametersHash(expected)).not.toBe(parametersHash(model.parameters));
    expect(merged.tokenizer.decode([2, 3], {})).toBe(model.tokenizer.decode([2, 3], {}));
    const moved = path.join(root, 'moved');
    cpSync(base, moved, { recursive: true });
    edit({ base_model_name_or_path: path.join(root, 'gone') });
    await expect(loadModel(dir)).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
    expect(parametersHash((await loadModel(dir, { base: moved })).parameters)).toBe(parametersHash(expected));
  });

  it('scales by the root of the rank where it says so', async () => {
    await save();
    edit({ use_rslora: true });
    expect((await readAdapter(dir)).scale).toBe(3);
  });

  it.each<[object, string]>([
    [{ peft_type: 'IA3' }, 'peft_type: found "IA3", expected LORA'],
    [{ use_dora: true }, 'use_dora: found true'],
    [{ bias: 'all' }, 'bias: found "all", expected none'],
    [{ rank_pattern: { q_proj: 8 } }, 'rank_pattern: found {"q_proj":8}'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save: found ["lm_head"]'],
    [{ init_lora_weights: 'pissa' }, 'init_lora_weights: found "pissa", expected true, false or "gaussian"'],
    [{ r: 0 }, 'r: found 0'],
  ])('is refused with %j, which would make it something else', async (change, message) => {
    await save();
    edit(change);
    await expect(loadModel(dir)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message) as string,
    });
  });

  it('takes what PEFT writes where it leaves something out or off', async () => {
    await save();
    edit({
      rank_pattern: {},
      alpha_pattern: {},
      modules_to_save: null,
      init_lora_weights: true,
      use_dora: false,
    });
    edit({ layers_pattern: null, megatron_core: 'megatron.core', revision: null });
    expect((await readAdapter(dir)).scale).toBe(1.5);
  });
});
