import type { SpanLog } from '@forge/broker';
import type { Recipe } from '@forge/config';
import { within } from '@forge/errors';
import { SpanFile } from '@forge/service-kit';

const DEADLINE_MS = 2_000;

/** Writes down the spans that services told of while they ended, without waiting for a Redis that is gone for good. */
export async function writeLastSpans(
  spans: SpanLog,
  directory: string,
  { limits }: Pick<Recipe, 'limits'>,
): Promise<void> {
  const written = new SpanFile(directory).takeFrom(spans, limits.spansFileMiB).catch(() => undefined);
  await within(DEADLINE_MS, written, () => undefined);
}
