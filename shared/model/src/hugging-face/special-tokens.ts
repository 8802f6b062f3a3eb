import path from 'node:path';
import { ForgeError } from '@forge/errors';
import type { AddedToken } from './added-tokens';
import { jsonOf, type ModelFiles } from './model-files';

/** A token and its flags, without an id. */
export type DeclaredToken = Omit<AddedToken, 'id'>;

/** A special token, and where it is named. */
export interface NamedToken {
  readonly token: DeclaredToken;
  readonly file: string;
  readonly field: string;
}

/** Special tokens by their role, such as `bos_token`, and those without one. */
export interface SpecialTokens {
  readonly byRole: ReadonlyMap<string, NamedToken>;
  readonly extra: readonly NamedToken[];
}

const ROLES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];
const EXTRA = ['extra_special_tokens', 'additional_special_tokens'];

/**
 * The special tokens that `tokenizer_config.json` names, and `special_tokens_map.json`, which wins but counts only where
 * the former has no `added_tokens_decoder`. A key such as `image_token` is a role of its own.
 */
export function specialTokens(files: ModelFiles, dir: string): SpecialTokens {
  const config = jsonOf(files, 'tokenizer_config.json', dir) ?? {};
  const map = 'added_tokens_decoder' in config ? {} : (jsonOf(files, 'special_tokens_map.json', dir) ?? {});
  const byRole = new Map<string, NamedToken>();
  const extra: NamedToken[] = [];
  const sources: [string, Record<string, unknown>][] = [
    ['tokenizer_config.json', config],
    ['special_tokens_map.json', map],
  ];
  for (const [file, json] of sources) {
    const named = (token: unknown, field: string): NamedToken[] => {
      const declared = tokenOf(token);
      return declared === undefined ? [] : [{ token: declared, file, field }];
    };
    const own = Object.keys(json).filter((key) => isOwnRole(key) && typeof json[key] === 'string');
    for (const role of [...ROLES, ...own])
      for (const token of named(json[role], role)) byRole.set(role, token);
    for (const field of EXTRA) {
      const tokens = json[field] ?? [];
      if (Array.isArray(tokens)) extra.push(...tokens.flatMap((token, i) => named(token, `${field}.${i}`)));
      else {
        for (const [role, token] of Object.entries(tokens))
          for (const each of named(token, `${field}.${role}`)) byRole.set(role, each);
      }
    }
  }
  return { byRole, extra };
}

function isOwnRole(key: string): boolean {
  return key.endsWith('_token') && !ROLES.includes(key);
}

export function rolesOf({ byRole }: SpecialTokens): NamedToken[] {
  return [...byRole.values()];
}

/** The text of each role's token, as chat templates are given it. */
export function specialTexts({ byRole }: SpecialTokens): Record<string, string | undefined> {
  return Object.fromEntries([...byRole].map(([role, { token }]) => [role, token.content]));
}

/**
 * The tokens that end a completion: all that `generation_config.json`, `config.json` and `tokenizer_config.json`
 * name. They differ for chat models, where the end of a turn and the end of a text are two tokens.
 *
 * @throws {ForgeError} CONFIG_TOKENIZER_INVALID when none is named, or an id has no token.
 */
export function findEndTokenIds(
  files: ModelFiles,
  dir: string,
  { endTokenId, has }: { endTokenId: number | undefined; has: (tokenId: number) => boolean },
): number[] {
  const fail = (file: string, field: string, found: unknown, expected: string): never => {
    const message = `${path.join(dir, file)}: ${field}: found ${JSON.stringify(found)}, expected ${expected}`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file: path.join(dir, file), field, found });
  };
  const ids = new Set<number>();
  for (const file of ['generation_config.json', 'config.json']) {
    const named = jsonOf(files, file, dir)?.['eos_token_id'] ?? [];
    for (const id of Array.isArray(named) ? (named as unknown[]) : [named]) {
      if (typeof id !== 'number' || !has(id)) {
        return fail(file, 'eos_token_id', id, 'a token id of the tokenizer');
      }
      ids.add(id);
    }
  }
  if (endTokenId !== undefined) ids.add(endTokenId);
  if (ids.size > 0) return [...ids];
  const places =
    'eos_token_id in generation_config.json or config.json, or eos_token in tokenizer_config.json';
  throw new ForgeError(
    'CONFIG_TOKENIZER_INVALID',
    `${path.join(dir, 'tokenizer_config.json')}: found no end token, expected ${places}`,
    { dir },
  );
}

/** A token that a role names, as text or as `{ content }` with flags. */
function tokenOf(token: unknown): DeclaredToken | undefined {
  const { content, ...flags } = (typeof token === 'string' ? { content: token } : (token ?? {})) as Record<
    string,
    unknown
  >;
  if (typeof content !== 'string') return undefined;
  return {
    content,
    single_word: flags['single_word'] === true,
    lstrip: flags['lstrip'] === true,
    rstrip: flags['rstrip'] === true,
    normalized: flags['normalized'] === true,
    special: true,
  };
}
