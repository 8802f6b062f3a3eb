/** One round of mixing a 32-bit integer into another (the finaliser of MurmurHash3). */
export function mix(state: number, value: number): number {
  let h = (state ^ value) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) + 0x9e3779b9) >>> 0;
}

/** A 32-bit hash of a text: the same on every machine, in every version. FNV-1a over its UTF-16 units, then mixed. */
export function hashText(text: string, seed = 0): number {
  let h = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return mix(h >>> 0, seed);
}
