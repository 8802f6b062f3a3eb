import path from 'node:path';
import { ForgeError } from '@forge/errors';
import { jsonOf, type ModelFiles } from './model-files';
import { rolesOf, type DeclaredToken, type SpecialTokens } from './special-tokens';

/** A token that is found in a text before the text is split into the tokens of the vocabulary. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Whether it is found only where no letter, digit or underscore stands beside it. */
  readonly single_word: boolean;
  /** Whether it takes the spaces before it along. */
  readonly lstrip: boolean;
  /** Whether it takes the spaces behind it along. */
  readonly rstrip: boolean;
  /** Whether it is looked for in the normalized text. */
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A token that some file declares, and where. */
interface Declaration extends DeclaredToken {
  /** The id the file gives it; tokens named by a role have none. */
  readonly id: number | undefined;
  readonly file: string;
  readonly field: string;
}

/**
 * The added tokens of a model as transformers 5 puts them together: those of `tokenizer.json`, then those of
 * `added_tokens_decoder` in `tokenizer_config.json`, which wins, or without it those of `added_tokens.json`, then the
 * special tokens that no file declares otherwise.
 *
 * @throws {ForgeError} CONFIG_TOKENIZER_INVALID naming file and field when a token has another id than it would get, or
 * is named as special, unknown, and has no embedding.
 */
export function addedTokens(
  files: ModelFiles,
  dir: string,
  vocabulary: ReadonlyMap<string, number>,
  { special, embeddingRows }: { special: SpecialTokens; embeddingRows: number },
): AddedToken[] {
  const added = new Map<string, AddedToken>();
  let nextId = vocabulary.size;
  const declare = (declaration: Declaration): void => {
    const { content, id: expected, file, field, ...flags } = declaration;
    if (content === '') return;
    const id = added.get(content)?.id ?? vocabulary.get(content) ?? nextId;
    if (expected !== undefined && expected !== id) {
      throw invalid(
        dir,
        file,
        field,
        expected,
        `${id}, the id transformers gives ${JSON.stringify(content)}`,
      );
    }
    nextId = Math.max(nextId, id + 1);
    // A token that one file calls special stays special.
    const special = flags.special || added.get(content)?.special === true;
    added.set(content, { id, content, ...flags, special });
  };
  const inTokenizer = tokensOfTokenizer(files, dir);
  inTokenizer.forEach(declare);
  for (const token of tokensBeside(files, dir, special, inTokenizer)) declare(token);
  const named = [
    ...rolesOf(special).map((role) => ({ ...role, isRole: true })),
    ...special.extra.map((token) => ({ ...token, isRole: false })),
  ];
  for (const { token, file, field, isRole } of named) {
    const known = added.get(token.content);
    if (known !== undefined && !isRole) continue;
    const isNew = known === undefined && !vocabulary.has(token.content);
    if (isNew && nextId >= embeddingRows) {
      throw invalid(dir, file, field, token.content, 'a token of the tokenizer');
    }
    declare({ ...(known ?? token), special: true, id: undefined, file, field });
  }
  return [...added.values()];
}

function tokensOfTokenizer(files: ModelFiles, dir: string): Declaration[] {
  const file = 'tokenizer.json';
  const tokens = (jsonOf(files, file, dir) ?? {})['added_tokens'];
  if (tokens === undefined) return [];
  if (!Array.isArray(tokens)) throw invalid(dir, file, 'added_tokens', tokens, 'a list of tokens');
  return tokens.map((token: unknown, i) => {
    const field = `added_tokens.${i}`;
    const id = (token as { id?: unknown } | null)?.id;
    if (typeof id !== 'number') throw invalid(dir, file, `${field}.id`, id, 'a token id');
    return { ...declared(token, dir, file, field), id, file, field: `${field}.id` };
  });
}

/** Tokens that files beside `tokenizer.json` declare, in the order of their ids. */
function tokensBeside(
  files: ModelFiles,
  dir: string,
  special: SpecialTokens,
  inTokenizer: readonly Declaration[],
): Declaration[] {
  const byId = (a: Declaration, b: Declaration): number => a.id! - b.id!;
  const file = 'tokenizer_config.json';
  const decoder = jsonOf(files, file, dir)?.['added_tokens_decoder'];
  if (decoder !== undefined && decoder !== null) {
    if (typeof decoder !== 'object')
      throw invalid(dir, file, 'added_tokens_decoder', decoder, 'tokens by their ids');
    return Object.entries(decoder)
      .map(([id, token]) => {
        const field = `added_tokens_decoder.${id}`;
        return { ...declared(token, dir, file, field), id: Number(id), file, field };
      })
      .sort(byId);
  }
  const ids = new Set(inTokenizer.map(({ id }) => id));
  const isSpecial = new Set([...[...rolesOf(special), ...special.extra].map(({ token }) => token.content)]);
  const legacy = Object.entries(jsonOf(files, 'added_tokens.json', dir) ?? {}).map(
    ([content, id]): Declaration => {
      const where = { file: 'added_tokens.json', field: content };
      if (typeof id !== 'number') throw invalid(dir, where.file, where.field, id, 'a token id');
      const flags = { single_word: false, lstrip: false, rstrip: false };
      return {
        content,
        id,
        ...where,
        ...flags,
        normalized: !isSpecial.has(content),
        special: isSpecial.has(content),
      };
    },
  );
  // Where both files name an id, tokenizer.json is read last.
  return legacy.filter(({ id }) => !ids.has(id)).sort(byId);
}

/** A token as `tokenizer.json` and `added_tokens_decoder` write it; flags that are left out are false. */
function declared(token: unknown, dir: string, file: string, field: string): DeclaredToken {
  const { content, special, normalized, ...flags } = (token ?? {}) as Record<string, unknown>;
  if (typeof content !== 'string')
    throw invalid(dir, file, `${field}.content`, content, 'the text of a token');
  return {
    content,
    single_word: flags['single_word'] === true,
    lstrip: flags['lstrip'] === true,
    rstrip: flags['rstrip'] === true,
    normalized: typeof normalized === 'boolean' ? normalized : special !== true,
    special: special === true,
  };
}

function invalid(dir: string, file: string, field: string, found: unknown, expected: string): ForgeError {
  const where = path.join(dir, file);
  const message = `${where}: ${field}: found ${JSON.stringify(found)}, expected ${expected}`;
  return new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file: where, field, found });
}
