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

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
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
  const [copied, published, read] = [[], [], []] as [number[], number[], number[]];
  for (let round = 0; round <= ROUNDS; round++) {
    const copyMs = await msOf(() => copy(join(dir, 'copy'), bytes));
    let announcement!: WeightsAnnouncement;
    const publishMs = await msOf(async () => (announcement = await store.publish(round, 1, weights)));
    const readMs = await msOf(() => readVersion(announcement));
    await store.collect();
    // The first round warms up.
    if (round === 0) continue;
    copied.push(copyMs);
    published.push(publishMs);
    read.push(readMs);
  }
  const ratios = copied.map((ms, i) => (published[i]! + read[i]!) / ms);
  console.log(
    `${dtype}, ${(bytes.length / 1e6).toFixed(0)} MB: published in ${median(published).toFixed(0)} ms, read in ${median(read).toFixed(0)} ms; a copy takes ${median(copied).toFixed(0)} ms: ${median(ratios).toFixed(2)} x`,
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
