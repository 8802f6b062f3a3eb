import { mix } from './seeded-hash';

const ROUNDS = 6;

/**
 * A pseudo-random permutation of 0 … size-1, determined by `key`, computed at any position without storing the others:
 * a Feistel network over pairs (a, b) of numbers below the square root of `size`, walked until it lands inside.
 *
 * @param size at most 2^52
 * @see Black & Rogaway, "Ciphers with Arbitrary Finite Domains" (2002)
 */
export function permutation(size: number, key: number): (position: number) => number {
  const side = Math.ceil(Math.sqrt(size));
  const roundKeys = Array.from({ length: ROUNDS }, (_, round) => mix(key, round));
  const step = (x: number): number => {
    let [a, b] = [Math.floor(x / side), x % side];
    for (const roundKey of roundKeys) [a, b] = [b, (a + mix(roundKey, b)) % side];
    return a * side + b;
  };
  return (position) => {
    let image = step(position);
    while (image >= size) image = step(image);
    return image;
  };
}

/**
 * An endless order of 0 … size-1: every epoch of `size` positions holds each number once, in an order of its own.
 */
export function epochOrder(size: number, seed: number): (index: number) => number {
  let current = { epoch: -1, permute: permutation(size, seed) };
  return (index) => {
    const epoch = Math.floor(index / size);
    if (epoch !== current.epoch) current = { epoch, permute: permutation(size, mix(mix(seed, 1), epoch)) };
    return current.permute(index % size);
  };
}
