import { ForgeError } from '@forge/errors';

type Observation = Record<string, unknown>;

/**
 * An observation as the model is told it: its field `field`; left out: its one field that says something, or the JSON of all.
 *
 * @throws {ForgeError} CONFIG_INVALID when it has other fields than that.
 */
export function observationText(observation: Observation, field?: string): string {
  const names = Object.keys(observation);
  if (names.length === 0) return '';
  if (field === undefined) {
    const saying = Object.values(observation).filter((value) => !isEmpty(value));
    return saying.length === 1 && typeof saying[0] === 'string' ? saying[0] : JSON.stringify(observation);
  }
  if (field in observation) return asText(observation[field]);
  const message = `observation: found ${field}, expected a field of the observation: ${names.join(', ')}`;
  throw new ForgeError('CONFIG_INVALID', message, { field: 'observation', found: field });
}

/** Result of a call: what the tool says, and whether it failed. */
export interface ToolResult {
  text: string;
  isError: boolean;
}

/**
 * The result of a call of an MCP tool, as its observation has it; null for other observations.
 *
 * @throws {ForgeError} TRANSIENT_ENVIRONMENT_FAILED when the server did not reach the tool.
 */
export function toolResult(observation: Observation): ToolResult | null {
  if (!('tool_name' in observation)) return null;
  const error = observation.error as { error_type?: unknown; message?: unknown } | null | undefined;
  if (typeof error === 'object' && error !== null) {
    const text = asText(error.message);
    if (error.error_type !== 'transport_error') return { text, isError: true };
    throw new ForgeError(
      'TRANSIENT_ENVIRONMENT_FAILED',
      `its tool ${asText(observation.tool_name)} is out of reach: ${text}`,
    );
  }
  const { result } = observation;
  if (typeof result !== 'object' || result === null) return { text: asText(result), isError: false };
  const {
    data,
    content,
    is_error: isError,
  } = result as { data?: unknown; content?: unknown; is_error?: unknown };
  if (!isEmpty(data)) return { text: asText(data), isError: isError === true };
  if (!Array.isArray(content)) return { text: asText(result), isError: isError === true };
  const texts = (content as { text?: unknown }[]).map(({ text }) => asText(text));
  return { text: texts.join('\n'), isError: isError === true };
}

function asText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isEmpty(value: unknown): boolean {
  return (
    value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
  );
}
