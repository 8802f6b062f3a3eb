import { createHmac } from 'node:crypto';
import { encode } from '@forge/contracts';
import { hostileBytes, pick, type Random } from '@forge/testing';

/** The kinds of the actor protocol's frames that are used here, as `shared/actors` numbers them. */
export const KIND = {
  hello: 0,
  proof: 1,
  bye: 2,
  call: 5,
  stream: 6,
  post: 7,
  error: 9,
  credit: 12,
  cancel: 13,
} as const;
const MAGIC = 'forge-actors';
const VERSION = 1;
export const NONCE = Buffer.alloc(32, 7);

/** A frame with its length, as a peer of ours would send it. */
export function frame(...values: readonly unknown[]): Buffer {
  return withLength(encode(values));
}

export function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

export function hello(version: unknown = VERSION, hasToken: unknown = true, nonce: unknown = NONCE): Buffer {
  return frame(KIND.hello, 0, MAGIC, version, nonce, hasToken);
}

/** Proof of a caller that it knows the token. */
export function proof(token: string, listenerNonce: Uint8Array): Buffer {
  const digest = createHmac('sha256', token)
    .update(`${MAGIC}/${VERSION}/caller/`)
    .update(NONCE)
    .update(listenerNonce);
  return frame(KIND.proof, 0, digest.digest());
}

/** Something that is no greeting; a listener ends the connection at once. */
export function hostileGreeting(random: Random): { kind: string; bytes: Buffer } {
  const roll = random();
  if (roll < 0.1)
    return { kind: 'wrong version', bytes: hello(pick<unknown>(random, [0, 2, -1, '1', null, 1e308])) };
  if (roll < 0.2) return { kind: 'no token', bytes: hello(VERSION, pick<unknown>(random, [false, null, 1])) };
  if (roll < 0.3)
    return {
      kind: 'wrong nonce',
      bytes: hello(VERSION, true, pick<unknown>(random, [null, Buffer.alloc(31), 'x', []])),
    };
  if (roll < 0.4) return { kind: 'wrong token', bytes: Buffer.concat([hello(), proof('another', NONCE)]) };
  if (roll < 0.5)
    return {
      kind: 'call before the greeting',
      bytes: frame(KIND.call, 1, 'a', 'score', [], '', null, null, null),
    };
  if (roll < 0.6) return { kind: 'length of 4 GB', bytes: Buffer.from('ffffffff00', 'hex') };
  if (roll < 0.7)
    return { kind: 'another protocol', bytes: Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n') };
  for (;;) {
    const { kind, bytes } = hostileBytes(
      random,
      [KIND.hello, 0, MAGIC, VERSION, NONCE, true],
      encode,
      Infinity,
    );
    // A greeting whose later fields are missing or too many may do: only what can't.
    if (bytes.length > 0 && !bytes.includes(MAGIC))
      return { kind, bytes: withLength(bytes.subarray(0, 4_000)) };
  }
}

/** Frames a listener knows no use for, after a right greeting; it ends the connection. */
export function hostileFrame(random: Random): { kind: string; bytes: Buffer } {
  const call = [KIND.call, 1, 'a', 'score', [], 'k', null, null, null];
  const roll = random();
  if (roll < 0.15)
    return { kind: 'unknown kind', bytes: frame(pick<unknown>(random, [14, 255, -1, 'x', null, 1.5]), 1) };
  if (roll < 0.3)
    return { kind: 'frame of a listener', bytes: frame(pick(random, [8, 9, 10, 11]), 1, 'x', 'y') };
  if (roll < 0.4)
    return { kind: 'no credit', bytes: frame(KIND.credit, 1, pick<unknown>(random, [0, -1, NaN, 'x', 0.5])) };
  if (roll < 0.5) return { kind: 'length of 4 GB', bytes: Buffer.from('ffffffff00', 'hex') };
  if (roll < 0.7) {
    const [, ...rest] = call;
    const at = 1 + Math.floor(random() * 4);
    (rest as unknown[])[at] = pick<unknown>(random, [null, 7, true]);
    return { kind: 'wrong type', bytes: frame(KIND.call, ...rest) };
  }
  const deep = Buffer.concat([Buffer.alloc(pick(random, [2_000, 100_000]), 0x91), Buffer.from([0xc0])]);
  if (roll < 0.85) return { kind: 'deep nesting', bytes: withLength(deep) };
  return {
    kind: 'random bytes',
    bytes: withLength(Buffer.concat([Buffer.from([0xc1]), Buffer.alloc(9, 0xff)])),
  };
}
