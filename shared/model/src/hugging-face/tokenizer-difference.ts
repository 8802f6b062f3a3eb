import path from 'node:path';
import { addedTokens } from './added-tokens';
import type { LoadedModel } from './hugging-face';
import { jsonOf } from './model-files';
import { specialTokens } from './special-tokens';
import { vocabularyOf } from './tokenizer';

/** The parts of a model that its tokenizer is made of. */
type Tokenized = Pick<LoadedModel, 'dir' | 'files' | 'config'>;

/**
 * The first difference, in words, by which token ids of `model` mean another text to `other`, or would be put together from
 * other pieces there; null where there is none. Tokens that `other` has beyond those of `model` make no difference.
 */
export function tokenizerDifference(model: Tokenized, other: Tokenized): string | null {
  const [expected, found] = [tokensOf(model), tokensOf(other)];
  for (const [id, token] of [...expected].sort(([a], [b]) => a - b)) {
    if (found.get(id) === token) continue;
    return `token ${id} is ${quoted(found.get(id))} in ${other.dir}, ${quoted(token)} in ${model.dir}`;
  }
  const [merges, others] = [mergesOf(model), mergesOf(other)];
  const at = merges.findIndex((merge, i) => merge !== others[i]);
  if (at < 0) return null;
  return `merge ${at} is ${quoted(others[at])} in ${other.dir}, ${quoted(merges[at])} in ${model.dir}`;
}

const quoted = (text: string | undefined): string => (text === undefined ? 'absent' : JSON.stringify(text));

/** Every token by its id, added ones included, as the file writes it. */
function tokensOf({ dir, files, config }: Tokenized): Map<number, string> {
  const vocabulary = vocabularyOf(
    jsonOf(files, 'tokenizer.json', dir) ?? {},
    path.join(dir, 'tokenizer.json'),
  );
  const special = specialTokens(files, dir);
  const added = addedTokens(files, dir, vocabulary, { special, embeddingRows: config.vocabSize });
  return new Map([
    ...[...vocabulary].map(([token, id]): [number, string] => [id, token]),
    ...added.map(({ id, content }): [number, string] => [id, content]),
  ]);
}

/** The pairs of tokens that are put together, first ones first; none where the tokenizer is of another kind. */
function mergesOf({ dir, files }: Tokenized): string[] {
  const { model } = (jsonOf(files, 'tokenizer.json', dir) ?? {}) as { model?: { merges?: unknown } };
  const merges = Array.isArray(model?.merges) ? (model.merges as (string | string[])[]) : [];
  return merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')));
}
