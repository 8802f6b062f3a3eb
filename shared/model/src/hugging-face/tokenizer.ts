import path from 'node:path';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { addedTokens } from './added-tokens';
import { chatTemplate, type ChatTemplate } from './template/chat-template';
import { libraryTokenizer, type Library } from './library-tokenizer';
import { jsonOf, type ModelFiles } from './model-files';
import { findEndTokenIds, specialTexts, specialTokens } from './special-tokens';

/** Text to token ids and back, as the model was trained. */
export interface Tokenizer {
  /** `addSpecialTokens` (default true): what the tokenizer itself adds to a text, e.g. a begin token. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * `skipSpecialTokens` defaults to true. Ids without a token, such as padding rows of the embedding, give nothing.
   * `isGrowing` (default false): more ids may follow. What is text then stays text, while else a run of byte tokens that
   * is not UTF-8 as a whole gives U+FFFD for each byte, as in the Rust library.
   */
  decode(tokenIds: readonly number[], options?: { skipSpecialTokens?: boolean; isGrowing?: boolean }): string;
  /**
   * As `encode`, for a text that the model is to go on from: one that it has no room for is read only until that is sure,
   * so that it holds nobody up; the ids that are there are as many as have no room.
   */
  encodePrompt(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * Input that the model is given for a prompt: text and token ids as they are, messages through the chat template.
   *
   * @throws {ForgeError} CONFIG_DATASET_INVALID when nothing is left to give it, or the template refuses the
   * messages; CONFIG_TOKENIZER_INVALID when there is no chat template.
   */
  renderPrompt(prompt: Sample['prompt']): { text: string; tokenIds: number[] };
  /** The template that messages go through. */
  readonly chatTemplate: ChatTemplate;
  /**
   * A prompt with its answer as one text: messages through the chat template, the answer as the assistant's last.
   *
   * @throws {ForgeError} as `renderPrompt`; CONFIG_DATASET_INVALID for token ids, which are those of another tokenizer.
   */
  renderAnswered(prompt: Sample['prompt'], answer: string): { text: string; tokenIds: number[] };
  /** Text of each special token by its id, which `decode` leaves out unless told otherwise. */
  readonly specialTokens: ReadonlyMap<number, string>;
  /** Tokens that end a completion, at least one. */
  readonly endTokenIds: readonly number[];
  /** One more than the largest token id. */
  readonly vocabSize: number;
}

/** Characters that are read first of a long prompt, for each position: more than tokens of a plain text have. */
const FIRST_CHARACTERS = 16;
/** Positions that this is worth for; a token that is cut may make some hundreds. */
const MANY_POSITIONS = 512;

export interface TokenizerOptions {
  /** The `vocab_size` of `config.json`: every token needs an embedding. */
  readonly embeddingRows: number;
  /** Positions of the model; left out: any number. */
  readonly maxPositions?: number | undefined;
  /** The day told to templates that ask for it (YYYY-MM-DD). */
  readonly date?: string | undefined;
}

/**
 * The tokenizer of a model folder.
 *
 * @throws {ForgeError} CONFIG_TOKENIZER_INVALID naming the file and field at fault.
 */
export function createTokenizer(
  files: ModelFiles,
  dir: string,
  { embeddingRows, maxPositions = Infinity, date }: TokenizerOptions,
): Tokenizer {
  const file = path.join(dir, 'tokenizer.json');
  const config = jsonOf(files, 'tokenizer_config.json', dir) ?? {};
  const json = jsonOf(files, 'tokenizer.json', dir) ?? {};
  const special = specialTokens(files, dir);
  const vocabulary = vocabularyOf(json, file);
  const added = addedTokens(files, dir, vocabulary, { special, embeddingRows });
  const library = openLibrary(file, () =>
    libraryTokenizer(json, config, { added, vocabulary, isSplit: config['split_special_tokens'] === true }),
  );
  const vocabSize = [...vocabulary.values(), ...added.map(({ id }) => id)].reduce(
    (size, id) => Math.max(size, id + 1),
    0,
  );
  if (vocabSize > embeddingRows) {
    throw new ForgeError(
      'CONFIG_TOKENIZER_INVALID',
      `${file}: vocabulary: found ${vocabSize} tokens, expected at most vocab_size ${embeddingRows} of config.json`,
      { file, found: vocabSize, expected: embeddingRows },
    );
  }
  const specialById = new Map(added.filter((token) => token.special).map(({ id, content }) => [id, content]));
  const idsOfAdded = new Map(added.map(({ content, id }) => [content, id]));
  const tokenId = (token: string): number | undefined => idsOfAdded.get(token) ?? vocabulary.get(token);
  const specials = specialTexts(special);
  const idOfRole = (role: string): number | undefined =>
    specials[role] === undefined ? undefined : tokenId(specials[role]);
  const begin = idOfRole('bos_token');
  const template = chatTemplate(files, dir, { specialTexts: specials, date });

  const encode: Tokenizer['encode'] = (text, { addSpecialTokens = true } = {}) => {
    const plain = (): number[] => library.encode(text, false);
    if (!addSpecialTokens) return plain();
    const tokenIds = library.encode(text, true);
    // transformers lets these flags of tokenizer_config.json overrule the post-processor of tokenizer.json.
    if (begin === undefined || typeof config['add_bos_token'] !== 'boolean') return tokenIds;
    if (config['add_bos_token']) return tokenIds[0] === begin ? tokenIds : [begin, ...tokenIds];
    return tokenIds[0] === begin && plain()[0] !== begin ? tokenIds.slice(1) : tokenIds;
  };
  const decode: Tokenizer['decode'] = (tokenIds, { skipSpecialTokens = true, isGrowing = false } = {}) => {
    const known = tokenIds.filter((id) => library.has(id) && !(skipSpecialTokens && specialById.has(id)));
    return known.length === 0 ? '' : library.decode(known, isGrowing);
  };
  const room = Math.max(maxPositions, MANY_POSITIONS);
  const encodePrompt: Tokenizer['encodePrompt'] = (text, options) => {
    if (text.length <= FIRST_CHARACTERS * room) return encode(text, options);
    const begun = encode(text.slice(0, FIRST_CHARACTERS * room), options);
    // The last of them may make fewer tokens with what follows.
    return begun.length >= 2 * room ? begun : encode(text, options);
  };
  const rendered = (
    text: string,
    addSpecialTokens: boolean,
    read = encodePrompt,
  ): { text: string; tokenIds: number[] } => {
    const tokenIds = read(text, { addSpecialTokens });
    if (tokenIds.length > 0) return { text, tokenIds };
    throw new ForgeError('CONFIG_DATASET_INVALID', `prompt ${JSON.stringify(text)} has no tokens`, { dir });
  };
  return {
    encode,
    encodePrompt,
    decode,
    renderPrompt: (prompt) => {
      if (typeof prompt === 'string') return rendered(prompt, true);
      if (!('tokenIds' in prompt)) return rendered(template.render(prompt), false);
      return { text: decode(prompt.tokenIds, { skipSpecialTokens: false }), tokenIds: prompt.tokenIds };
    },
    renderAnswered: (prompt, answer) => {
      if (typeof prompt === 'string') return rendered(prompt + answer, true, encode);
      if ('tokenIds' in prompt) {
        const message = `found a prompt of token ids, expected a text or messages: ${dir} reads other tokens than the model that they were made for`;
        throw new ForgeError('CONFIG_DATASET_INVALID', message, { dir });
      }
      const messages = [...prompt, { role: 'assistant' as const, content: answer }];
      return rendered(template.render(messages, [], { asks: false }), false, encode);
    },
    chatTemplate: template,
    specialTokens: specialById,
    endTokenIds: findEndTokenIds(files, dir, {
      endTokenId: idOfRole('eos_token'),
      has: (id) => library.has(id),
    }),
    vocabSize,
  };
}

function openLibrary(file: string, open: () => Library): Library {
  try {
    return open();
  } catch (cause) {
    const message = `${file}: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file }, { cause });
  }
}

/** The tokens of the model itself, added ones left out; a list of tokens and scores where the model is Unigram. */
export function vocabularyOf(json: Record<string, unknown>, file: string): Map<string, number> {
  const { vocab } = (json['model'] ?? {}) as { vocab?: unknown };
  if (typeof vocab !== 'object' || vocab === null) {
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', `${file}: model.vocab: found nothing, expected tokens`, {
      file,
    });
  }
  if (Array.isArray(vocab)) return new Map((vocab as [string, number][]).map(([token], id) => [token, id]));
  return new Map(Object.entries(vocab) as [string, number][]);
}
