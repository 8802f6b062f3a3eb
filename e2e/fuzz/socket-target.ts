import { decode } from '@forge/contracts';
import { nested, pick, spoil, type Random } from '@forge/testing';
import { z } from 'zod';
import { inParallel, talk, type Place } from './connections';
import { frame, hello, hostileFrame, hostileGreeting, KIND, proof } from './frames';
import { Tally } from './tally';

const AT_A_TIME = 16;
const PATIENCE_MS = 20_000;
/** Wrong calls on one connection. */
const CALLS = 50;

export interface ActorPlace {
  /** Place where it answers, and its id there. */
  address: string;
  actor: string;
  token: string;
  /** Endpoints of the actor, with arguments that fit. */
  endpoints: Readonly<Record<string, readonly unknown[]>>;
}

/** Outcome: how many messages were refused with an answer. */
export interface SocketOutcome {
  tally: Tally;
  refused: number;
}

/** Sends `count` hostile messages to the socket of an actor: before, instead of and after the greeting. */
export async function sendFrames(
  name: string,
  to: ActorPlace,
  random: Random,
  count: number,
): Promise<SocketOutcome> {
  const tally = new Tally(`socket ${name}`);
  let refused = 0;
  const place = placeOf(to.address);
  const talks: (() => Promise<void>)[] = [];
  for (let made = 0; made < count;) {
    const roll = random();
    if (roll < 0.75) {
      const isKnown = roll > 0.5;
      const { kind, bytes } = isKnown ? hostileFrame(random) : hostileGreeting(random);
      tally.add(isKnown ? `${kind}, greeted` : `${kind}, not greeted`);
      made++;
      talks.push(async () => {
        const told = isKnown ? await greeted(place, to.token, bytes, 1) : await stranger(place, bytes);
        refused += told;
      });
    } else {
      const calls = Array.from({ length: Math.min(CALLS, count - made) }, (_, i) =>
        wrongCall(random, to, i + 1),
      );
      for (const { kind } of calls) tally.add(kind);
      made += calls.length;
      talks.push(async () => {
        const told = await greeted(
          place,
          to.token,
          Buffer.concat(calls.map(({ bytes }) => bytes)),
          calls.length,
        );
        refused += told;
      });
    }
  }
  await inParallel(talks.length, AT_A_TIME, (i) => talks[i]!());
  return { tally, refused };
}

/** A call with arguments that the endpoint does not take. */
function wrongCall(
  random: Random,
  { actor, endpoints }: ActorPlace,
  id: number,
): { kind: string; bytes: Buffer } {
  const [endpoint, args] = pick(random, Object.entries(endpoints));
  const call = (what: string, given: unknown): Buffer =>
    frame(KIND.call, id, actor, what, given, `k${id}`, 10_000, null, null);
  const roll = random();
  if (roll < 0.2 || args.length === 0)
    return {
      kind: 'unknown endpoint',
      bytes: call(pick(random, ['constructor', '__proto__', 'setup', 'x', '']), args),
    };
  if (roll < 0.4) return { kind: 'no arguments', bytes: call(endpoint, []) };
  if (roll < 0.5) return { kind: 'deep argument', bytes: call(endpoint, [nested(50), ...args.slice(1)]) };
  const { kind, value } = spoil(random, args[0], 50_000);
  const isWrong = typeof value !== typeof args[0] || value === null;
  return {
    kind: `argument: ${kind}`,
    bytes: call(endpoint, [isWrong ? value : { wrong: value }, ...args.slice(1)]),
  };
}

async function stranger(place: Place, bytes: Buffer): Promise<number> {
  const received = await talk(place, [bytes], { isDone: () => false, patienceMs: PATIENCE_MS });
  return refusalsIn(framesIn(received));
}

/** Greets as one of ours, then sends; waits for so many answers. */
async function greeted(place: Place, token: string, bytes: Buffer, answers: number): Promise<number> {
  let hasGreeted = false;
  const received = await talk(place, [hello()], {
    patienceMs: PATIENCE_MS,
    isDone: (all) => framesIn(all).filter(isAnswer).length >= answers,
    onData: (all, write) => {
      const greeting = framesIn(all).find(([kind]) => kind === KIND.hello);
      if (hasGreeted || greeting === undefined) return;
      hasGreeted = true;
      write(Buffer.concat([proof(token, greeting[4] as Uint8Array), bytes]));
    },
  });
  return refusalsIn(framesIn(received));
}

function isAnswer([kind]: readonly unknown[]): boolean {
  return kind !== KIND.hello && kind !== KIND.proof;
}

/** Errors and farewells that say that the peer is to blame. */
function refusalsIn(frames: readonly unknown[][]): number {
  return frames.filter(([kind, , code]) => {
    const isSaid = kind === KIND.bye || kind === KIND.error;
    return isSaid && (String(code).startsWith('CONTRACT_') || code === 'CAPACITY_FRAME_TOO_LARGE');
  }).length;
}

function framesIn(bytes: Buffer): unknown[][] {
  const frames: unknown[][] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at);
    if (end > bytes.length) break;
    frames.push(decode(z.array(z.unknown()), bytes.subarray(at + 4, end), 'frame'));
    at = end;
  }
  return frames;
}

function placeOf(address: string): Place {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) };
  const { hostname, port } = new URL(address);
  return { host: hostname, port: Number(port) };
}
