import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parameterShapes, type ModelConfig } from '@forge/model';
import { elementCount, writeSafetensors, type Parameters } from '@forge/weights';

/** Answers to a prompt that ends with `<|call|>`, as it does at first, or with `<|say|>`, behind a tool's. */
const CALLED = [
  '<think>',
  '\n',
  'I add.',
  '\n\n\n',
  '</think>',
  '\n\n',
  'One moment, ',
  '\u00c3',
  '\u00a9',
  ': ',
];
const CALL = [
  '<tool_call>',
  '\n\n\n\n',
  '{"name": "add", ',
  '"arguments": {"a": 2, "b": 3}}',
  ' \n',
  '</tool_call>',
];
const SAID = ['It ', 'is ', '\u00f0', '\u009f', '\u0091', '\u008b', ' five.'];
const SPECIAL = ['<|user|>', '<|assistant|>', '<|system|>', '<|tool|>', '<|end|>', '<|call|>', '<|say|>'];
const TEMPLATE = `{%- if tools %}<|system|>{{ tools | tojson }}<|end|>{% endif -%}
{%- for message in messages %}<|{{ message.role }}|>
{%- if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif -%}
{{- message.content }}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor -%}
<|end|>{% endfor -%}
{%- if add_generation_prompt %}{{ '<|say|>' if messages[-1].role == 'tool' else '<|call|>' }}{% endif -%}`;

/** Printable characters that stand for the bytes in byte-level vocabularies, by byte. */
const BYTES = (() => {
  const isShown = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isShown(byte) ? byte : next++));
})();

/**
 * Writes a chat model that is sure of each next token: after one it has one to say. Texts of one byte are byte tokens, all
 * others tokens of their own.
 */
export async function writeTinyChatModel(dir: string): Promise<void> {
  const words = [...new Set([...CALLED, ...CALL, ...SAID])].filter((text) => !isByte(text));
  const added = [...words, ...SPECIAL];
  const idOf = (text: string): number => (isByte(text) ? text.charCodeAt(0) : 256 + added.indexOf(text));
  const vocabSize = 256 + added.length;
  const hiddenSize = Math.ceil(vocabSize / 8) * 8;
  const config: ModelConfig = {
    architecture: 'llama',
    ...{ hiddenSize, layers: 1, heads: 2, kvHeads: 1, headDim: 8, intermediateSize: 8, vocabSize },
    ...{ maxPositions: 1024, rmsNormEpsilon: 1e-5, rope: { theta: 10_000, scaling: { type: 'none' } } },
    ...{ tieWordEmbeddings: false, attentionBias: false, attentionOutputBias: false, mlpBias: false },
    ...{ qkNorm: false, initializerRange: 0.02 },
  };
  mkdirSync(dir, { recursive: true });
  const write = (name: string, content: object | string): void =>
    writeFileSync(join(dir, name), typeof content === 'string' ? content : JSON.stringify(content));
  write('config.json', {
    ...{
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_act: 'silu',
      hidden_size: hiddenSize,
    },
    ...{
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 8,
      intermediate_size: 8,
    },
    ...{ vocab_size: vocabSize, max_position_embeddings: 1024, rms_norm_eps: 1e-5, rope_theta: 10_000 },
    ...{ tie_word_embeddings: false, initializer_range: 0.02, eos_token_id: idOf('<|end|>') },
  });
  write('tokenizer.json', tokenizerOf(added, idOf));
  write('tokenizer_config.json', { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: '<|end|>' });
  write('chat_template.jinja', TEMPLATE);
  const chains = [
    ['<|call|>', ...CALLED, ...CALL, '<|end|>'],
    ['<|say|>', ...SAID, '<|end|>'],
  ].map((chain) => chain.map(idOf));
  await writeSafetensors(join(dir, 'model.safetensors'), weightsOf(config, chains), {
    dtype: 'F32',
    metadata: { format: 'pt' },
  });
}

const isByte = (text: string): boolean => text.length === 1 && text.charCodeAt(0) > 127;

function tokenizerOf(added: readonly string[], idOf: (text: string) => number): object {
  return {
    ...{ version: '1.0', truncation: null, padding: null, normalizer: null, post_processor: null },
    added_tokens: added.map((content) => ({
      ...{ id: idOf(content), content, single_word: false, lstrip: false, rstrip: false, normalized: false },
      special: SPECIAL.includes(content),
    })),
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      ...{ dropout: null, unk_token: null, fuse_unk: false, byte_fallback: false, merges: [] },
      vocab: Object.fromEntries(BYTES.map((character, byte) => [character, byte])),
    },
  };
}

/** Weights of which attention and MLP add nothing, and the head gives the next token of a chain. */
function weightsOf(config: ModelConfig, chains: readonly (readonly number[])[]): Parameters {
  const parameters: Parameters = new Map();
  for (const [name, shape] of parameterShapes(config)) {
    const data = new Float32Array(elementCount(shape));
    if (name.endsWith('norm.weight')) data.fill(1);
    const at = (row: number, column: number): number => row * config.hiddenSize + column;
    if (name === 'model.embed_tokens.weight')
      for (let id = 0; id < config.vocabSize; id++) data[at(id, id)] = 1;
    if (name === 'lm_head.weight')
      for (const chain of chains) chain.slice(1).forEach((next, i) => (data[at(next, chain[i]!)] = 10));
    parameters.set(name, { shape, data });
  }
  return parameters;
}
