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

/** The bytes of a safetensors file of tensors in any dtype. */
function rawSafetensors(
  tensors: Record<string, { dtype: string; shape: number[]; bytes: Uint8Array }>,
): Buffer {
  let end = 0;
  const header = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => [
    name,
    { dtype, shape, data_offsets: [end, (end += bytes.length)] },
  ]);
  const json = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

describe('a tied checkpoint in two shards', () => {
  const files = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  const tied = createModel({ ...characters, 'config.json': { ...configJson, tie_word_embeddings: true } }, 4);
  const copy = tied.parameters.get('model.embed_tokens.weight')!;
  const raw = ({ shape, data }: { shape: readonly number[]; data: Float32Array }) => ({
    dtype: 'F32',
    shape: [...shape],
    bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  });

  /** Names alternate between the shards; `listed` and `held` add to the index and to the first shard. */
  async function write(
    listed: Record<string, string>,
    held: Record<string, ReturnType<typeof raw>> = {},
  ): Promise<void> {
    await saveModel(dir, tied, { dtype: 'F32' });
    rmSync(path.join(dir, 'model.safetensors'));
    const all = [...tied.parameters].map(([name, tensor], i) => [name, tensor, files[i % 2]!] as const);
    for (const file of files) {
      const own = all.filter(([, , shard]) => shard === file).map(([name, tensor]) => [name, raw(tensor)]);
      const tensors = { ...Object.fromEntries(own), ...(file === files[0] ? held : {}) };
      writeFileSync(path.join(dir, file), rawSafetensors(tensors));
    }
    const weight_map = { ...Object.fromEntries(all.map(([name, , shard]) => [name, shard])), ...listed };
    writeFileSync(path.join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
  }

  it.each<[string, Record<string, string>, Record<string, ReturnType<typeof raw>>]>([
    ['its index lists the head, which no shard has', { 'lm_head.weight': files[1] }, {}],
    ['a shard has the head, which the index does not list', {}, { 'lm_head.weight': raw(copy) }],
    [
      'the head lies in another shard than the index says',
      { 'lm_head.weight': files[1] },
      { 'lm_head.weight': raw(copy) },
    ],
    [
      'a shard has a rotary table in float64',
      {},
      {
        'model.layers.1.self_attn.rotary_emb.inv_freq': {
          dtype: 'F64',
          shape: [1],
          bytes: new Uint8Array(8),
        },
      },
    ],
    [
      'its index lists tables of whole numbers',
      { 'model.rotary_emb.inv_freq': files[0] },
      { 'model.rotary_emb.inv_freq': { dtype: 'I64', shape: [1], bytes: new Uint8Array(8) } },
    ],
  ])('loads when %s', async (_, listed, held) => {
    await write(listed, held);
    expect(parametersHash((await loadModel(dir)).parameters)).toBe(parametersHash(tied.parameters));
  });

  it('is refused when an unlisted head differs, or a tensor is unknown', async () => {
    const other = { ...raw(copy), bytes: new Uint8Array(copy.data.byteLength) };
    await write({}, { 'lm_head.weight': other });
    await expect(loadModel(dir)).rejects.toThrow('tensor "lm_head.weight": differs from model.embed_tokens');
    await write({}, { 'model.layers.2.mlp.up_proj.weight': other });
    await expect(loadModel(dir)).rejects.toThrow('tensor "model.layers.2.mlp.up_proj.weight": unexpected');
  });

  it('names the dtype of a quantized weight', async () => {
    await write({}, { 'model.norm.weight': { dtype: 'F8_E4M3', shape: [8], bytes: new Uint8Array(8) } });
    await expect(loadModel(dir)).rejects.toMatchObject({
      code: 'CONFIG_MODEL_UNSUPPORTED',
      message: expect.stringContaining('tensor "model.norm.weight": dtype: found "F8_E4M3", expected F32'),
    });
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

  it('refuses an adapter beside the model, which would change its weights', async () => {
    await save();
    writeFileSync(path.join(dir, 'adapter_config.json'), '{"peft_type": "LORA"}');
    await expect(loadModel(dir)).rejects.toMatchObject(
      refused('CONFIG_MODEL_UNSUPPORTED', `${path.join(dir, 'adapter_config.json')}: found an adapter`),
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
