import type { ToolCall } from '@forge/contracts';

/** A call without the id that tells it apart. */
export type Call = Omit<ToolCall, 'id'>;

/** The calls that a JSON text has: one, or a list of some; null where it is anything else. */
export function taggedJson(body: string): Call[] | null {
  const value = parsed(body);
  const calls = (Array.isArray(value) ? (value as unknown[]) : [value]).map((one) =>
    callOf(one, 'arguments'),
  );
  return calls.length > 0 && calls.every((call) => call !== null) ? calls : null;
}

/** The call that a JSON text is, whose arguments some models name otherwise than they were told. */
export function bareJson(body: string): Call | null {
  const value = parsed(body);
  return callOf(value, 'parameters') ?? callOf(value, 'arguments');
}

function callOf(value: unknown, field: 'arguments' | 'parameters'): Call | null {
  if (!isObject(value)) return null;
  const { name, [field]: given } = value;
  return typeof name === 'string' && name !== '' && isObject(given) ? { name, arguments: given } : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
