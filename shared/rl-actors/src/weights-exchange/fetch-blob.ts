import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import type { WeightsAnnouncement } from '@forge/contracts';
import { PartialBlob } from './partial-blob';

/** A process that gives a blob. */
export interface BlobHolder {
  name: string;
  /** The bytes of a blob from `offset` on. */
  read: (sha256: string, offset: number) => AsyncIterable<unknown>;
}

export interface FetchOptions {
  /** Processes that give a blob now, those to be asked first in front. */
  holders: (sha256: string) => Promise<readonly BlobHolder[]>;
  /** Hears why a holder is passed over. */
  say: (message: string) => void;
}

type Blob = Pick<WeightsAnnouncement, 'version' | 'sha256' | 'sizeBytes'>;

/** Pause before holders are asked again that all give to as many as they can; twice as long each time, up to a bound. */
const BUSY_MS = 50;
const LONGEST_BUSY_MS = 1_000;

/**
 * Brings a blob to `path` from whoever gives it, from where an earlier attempt ended. A holder that is lost in the middle is
 * exchanged for another; one whose bytes make another hash is not asked again.
 *
 * @throws {ForgeError} STALE_WEIGHTS when nobody gives it; CONTRACT_WEIGHTS_CORRUPT when all who do give other bytes; both
 *   may be tried again.
 */
export async function fetchBlob(path: string, blob: Blob, options: FetchOptions): Promise<void> {
  const damaged = new Set<string>();
  for (;;) {
    const partial = await PartialBlob.open(`${path}.part`, blob.sizeBytes);
    try {
      const givers = await complete(partial, blob, damaged, options);
      if (await partial.settle(path, blob.sha256)) return;
      for (const giver of givers) damaged.add(giver);
      options.say(
        `the bytes that ${[...givers].join(', ') || 'an earlier attempt'} gave are not ${blob.sha256}`,
      );
    } finally {
      await partial.close();
    }
  }
}

/** Appends what is missing; the holders it came from. */
async function complete(
  partial: PartialBlob,
  blob: Blob,
  damaged: ReadonlySet<string>,
  { holders, say }: FetchOptions,
): Promise<ReadonlySet<string>> {
  const givers = new Set<string>();
  let pauseMs = BUSY_MS;
  while (partial.sizeBytes < blob.sizeBytes) {
    const asked = (await holders(blob.sha256)).filter(({ name }) => !damaged.has(name));
    const before = partial.sizeBytes;
    const failures: ForgeError[] = [];
    for (const holder of asked) {
      const failure = await takeFrom(holder, partial, blob);
      if (partial.sizeBytes > before) givers.add(holder.name);
      if (failure !== null && failure.code !== 'CAPACITY_QUEUE_FULL')
        say(`${holder.name} is passed over: ${failure.message}`);
      if (failure === null || partial.sizeBytes > before) break;
      failures.push(failure);
    }
    if (partial.sizeBytes > before) {
      pauseMs = BUSY_MS;
      continue;
    }
    if (!failures.some(({ code }) => code === 'CAPACITY_QUEUE_FULL')) throw nobody(blob, failures, damaged);
    await sleep(pauseMs);
    pauseMs = Math.min(2 * pauseMs, LONGEST_BUSY_MS);
  }
  return givers;
}

/** Appends what a holder gives; why it gave no more, null when it gave all. */
async function takeFrom(
  holder: BlobHolder,
  partial: PartialBlob,
  { sha256, sizeBytes }: Blob,
): Promise<ForgeError | null> {
  const pieces = holder.read(sha256, partial.sizeBytes)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await pieces.next().catch((error: unknown) => ForgeError.from(error));
      if (next instanceof ForgeError) return next;
      if (next.done) break;
      const { value } = next;
      if (!(value instanceof Uint8Array) || value.length > sizeBytes - partial.sizeBytes)
        return new ForgeError('CONTRACT_WEIGHTS_CORRUPT', `${holder.name} gives more than there is`);
      await partial.append(value);
    }
  } finally {
    await pieces.return?.();
  }
  if (partial.sizeBytes === sizeBytes) return null;
  return new ForgeError('CONTRACT_WEIGHTS_CORRUPT', `${holder.name} gives less than there is`);
}

function nobody(
  { version, sha256 }: Blob,
  failures: readonly ForgeError[],
  damaged: ReadonlySet<string>,
): ForgeError {
  if (damaged.size > 0) {
    const message = `version ${version}: what ${[...damaged].join(', ')} gave is not ${sha256}, and nobody else gives it`;
    return new ForgeError('CONTRACT_WEIGHTS_CORRUPT', message, { version });
  }
  const reasons = failures.map(({ message }) => message).join('; ');
  const way =
    'mount the run directory of the trainer, or start it with FORGE_CALL_ADDRESS=tcp://INTERFACE:PORT or tls://INTERFACE:PORT';
  const why = reasons === '' ? `no other host gives it: ${way}` : `no other host gives it: ${reasons}`;
  return new ForgeError('STALE_WEIGHTS', `version ${version} is not on this host, and ${why}`, { version });
}
