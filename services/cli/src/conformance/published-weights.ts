import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  check,
  weightsManifestSchema,
  type WeightsAnnouncement,
  type WeightsManifest,
  type WeightsOrigin,
} from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { parametersHash, inspectBlob, readVersion, type Parameters } from '@forge/weights';
import { difference, firstFault } from './check';

/** Names and shapes of tensors, in the order of the names. */
export type Shapes = readonly (readonly [string, readonly number[]])[];

export function shapesOf(parameters: ReadonlyMap<string, { shape: readonly number[] }>): Shapes {
  return [...parameters]
    .map(([name, { shape }]) => [name, [...shape]] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The fault of the blob of an announcement: its name, its bytes, its tensors, or a value that is not finite. */
export async function blobFault(announcement: WeightsAnnouncement, shapes: Shapes): Promise<string | null> {
  const { path, sizeBytes, sha256, version } = announcement;
  const content = await inspectBlob(path).catch((error: unknown) => ForgeError.from(error).message);
  if (typeof content === 'string') return `the blob of version ${version} can't be read: ${content}`;
  const found = new Map(content.tensors.map(({ name, shape }) => [name, { shape }]));
  return firstFault(
    () => difference(`sizeBytes of the blob of version ${version}`, sizeBytes, content.sizeBytes),
    () => difference(`sha256 of the blob of version ${version}`, sha256, content.sha256),
    () => difference('name of the blob', `${sha256}.safetensors`, basename(path)),
    () => sameByName('shape of tensor NAME', shapes, shapesOf(found)),
    async () => valuesFault(await readVersion(announcement)),
  );
}

/** The first difference between what is said of names, on either side; `what` has NAME in its place. */
function sameByName(
  what: string,
  expected: readonly (readonly [string, unknown])[],
  found: readonly (readonly [string, unknown])[],
): string | null {
  const [wanted, came] = [new Map(expected), new Map(found)];
  for (const name of new Set([...wanted.keys(), ...came.keys()])) {
    const fault = difference(what.replace('NAME', name), wanted.get(name) ?? null, came.get(name) ?? null);
    if (fault !== null) return fault;
  }
  return null;
}

function valuesFault(parameters: Parameters): string | null {
  for (const [name, { data }] of parameters) {
    const at = data.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) return `expected finite values in tensor ${name}, found ${data[at]} at ${at}`;
  }
  return null;
}

/** The fault of the manifest beside the blob of an announcement. */
export async function manifestFault(
  announcement: WeightsAnnouncement,
  origin: Partial<WeightsOrigin>,
): Promise<string | null> {
  const { path, version, epoch, sha256, sizeBytes } = announcement;
  const name = `v${version}-e${epoch}.json`;
  const text = await readFile(join(dirname(path), name), 'utf8').catch(() => null);
  if (text === null) return `expected the manifest ${name} beside the blob, found none`;
  const manifest = check(weightsManifestSchema, JSON.parse(text), name);
  const { tensors } = await inspectBlob(path);
  const about = { version, epoch, sha256, sizeBytes, ...origin };
  const found = Object.fromEntries(
    Object.keys(about).map((key) => [key, manifest[key as keyof typeof manifest]]),
  );
  return firstFault(
    () => difference(`in ${name}`, about, found),
    () => sameByName(`place of tensor NAME in ${name}`, placesOf(tensors), placesOf(manifest.tensors)),
  );
}

function placesOf(tensors: WeightsManifest['tensors']): (readonly [string, string])[] {
  return tensors.map(({ name, dtype, shape, offset, sizeBytes }) => [
    name,
    `${dtype} [${shape.join()}], ${sizeBytes} bytes at ${offset}`,
  ]);
}

/** Whether a version has exactly these values. */
export async function hasValues(announcement: WeightsAnnouncement, values: Parameters): Promise<boolean> {
  return parametersHash(await readVersion(announcement)) === parametersHash(values);
}
