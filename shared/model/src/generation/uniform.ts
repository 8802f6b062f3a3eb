/** Identifies the random numbers of one rollout: two 32-bit words mixed from the run's seed and the rollout's id. */
export type RolloutKey = readonly [number, number];

export function rolloutKey(seed: number, rolloutId: string): RolloutKey {
  let [a, b] = [0xdeadbeef ^ seed, 0x41c6ce57 ^ Math.imul(seed, 0x9e3779b1)];
  for (let i = 0; i < rolloutId.length; i++) {
    const code = rolloutId.charCodeAt(i);
    a = Math.imul(a ^ code, 0x9e3779b1);
    b = Math.imul(b ^ code, 0x5f356495);
  }
  return [mix(a ^ (b >>> 13)), mix(b ^ (a >>> 16))];
}

/**
 * The random number of one position of a rollout, uniform on [0, 1) in steps of 2^-23. It depends on nothing else, so
 * a rollout is the same whatever it is batched with. With one bit more, its product with a total could round up to the
 * total in float32, and a draw could fall behind the last token that has a probability.
 */
export function uniformAt([a, b]: RolloutKey, position: number): number {
  const word = mix(mix(a + Math.imul(position + 1, 0x9e3779b1)) ^ b);
  return (word >>> 9) / 2 ** 23;
}

/** The finaliser of MurmurHash3. */
function mix(word: number): number {
  let x = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
