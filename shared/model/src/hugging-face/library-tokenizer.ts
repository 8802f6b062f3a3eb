import { Tokenizer } from '@huggingface/tokenizers';
import { AddedTokenPieces } from './added-token-pieces';
import type { AddedToken } from './added-tokens';
import { decodeByteFallback, decodeByteLevel } from './byte-decoders';

/** Parts of the library that its public types leave out. */
interface Internals {
  encode_text(text: string | null): string[] | null;
  normalizer: ((text: string) => string) | null;
  pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  model: { tokens_to_ids: Map<string, number>; vocab: string[] } & ((words: string[]) => string[]);
}

interface Decoder {
  config?: { type?: string };
  decoders?: (Decoder | null)[];
  decode_chain?: (tokens: string[]) => string[];
}

/**
 * The library's tokenizer, doing as the Rust library does where it does not: which added tokens a text holds, and the
 * text of bytes.
 *
 * @throws {Error} when it can't make one of `json`.
 */
export function libraryTokenizer(
  json: Record<string, unknown>,
  config: Record<string, unknown>,
  { added, vocabulary, isSplit }: TokensOfLibrary,
): Library {
  const tokenizer = new Tokenizer({ ...json, added_tokens: added }, config);
  const internals = tokenizer as unknown as Internals;
  // The library adds these to the vocabulary, where a word that only looks like one would find them.
  for (const { content } of added)
    if (!vocabulary.has(content)) internals.model.tokens_to_ids.delete(content);
  // Special tokens are plain text to `split_special_tokens`.
  const tokensOf = splitter(
    internals,
    added.filter(({ special }) => !(isSplit && special)),
  );
  internals.encode_text = (text) => (text === null ? null : tokensOf(text));
  let isGrowing = false;
  patchDecoder(tokenizer.decoder as Decoder | null, (tokens) => decodeByteFallback(tokens, isGrowing));
  return {
    encode: (text, addSpecialTokens) => tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (tokenIds, mayGrow) => {
      isGrowing = mayGrow;
      // Cleaning up spaces (" ." to ".") would make the text differ from what the tokens say.
      return tokenizer.decode([...tokenIds], { clean_up_tokenization_spaces: false });
    },
    has: (tokenId) => tokenizer.id_to_token(tokenId) !== undefined,
  };
}

/** Splits a text into added tokens and the model's own, which it gives between them. */
function splitter(internals: Internals, added: readonly AddedToken[]): (text: string) => string[] {
  const { normalizer, pre_tokenizer: preTokenizer, model } = internals;
  const normalize = (text: string): string => normalizer?.(text) ?? text;
  const raw: [string, AddedToken][] = [];
  const normalized: [string, AddedToken][] = [];
  for (const token of added) {
    if (token.normalized) normalized.push([normalize(token.content), token]);
    else raw.push([token.content, token]);
  }
  // A normalized token reads as it is found.
  for (const [reads, { id }] of normalized) model.vocab[id] = reads;
  const [inText, inNormalized] = [new AddedTokenPieces(raw), new AddedTokenPieces(normalized)];
  return (text) => {
    const pieces = inText
      .of(text)
      .flatMap((piece) => (piece.token === undefined ? inNormalized.of(normalize(piece.text)) : [piece]));
    return pieces.flatMap((piece, i) => {
      if (piece.token !== undefined) return [piece.token.content];
      return model(preTokenizer?.(piece.text, { section_index: i }) ?? [piece.text]);
    });
  };
}

/** A tokenizer that does as the Rust library does. */
export interface Library {
  encode(text: string, addSpecialTokens: boolean): number[];
  /** Text of one id or more, each of which has a token; `isGrowing` as in `Tokenizer`. */
  decode(tokenIds: readonly number[], isGrowing: boolean): string;
  has(tokenId: number): boolean;
}

interface TokensOfLibrary {
  readonly added: readonly AddedToken[];
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Whether special tokens that stand in a text are read as plain text. */
  readonly isSplit: boolean;
}

function patchDecoder(decoder: Decoder | null, byteFallback: (tokens: string[]) => string[]): void {
  if (decoder === null) return;
  decoder.decoders?.forEach((part) => {
    patchDecoder(part, byteFallback);
  });
  if (decoder.config?.type === 'ByteFallback') decoder.decode_chain = byteFallback;
  if (decoder.config?.type === 'ByteLevel') decoder.decode_chain = decodeByteLevel;
}
