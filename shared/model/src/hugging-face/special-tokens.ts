import path from 'node:path';
import { ForgeError } from '@forge/errors';
import { jsonOf, type ModelFiles } from './model-files';

/** Special tokens by their role in `tokenizer_config.json`, e.g. `bos_token`; each may be text or `{ content }`. */
export function specialTokens(files: ModelFiles, dir: string): Record<string, string | undefined> {
  const config = jsonOf(files, 'tokenizer_config.json', dir) ?? {};
  const roles = ['bos_token', 'eos_token', 'unk_token', 'pad_token'];
  return Object.fromEntries(roles.map((role) => [role, contentOf(config[role])]));
}

/**
 * The tokens that end a completion: all that `generation_config.json`, `config.json` and `tokenizer_config.json`
 * name. They differ for chat models, where the end of a turn and the end of a text are two tokens.
 *
 * @throws {ForgeError} CONFIG_TOKENIZER_INVALID when none is named, or one is not in the vocabulary.
 */
export function findEndTokenIds(
  files: ModelFiles,
  dir: string,
  vocabulary: { tokenId: (token: string) => number | undefined; has: (tokenId: number) => boolean },
): number[] {
  const fail = (file: string, field: string, found: unknown, expected: string): never => {
    const message = `${path.join(dir, file)}: ${field}: found ${JSON.stringify(found)}, expected ${expected}`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file: path.join(dir, file), field, found });
  };
  const ids = new Set<number>();
  for (const file of ['generation_config.json', 'config.json']) {
    const named = jsonOf(files, file, dir)?.['eos_token_id'] ?? [];
    for (const id of Array.isArray(named) ? (named as unknown[]) : [named]) {
      if (typeof id !== 'number' || !vocabulary.has(id)) {
        return fail(file, 'eos_token_id', id, 'a token id of tokenizer.json');
      }
      ids.add(id);
    }
  }
  const token = specialTokens(files, dir)['eos_token'];
  if (token !== undefined) {
    ids.add(
      vocabulary.tokenId(token) ??
        fail('tokenizer_config.json', 'eos_token', token, 'a token of tokenizer.json'),
    );
  }
  if (ids.size > 0) return [...ids];
  const places =
    'eos_token_id in generation_config.json or config.json, or eos_token in tokenizer_config.json';
  throw new ForgeError(
    'CONFIG_TOKENIZER_INVALID',
    `${path.join(dir, 'tokenizer_config.json')}: found no end token, expected ${places}`,
    { dir },
  );
}

function contentOf(token: unknown): string | undefined {
  const content =
    typeof token === 'object' && token !== null ? (token as { content?: unknown }).content : token;
  return typeof content === 'string' ? content : undefined;
}
