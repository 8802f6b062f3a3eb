import { createHash } from 'node:crypto';
import type { ModelConfig } from '../transformer/model-config';

/** Sha256 (hex) of the shape that weights must fit: equal for models that differ in their weights only. */
export function modelFingerprint({ initializerRange: _, ...architecture }: ModelConfig): string {
  return createHash('sha256').update(canonical(architecture)).digest('hex');
}

/** JSON with the keys of every object in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
