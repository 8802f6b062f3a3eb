/** Each byte by the printable character that stands for it in byte-level vocabularies. */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const isShown = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
  let next = 256;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(isShown(byte) ? byte : next++), byte]),
  );
})();
const LENIENT = new TextDecoder('utf-8', { ignoreBOM: true });
const STRICT = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const BYTE_TOKEN = /^<0x(?:[0-9A-Fa-f]{2}|\+[0-9A-Fa-f])>$/u;
const INVALID = '\ufffd';

/** Tokens whose characters stand for bytes, as one text; a token with other characters gives its own bytes. */
export function decodeByteLevel(tokens: readonly string[]): string[] {
  const bytes = tokens.flatMap((token) => {
    const ofToken = [...token].map((character) => BYTE_OF_CHARACTER.get(character));
    return ofToken.includes(undefined) ? [...Buffer.from(token)] : (ofToken as number[]);
  });
  return [LENIENT.decode(Uint8Array.from(bytes))];
}

/**
 * Tokens such as `<0xE2>` as text, a run of them at a time: one U+FFFD for each byte of a run that is not UTF-8. Of a run
 * that grows the characters stay that are whole.
 */
export function decodeByteFallback(tokens: readonly string[], isGrowing: boolean): string[] {
  const decoded: string[] = [];
  let run: number[] = [];
  const endRun = (): void => {
    if (run.length > 0) decoded.push(textOf(Uint8Array.from(run), isGrowing));
    run = [];
  };
  for (const token of tokens) {
    if (BYTE_TOKEN.test(token)) run.push(parseInt(token.slice(3, 5), 16));
    else {
      endRun();
      decoded.push(token);
    }
  }
  endRun();
  return decoded;
}

function textOf(bytes: Uint8Array, isGrowing: boolean): string {
  if (isGrowing) return LENIENT.decode(bytes);
  try {
    return STRICT.decode(bytes);
  } catch {
    return INVALID.repeat(bytes.length);
  }
}
