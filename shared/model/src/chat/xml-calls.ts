import type { ToolSpec } from '@forge/contracts';
import type { Call } from './json-calls';

const FUNCTION = /^\s*<function=([^<>\s]+)>([^]*)<\/function>\s*$/;
const PARAMETER = /\s*<parameter=([^<>\s]+)>\n?([^]*?)\n?<\/parameter>/y;

/**
 * The call that a function between tags is, as a list of one; null where it is anything else. A value is text, or JSON where
 * the tool's schema says that it is no text.
 */
export function taggedXml(body: string, tools: readonly ToolSpec[]): Call[] | null {
  const [, name, inside] = FUNCTION.exec(body) ?? [];
  if (name === undefined || inside === undefined || inside.includes('<function=')) return null;
  const spec = tools.find((tool) => tool.name === name);
  const given: [string, unknown][] = [];
  PARAMETER.lastIndex = 0;
  let end = 0;
  for (let found; (found = PARAMETER.exec(inside)) !== null; end = PARAMETER.lastIndex)
    given.push([found[1]!, valueOf(found[2]!, typesOf(spec, found[1]!))]);
  return inside.slice(end).trim() === '' ? [{ name, arguments: Object.fromEntries(given) }] : null;
}

/** Python's names for constants of JSON, as templates print them. */
const CONSTANTS: Record<string, unknown> = { True: true, False: false, None: null };

function valueOf(text: string, types: readonly unknown[]): unknown {
  if (types.length === 0 || types.includes('string')) return text;
  if (text.trim() in CONSTANTS) return CONSTANTS[text.trim()];
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Types that a tool's JSON Schema gives an argument; none where it does not say. */
function typesOf(spec: ToolSpec | undefined, argument: string): unknown[] {
  const properties = spec?.parameters['properties'] as
    Record<string, { type?: unknown } | undefined> | undefined;
  const type = properties?.[argument]?.type;
  return type === undefined ? [] : [type].flat();
}
