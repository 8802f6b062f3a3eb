import { Tokenizer } from '@huggingface/tokenizers';
import { AddedTokenPieces } from './added-token-pieces';
import type { AddedToken } from './added-tokens';
import { decodeByteFallback, decodeByteLevel } from './byte-decoders';

/** What we use of the library beside its public types. */
interface Library {
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
): Tokenizer {
  const tokenizer = new Tokenizer({ ...json, added_tokens: added }, config);
  const library = tokenizer as unknown as Library;
  // The library adds these to the vocabulary, where a word that only looks like one would find them.
  for (const { content } of added) if (!vocabulary.has(content)) library.model.tokens_to_ids.delete(content);
  // Special tokens are plain text to `split_special_tokens`.
  const found = added.filter(({ special }) => !(isSplit && special));
  const { normalizer } = library;
  const raw: [string, AddedToken][] = [];
  const normalized: [string, AddedToken][] = [];
  for (const token of found) {
    if (token.normalized) normalized.push([normalizer?.(token.content) ?? token.content, token]);
    else raw.push([token.content, token]);
  }
  // A normalized token reads as it is found.
  for (const [reads, { id }] of normalized) library.model.vocab[id] = reads;
  const [inText, inNormalized] = [new AddedTokenPieces(raw), new AddedTokenPieces(normalized)];
  library.encode_text = (text) => {
    if (text === null) return null;
    let isStart = true;
    const ofWords = (piece: string): string[] => {
      const words = library.pre_tokenizer?.(piece, { section_index: isStart ? 0 : 1 }) ?? [piece];
      isStart = false;
      return library.model(words);
    };
    return inText.of(text).flatMap((piece) => {
      const parts =
        piece.token === undefined ? inNormalized.of(normalizer?.(piece.text) ?? piece.text) : [piece];
      return parts.flatMap((part) => {
        if (part.token === undefined) return ofWords(part.text);
        isStart = false;
        return [part.token.content];
      });
    });
  };
  patchDecoder(tokenizer.decoder as Decoder | null);
  return tokenizer;
}

interface TokensOfLibrary {
  readonly added: readonly AddedToken[];
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Whether special tokens that stand in a text are read as plain text. */
  readonly isSplit: boolean;
}

function patchDecoder(decoder: Decoder | null): void {
  if (decoder === null) return;
  decoder.decoders?.forEach(patchDecoder);
  if (decoder.config?.type === 'ByteFallback') decoder.decode_chain = decodeByteFallback;
  if (decoder.config?.type === 'ByteLevel') decoder.decode_chain = decodeByteLevel;
}
