/** A text, or why its bytes are none. */
export type DecodedText = { text: string } | { problem: string };

const BYTE_ORDER_MARKS: readonly (readonly [encoding: string, ...mark: number[]])[] = [
  ['utf-16le', 0xff, 0xfe],
  ['utf-16be', 0xfe, 0xff],
];

/**
 * The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one. Any other is
 * refused at the byte where it stops to be UTF-8: a replacement character would change what the author wrote.
 */
export function decodedText(bytes: Uint8Array): DecodedText {
  const encoding = BYTE_ORDER_MARKS.find(([, ...mark]) => mark.every((byte, at) => bytes[at] === byte))?.[0];
  try {
    return { text: new TextDecoder(encoding ?? 'utf-8', { fatal: true }).decode(bytes) };
  } catch {
    if (encoding !== undefined)
      return { problem: `its mark says ${encoding}, but it is not; save it as UTF-8` };
    const at = validBytes(bytes);
    const before = new TextDecoder().decode(bytes.subarray(0, at)).split('\n');
    const byte = bytes[at]!.toString(16).padStart(2, '0');
    return {
      problem: `line ${before.length}, column ${before.at(-1)!.length + 1}: byte 0x${byte} is not UTF-8; save the file as UTF-8`,
    };
  }
}

/** How many bytes at the start are UTF-8. */
function validBytes(bytes: Uint8Array): number {
  let [valid, invalid] = [0, bytes.length];
  while (invalid - valid > 1) {
    const middle = Math.floor((valid + invalid) / 2);
    if (decodes(bytes.subarray(0, middle), true)) valid = middle;
    else invalid = middle;
  }
  // The start of a character that is not finished counts as valid.
  while (valid > 0 && !decodes(bytes.subarray(0, valid), false)) valid -= 1;
  return valid;
}

/** Whether bytes are UTF-8; with `stream`, whether they may still become it. */
function decodes(bytes: Uint8Array, stream: boolean): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream });
    return true;
  } catch {
    return false;
  }
}
