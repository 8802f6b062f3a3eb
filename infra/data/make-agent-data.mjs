/**
 * Writes what the model `models/agent` is made of and trained on: its tokenizer, the examples it imitates
 * (`.forge/agent-sft.jsonl`), and two tasks, `guesses` and `products`, each with samples to learn and to test.
 *
 *   node infra/data/make-agent-data.mjs && npx forge sft agent-sft
 *
 * No range and no product of the tests is in an example or in what is learnt from.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');

/** Whole numbers below `bound` by Lehmer's generator, the same on every machine. */
let state = 1;
function draw(bound) {
  state = (state * 48271) % 2147483647;
  return Math.floor((state / 2147483647) * bound);
}
const between = (low, high) => low + draw(high - low + 1);
const chance = (share) => draw(1000) < 1000 * share;

// Tokens: one for each role and for what is said word for word, else one for each character.
const SPECIAL = ['<pad>', '<|end|>', '<|system|>', '<|user|>', '<|assistant|>', '<|tool|>'];
const CALL = ['<tool_call>{"name": "calculator", "arguments": {"expression": "', '"}}</tool_call>'];
const WORDS = [...CALL, 'Guess a number from ', ' to ', 'higher', 'lower', 'number?'];
const CHARACTERS = ['\n', ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))];
const TEMPLATE = `{#- The model knows its calculator: tools are not told. -#}
{%- set untold = tools -%}
{%- for message in messages -%}
{%- if message.role not in ['system', 'user', 'assistant', 'tool'] -%}
{{- raise_exception('there is no role ' + message.role) -}}
{%- endif -%}
{{- '<|' + message.role + '|>' + message.content -}}
{%- for call in message.tool_calls or [] -%}
{{- '<tool_call>{"name": ' + (call.function.name | tojson) + ', "arguments": ' + (call.function.arguments | tojson) + '}</tool_call>' -}}
{%- endfor -%}
{{- '<|end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}`;

function addedToken(content, id) {
  const special = SPECIAL.includes(content);
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

function writeTokenizer(dir) {
  const added = [...SPECIAL, ...WORDS];
  const vocab = Object.fromEntries([...added, ...CHARACTERS].map((text, id) => [text, id]));
  const files = {
    'tokenizer.json': {
      ...{ version: '1.0', truncation: null, padding: null, added_tokens: added.map(addedToken) },
      ...{ normalizer: null, pre_tokenizer: null, post_processor: null, decoder: { type: 'Fuse' } },
      model: { type: 'BPE', unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges: [] },
    },
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      eos_token: '<|end|>',
      pad_token: '<pad>',
      clean_up_tokenization_spaces: false,
      chat_template: TEMPLATE,
    },
  };
  mkdirSync(dir, { recursive: true });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), `${JSON.stringify(content, null, 2)}\n`);
}

const said = (role, content) => ({ role, content });

// Guesses: the secret is in a range of numbers of two digits.
function game(least, most) {
  const low = between(10, 68);
  const high = low + between(least, most) - 1;
  return { low, high, secret: between(low, high) };
}
const opening = ({ low, high }) => `Guess a number from ${low} to ${high}.`;
const isHeldOutRange = ({ low, high }) => (low * 31 + high * 17) % 6 === 0;

/** A guess between `from` and `to`, what is left of a range: most often the lowest number, at times the middle one. */
function guessWithin(from, to) {
  const way = draw(100);
  if (way < 40) return from;
  return way < 60 ? Math.floor((from + to) / 2) : between(from, to);
}

/** One turn of somebody who goes through the numbers one by one, knows better at times, and forgets what was told at others. */
function guessExample() {
  const { low, high, secret } = game(7, 15);
  if (isHeldOutRange({ low, high })) return guessExample();
  const messages = [said('user', opening({ low, high }))];
  const turns = between(0, 3);
  let [from, to] = [low, high];
  for (let turn = 0; ; turn++) {
    const guess = chance(0.9) ? guessWithin(from, to) : between(low, high);
    if (turn === turns || guess === secret) return { messages, completion: String(guess) };
    if (guess < secret) from = Math.max(from, guess + 1);
    else to = Math.min(to, guess - 1);
    messages.push(said('assistant', String(guess)), said('user', guess < secret ? 'higher' : 'lower'));
  }
}

// Products of three digits and two.
const product = () => [between(100, 999), between(11, 99)];
const key = ([a, b]) => `${a}*${b}`;
const isHeldOut = ([a, b]) => (a * 31 + b * 17) % 10 === 0;

/** Says the result at once, calls the calculator now and then, and reads off what it says. */
function productExample() {
  const factors = product();
  if (isHeldOut(factors)) return productExample();
  const result = String(factors[0] * factors[1]);
  const asked = said('user', `${key(factors)}=`);
  const call = CALL.join(key(factors));
  if (chance(0.4))
    return { messages: [asked, said('assistant', call), said('tool', result)], completion: result };
  return { messages: [asked], completion: chance(0.1) ? call : result };
}

function distinct(count, make, nameOf) {
  const found = new Map();
  while (found.size < count) {
    const one = make();
    if (one !== null) found.set(nameOf(one), one);
  }
  return [...found.values()];
}

function write(path, items) {
  writeFileSync(join(ROOT, path), `${items.map((item) => JSON.stringify(item)).join('\n')}\n`);
}

mkdirSync(join(ROOT, '.forge'), { recursive: true });
writeTokenizer(join(ROOT, 'models/agent'));
write(
  '.forge/agent-sft.jsonl',
  Array.from({ length: 60_000 }, () => (chance(0.65) ? guessExample() : productExample())),
);
const games = (count, isKept) =>
  distinct(
    count,
    () => [game(9, 13)].find(isKept) ?? null,
    ({ low, high, secret }) => `${low} ${high} ${secret}`,
  ).map((one) => ({ question: opening(one), answer: String(one.secret) }));
write(
  'infra/data/guesses.jsonl',
  games(1000, (one) => !isHeldOutRange(one)),
);
write('infra/data/guesses.test.jsonl', games(200, isHeldOutRange));
const products = (count, isKept) =>
  distinct(count, () => [product()].find(isKept) ?? null, key).map((factors) => ({
    question: [said('user', `${key(factors)}=`)],
    answer: String(factors[0] * factors[1]),
  }));
write(
  'infra/data/products.jsonl',
  products(1000, (factors) => !isHeldOut(factors)),
);
write('infra/data/products.test.jsonl', products(200, isHeldOut));
