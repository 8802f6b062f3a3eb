import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parametersHash, readSafetensors, writeSafetensors, type Parameters } from '@forge/weights';
import { createModel, loadModel, saveModel } from './hugging-face';

const stories = path.resolve(__dirname, '../../../../../shared/models/stories260k');
const describeWithStories = existsSync(stories) ? describe : describe.skip;

const configJson = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  vocab_size: 4,
  max_position_embeddings: 32,
  tie_word_embeddings: false,
  eos_token_id: 3,
};
const characters = {
  'config.json': configJson,
  'tokenizer.json': {
    version: '1.0',
    added_tokens: [{ id: 3, content: '</s>', special: true, normalized: false }],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab: { a: 0, b: 1, c: 2 }, merges: [], unk_token: null },
  },
};

let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'forge-model-'));
  dir = path.join(root, 'model');
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const save = (options: { dtype: 'F32' | 'F16' | 'BF16' } = { dtype: 'F32' }) =>
  saveModel(dir, createModel(characters, 1), options);
const editJson = (name: string, edit: (json: Record<string, unknown>) => void): void => {
  const file = path.join(dir, name);
  const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  edit(json);
  writeFileSync(file, JSON.stringify(json));
};
const editWeights = async (edit: (parameters: Parameters) => void): Promise<void> => {
  const file = path.join(dir, 'model.safetensors');
  const parameters = await readSafetensors(file);
  edit(parameters);
  await writeSafetensors(file, parameters, { dtype: 'F32' });
};

describe('saveModel, then loadModel', () => {
  it('gives a created model back, bit for bit', async () => {
    const model = createModel(characters, 1);
    await saveModel(dir, model, { dtype: 'F32' });
    const loaded = await loadModel(dir);
    expect(loaded.config).toEqual(model.config);
    expect(parametersHash(loaded.parameters)).toBe(parametersHash(model.parameters));
    expect(loaded.tokenizer.encode('cab')).toEqual([2, 0, 1]);
    expect(loaded.tokenizer.decode([2, 0, 1, 3])).toBe('cab');
  });

  it('writes the same file for the same seed', async () => {
    await save();
    const first = readFileSync(path.join(dir, 'model.safetensors'));
    await save();
    expect(readFileSync(path.join(dir, 'model.safetensors'))).toEqual(first);
  });

  it.each([
    ['F16' as const, 'float16'],
    ['BF16' as const, 'bfloat16'],
  ])('rounds to %s and says so in config.json', async (dtype, torchDtype) => {
    await save({ dtype });
    const loaded = await loadModel(dir);
    editJson('config.json', (json) => expect(json['torch_dtype']).toBe(torchDtype));
    const again = path.join(root, 'again');
    await saveModel(again, loaded, { dtype });
    expect(parametersHash((await loadModel(again)).parameters)).toBe(parametersHash(loaded.parameters));
  });

  it('replaces an older model and leaves nothing else behind, also when it fails', async () => {
    await save();
    await save({ dtype: 'F16' });
    const model = createModel(characters, 1);
    model.parameters.get('model.norm.weight')!.data[0] = 1e6;
    await expect(saveModel(dir, model, { dtype: 'F16' })).rejects.toMatchObject({
      code: 'NUMERIC_NON_FINITE',
    });
    expect(readdirSync(root)).toEqual(['model']);
    expect((await loadModel(dir)).parameters.get('model.norm.weight')!.data[0]).toBe(1);
  });

  it('leaves out parameters the config does not describe', async () => {
    await save();
    await editWeights((parameters) =>
      parameters.set('model.layers.0.self_attn.rotary_emb.inv_freq', {
        shape: [2],
        data: Float32Array.of(1, 0.1),
      }),
    );
    expect((await loadModel(dir)).parameters.has('model.layers.0.self_attn.rotary_emb.inv_freq')).toBe(false);
  });

  it('accepts a copy of tied embeddings and refuses a head that differs', async () => {
    await save();
    editJson('config.json', (json) => (json['tie_word_embeddings'] = true));
    await expect(loadModel(dir)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('tensor "lm_head.weight": differs from model.embed_tokens.weight'),
    });
    await editWeights((parameters) =>
      parameters.set('lm_head.weight', parameters.get('model.embed_tokens.weight')!),
    );
    expect((await loadModel(dir)).parameters.has('lm_head.weight')).toBe(false);
  });
});

