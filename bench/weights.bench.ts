import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import { readVersion, WeightStore, type Parameters, type SafetensorsDtype } from '@forge/weights';

const ROUNDS = 5;
const TENSORS = 30;
const PARAMETERS = 135_000_000;
const PIECE_BYTES = 4 << 20;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

function weightsOf(count: number): Parameters {
  const size = Math.round(count / TENSORS);
  const tensor = (i: number): Float32Array => new Float32Array(size).map((_, k) => Math.sin(i + k));
  return new Map(Array.from({ length: TENSORS }, (_, i) => [`t${i}`, { shape: [size], data: tensor(i) }]));
}

interface Spent {
  ms: number;
  /** CPU time of all threads, for a machine that others use, too. */
  cpuMs: number;
}

async function spent(work: () => Promise<unknown>): Promise<Spent> {
  const [startedAt, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { ms: performance.now() - startedAt, cpuMs: (user + system) / 1_000 };
}

/** Bytes from memory into a file, and from the file into memory again. */
async function copy(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w+');
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    await file.write(bytes.subarray(at, at + PIECE_BYTES));
  const again = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    await file.read(again, at, Math.min(PIECE_BYTES, bytes.length - at), at);
  await file.close();
}

/** From the trainer's memory to that of a policy on the same disk, against a plain copy of the same bytes, in turns. */
async function publishAndRead(dtype: SafetensorsDtype, dir: string): Promise<void> {
  const weights = weightsOf(PARAMETERS);
  const store = new WeightStore({ dir: join(dir, dtype), keep: 2, format: { dtype } });
  const bytes = new Uint8Array(PARAMETERS * (dtype === 'F32' ? 4 : 2)).fill(7);
  const rounds: Record<'copied' | 'published' | 'read', Spent>[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const copied = await spent(() => copy(join(dir, 'copy'), bytes));
    let announcement!: WeightsAnnouncement;
    const published = await spent(async () => (announcement = await store.publish(round, 1, weights)));
    const read = await spent(() => readVersion(announcement));
    await store.collect();
    // The first round warms up.
    if (round > 0) rounds.push({ copied, published, read });
  }
  const ratioOf = (unit: keyof Spent): string =>
    median(
      rounds.map(({ copied, published, read }) => (published[unit] + read[unit]) / copied[unit]),
    ).toFixed(2);
  const cpu = (part: 'copied' | 'published' | 'read'): string =>
    median(rounds.map((round) => round[part].cpuMs)).toFixed(0);
  console.log(
    `${dtype}, ${(bytes.length / 1e6).toFixed(0)} MB: ${ratioOf('ms')} times the time of a copy, ${ratioOf('cpuMs')} times its CPU time (published in ${cpu('published')} ms, read in ${cpu('read')}, a copy in ${cpu('copied')})`,
  );
}

/** A version from trainer to policies of the same disk, against a plain copy of the same bytes; the target is 1.5 times that. */
export async function run(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-bench-'));
  try {
    for (const dtype of ['F32', 'BF16'] as const) await publishAndRead(dtype, dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
