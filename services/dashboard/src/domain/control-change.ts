import { z } from 'zod';
import type { ControlChange } from '../api';

const schema = z.object({
  version: z.number(),
  seconds: z.number(),
  operation: z.string(),
  name: z.string(),
  from: z.string(),
  to: z.string(),
  reason: z.string().optional(),
});

/** A line of controls.jsonl; null for anything else. */
export function controlChange(line: unknown): ControlChange | null {
  return schema.safeParse(line).data ?? null;
}