describe('loadModel', () => {
  const refused = (code: string, message: string): object => ({
    code,
    message: expect.stringContaining(message),
  });

  it('names a folder that is missing or is a file', async () => {
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('CONFIG_MODEL_MISSING', `${dir}: found nothing, expected a model folder with config.json`),
    );
    writeFileSync(dir, '');
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('CONFIG_MODEL_MISSING', `${dir}: found a file`),
    );
  });

  it.each(['config.json', 'tokenizer.json', 'model.safetensors'])('names a missing %s', async (name) => {
    await save();
    rmSync(path.join(dir, name));
    await expect(loadModel(dir)).rejects.toMatchObject(refused('CONFIG_MODEL_MISSING', name));
  });

  it.each(['config.json', 'tokenizer.json'])('names a %s that is no JSON object', async (name) => {
    await save();
    for (const [text, message] of [
      ['{"a": ', 'not JSON'],
      ['[1]', 'expected a JSON object'],
    ]) {
      writeFileSync(path.join(dir, name), text!);
      await expect(loadModel(dir)).rejects.toMatchObject(
        refused('CONFIG_INVALID', `${path.join(dir, name)}: ${message}`),
      );
    }
  });

  it('names tensor, found and expected shape when the config does not fit the weights', async () => {
    await save();
    editJson('config.json', (json) => (json['intermediate_size'] = 16));
    await expect(loadModel(dir)).rejects.toMatchObject({
      ...refused(
        'SHAPE_MISMATCH',
        `${dir}: tensor "model.layers.0.mlp.gate_proj.weight": found shape [12, 8], expected [16, 8] as config.json`,
      ),
      details: { tensor: 'model.layers.0.mlp.gate_proj.weight', found: [12, 8], expected: [16, 8] },
    });
  });

  it('names a missing and an unexpected tensor', async () => {
    await save();
    await editWeights((parameters) => parameters.delete('model.norm.weight'));
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('SHAPE_MISMATCH', 'tensor "model.norm.weight": not found, expected shape [8]'),
    );
    await save();
    editJson('config.json', (json) => (json['num_hidden_layers'] = 1));
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('SHAPE_MISMATCH', 'tensor "model.layers.1.input_layernorm.weight": unexpected'),
    );
  });

  it('names a weights file that is cut', async () => {
    await save();
    const file = path.join(dir, 'model.safetensors');
    writeFileSync(file, readFileSync(file).subarray(0, -100));
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('CONTRACT_WEIGHTS_CORRUPT', `${file}: truncated: tensor "`),
    );
  });

  it('refuses an architecture, a missing end token and a small embedding', async () => {
    await save();
    editJson('config.json', (json) => (json['architectures'] = ['GPT2LMHeadModel']));
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('CONFIG_MODEL_UNSUPPORTED', 'found "GPT2LMHeadModel"'),
    );
    editJson('config.json', (json) => Object.assign(json, configJson, { eos_token_id: null }));
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('CONFIG_TOKENIZER_INVALID', 'found no end token'),
    );
    editJson('config.json', (json) => Object.assign(json, configJson, { vocab_size: 3 }));
    await expect(loadModel(dir)).rejects.toMatchObject(refused('CONFIG_TOKENIZER_INVALID', 'found 4 tokens'));
  });
});

describeWithStories('stories260k', () => {
  it('loads, and keeps its bits, tokenizer and settings through a save', async () => {
    const model = await loadModel(stories);
    expect(model.config).toMatchObject({
      architecture: 'llama',
      layers: 5,
      heads: 8,
      kvHeads: 4,
      headDim: 8,
    });
    expect([...model.parameters.values()].reduce((sum, { data }) => sum + data.length, 0)).toBe(260_032);
    await saveModel(dir, model, { dtype: 'F32' });
    const loaded = await loadModel(dir);
    expect(parametersHash(loaded.parameters)).toBe(parametersHash(model.parameters));
    expect(loaded.config).toEqual(model.config);
    for (const name of ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
      expect(readFileSync(path.join(dir, name))).toEqual(readFileSync(path.join(stories, name)));
    }
  });

  it('loads the same from shards', async () => {
    cpSync(stories, dir, { recursive: true });
    rmSync(path.join(dir, 'model.safetensors'));
    const { parameters } = await loadModel(stories);
    const weightMap: Record<string, string> = {};
    const shards: Parameters[] = [new Map(), new Map(), new Map()];
    [...parameters].forEach(([name, tensor], i) => {
      weightMap[name] = `model-0000${(i % 3) + 1}-of-00003.safetensors`;
      shards[i % 3]!.set(name, tensor);
    });
    for (const [i, shard] of shards.entries()) {
      const file = path.join(dir, `model-0000${i + 1}-of-00003.safetensors`);
      await writeSafetensors(file, shard, { dtype: 'F32' });
    }
    const index = { metadata: {}, weight_map: weightMap };
    writeFileSync(path.join(dir, 'model.safetensors.index.json'), JSON.stringify(index));
    expect(parametersHash((await loadModel(dir)).parameters)).toBe(parametersHash(parameters));
  });
});
