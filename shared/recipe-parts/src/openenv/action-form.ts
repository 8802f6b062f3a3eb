import { ForgeError } from '@forge/errors';

export type JsonSchema = Record<string, unknown>;

/** Way in which an answer of the model becomes an action. */
export type ActionForm = (TextForm | { by: 'calls'; isMcp: boolean; parameters: JsonSchema }) & {
  /** The fields of the action, with the schema of each. */
  fields: JsonSchema;
};

/** The text of an answer as one field of the action. */
export interface TextForm {
  by: 'text';
  field: string;
  /** Value of the field, or the problem that the model is told. */
  read(text: string): { value: unknown } | { problem: string };
}

/** Form that a recipe asks for. */
export type AskedForm = 'calls' | { field: string };

/**
 * The form that the schema of the action asks for, unless the recipe does: the answer's text where one value is all that an
 * action needs, else calls: of the tools of an MCP server, or of one tool with the fields of the action.
 *
 * @throws {ForgeError} CONFIG_INVALID when the action has no such field, or the field takes no text.
 */
export function actionForm(schema: JsonSchema, asked?: AskedForm): ActionForm {
  const fields = { ...record(schema.properties) };
  delete fields.metadata;
  if (typeof asked === 'object') return textForm(schema, fields, asked.field);
  const isMcp = 'tool_name' in fields && 'arguments' in fields;
  const names = Object.keys(fields);
  const required = strings(schema.required).filter((name) => name !== 'metadata');
  const only = required.length === 1 ? required[0]! : names.length === 1 ? names[0]! : null;
  if (asked === undefined && !isMcp && only !== null && kindOf(schema, fields[only]) !== null)
    return textForm(schema, fields, only);
  const { $defs } = schema;
  const parameters = { type: 'object', properties: fields, required, ...($defs !== undefined && { $defs }) };
  return { by: 'calls', isMcp, parameters, fields };
}

function textForm(schema: JsonSchema, fields: JsonSchema, field: string): ActionForm {
  const kind = field in fields ? kindOf(schema, fields[field]) : null;
  if (kind !== null) return { by: 'text', field, read: READERS[kind], fields };
  const names = Object.keys(fields).filter((name) => kindOf(schema, fields[name]) !== null);
  const message = `action.field: found ${field}, expected a field of the action that has a text, a number or a boolean: ${names.join(', ') || 'there is none'}`;
  throw new ForgeError('CONFIG_INVALID', message, { field: 'action.field', found: field });
}

type Kind = 'string' | 'choice' | 'integer' | 'number' | 'boolean';

const READERS: Record<Kind, TextForm['read']> = {
  string: (value) => ({ value }),
  choice: (text) => ({ value: text.trim() }),
  number: lastNumber,
  integer: lastNumber,
  boolean: (text) => {
    const word = text.trim().toLowerCase();
    return word === 'true' || word === 'false'
      ? { value: word === 'true' }
      : { problem: 'expected true or false' };
  },
};

/** The last number of a text, as models say what they have worked out. */
function lastNumber(text: string): ReturnType<TextForm['read']> {
  const [found] = /-?\d+(?:\.\d+)?(?!.*\d)/s.exec(text) ?? [];
  return found === undefined ? { problem: 'expected a number' } : { value: Number(found) };
}

/** Kind of value that a text can give the field; null for lists, objects and what has several types. */
function kindOf(schema: JsonSchema, field: unknown): Kind | null {
  const given = record(field);
  if (typeof given.$ref === 'string')
    return kindOf(schema, record(schema.$defs)[given.$ref.replace('#/$defs/', '')]);
  const { anyOf, allOf } = given;
  const parts = Array.isArray(anyOf) ? anyOf.filter((part) => record(part).type !== 'null') : allOf;
  if (Array.isArray(parts)) return parts.length === 1 ? kindOf(schema, parts[0]) : null;
  if (given.type === 'string') return 'enum' in given || 'const' in given ? 'choice' : 'string';
  return given.type === 'integer' || given.type === 'number' || given.type === 'boolean' ? given.type : null;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonSchema) : {};
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
