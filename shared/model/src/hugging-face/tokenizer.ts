import path from 'node:path';
import type { Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { Tokenizer as Library } from '@huggingface/tokenizers';
import { chatTemplate } from './chat-template';
import { jsonOf, type ModelFiles } from './model-files';
import { findEndTokenIds, specialTokens } from './special-tokens';

/** Text to token ids and back, as the model was trained. */
export interface Tokenizer {
  /** `addSpecialTokens` (default true): what the tokenizer itself adds to a text, e.g. a begin token. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /** `skipSpecialTokens` defaults to true. Ids without a token, such as padding rows of the embedding, give nothing. */
  decode(tokenIds: readonly number[], options?: { skipSpecialTokens?: boolean }): string;
  /**
   * What the model is given for a prompt: text as it is, messages through the chat template.
   *
   * @throws {ForgeError} CONFIG_DATASET_INVALID when nothing is left to give it, or the template refuses the
   * messages; CONFIG_TOKENIZER_INVALID when there is no chat template.
   */
  renderPrompt(prompt: Sample['prompt']): { text: string; tokenIds: number[] };
  /** Text of each special token by its id, which `decode` leaves out unless told otherwise. */
  readonly specialTokens: ReadonlyMap<number, string>;
  /** Tokens that end a completion, at least one. */
  readonly endTokenIds: readonly number[];
  /** One more than the largest token id. */
  readonly vocabSize: number;
}

/**
 * The tokenizer of a model folder.
 *
 * `embeddingRows` is the `vocab_size` of `config.json`: every token needs an embedding.
 *
 * @throws {ForgeError} CONFIG_TOKENIZER_INVALID naming the file and field at fault.
 */
export function createTokenizer(files: ModelFiles, dir: string, embeddingRows: number): Tokenizer {
  const file = path.join(dir, 'tokenizer.json');
  const config = jsonOf(files, 'tokenizer_config.json', dir) ?? {};
  const library = openLibrary(jsonOf(files, 'tokenizer.json', dir) ?? {}, config, file);
  const vocabSize = [...library.get_vocab().values()].reduce((size, id) => Math.max(size, id + 1), 0);
  if (vocabSize > embeddingRows) {
    throw new ForgeError(
      'CONFIG_TOKENIZER_INVALID',
      `${file}: vocabulary: found ${vocabSize} tokens, expected at most vocab_size ${embeddingRows} of config.json`,
      { file, found: vocabSize, expected: embeddingRows },
    );
  }
  const special = specialTokens(files, dir);
  const specialById = new Map(
    [...library.get_added_tokens_decoder()]
      .filter(([, token]) => token.special)
      .map(([id, { content }]) => [id, content]),
  );
  const begin = special['bos_token'] === undefined ? undefined : library.token_to_id(special['bos_token']);
  const renderMessages = chatTemplate(files, special, dir);

  const encode: Tokenizer['encode'] = (text, { addSpecialTokens = true } = {}) => {
    const plain = (): number[] => library.encode(text, { add_special_tokens: false }).ids;
    if (!addSpecialTokens) return plain();
    const tokenIds = library.encode(text, { add_special_tokens: true }).ids;
    // transformers lets these flags of tokenizer_config.json overrule the post-processor of tokenizer.json.
    if (begin === undefined || typeof config['add_bos_token'] !== 'boolean') return tokenIds;
    if (config['add_bos_token']) return tokenIds[0] === begin ? tokenIds : [begin, ...tokenIds];
    return tokenIds[0] === begin && plain()[0] !== begin ? tokenIds.slice(1) : tokenIds;
  };
  return {
    encode,
    decode: (tokenIds, { skipSpecialTokens = true } = {}) => {
      const known = tokenIds.filter(
        (id) => library.id_to_token(id) !== undefined && !(skipSpecialTokens && specialById.has(id)),
      );
      // Cleaning up spaces (" ." to ".") would make the text differ from what the tokens say.
      return known.length === 0 ? '' : library.decode(known, { clean_up_tokenization_spaces: false });
    },
    renderPrompt: (prompt) => {
      const isText = typeof prompt === 'string';
      const text = isText ? prompt : renderMessages(prompt);
      const tokenIds = encode(text, { addSpecialTokens: isText });
      if (tokenIds.length > 0) return { text, tokenIds };
      throw new ForgeError('CONFIG_DATASET_INVALID', `prompt ${JSON.stringify(text)} has no tokens`, { dir });
    },
    specialTokens: specialById,
    endTokenIds: findEndTokenIds(files, dir, {
      tokenId: (token) => library.token_to_id(token),
      has: (id) => library.id_to_token(id) !== undefined,
    }),
    vocabSize,
  };
}

function openLibrary(tokenizer: object, config: object, file: string): Library {
  try {
    const library = new Library(tokenizer, config);
    keepByteOrderMarks(library.decoder);
    return library;
  } catch (cause) {
    const message = `${file}: ${(cause as Error).message}`;
    throw new ForgeError('CONFIG_TOKENIZER_INVALID', message, { file }, { cause });
  }
}

/** The library's byte-fallback decoder swallows a U+FEFF at the start of a run of byte tokens; this keeps it. */
function keepByteOrderMarks(decoder: object | null): void {
  const { decoders = [decoder] } = (decoder ?? {}) as { decoders?: (object | null)[] };
  for (const part of decoders) {
    if (part !== null && 'text_decoder' in part)
      part.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  }
}
