import { actionForm, type AskedForm } from './action-form';
import { DOOR, GUESS, SHOP } from './recorded.fixture';

const schema = (properties: Record<string, unknown>, required: string[] = [], more = {}) => ({
  type: 'object',
  properties: { metadata: { type: 'object' }, ...properties },
  required,
  ...more,
});
const text = { type: 'string' };

/** The value of the field, or the problem, that a text comes to. */
function read(given: Record<string, unknown>, said: string, asked?: AskedForm) {
  const form = actionForm(given, asked);
  if (form.by !== 'text') return 'calls';
  const found = form.read(said);
  return 'value' in found ? { [form.field]: found.value } : found.problem;
}

describe('actionForm', () => {
  it.each([
    ['the only field, to the letter', schema({ code: text }), ' print(1)\n', { code: ' print(1)\n' }],
    [
      'the only one that is needed',
      schema({ code: text, timeout: { type: 'number' } }, ['code']),
      'x',
      { code: 'x' },
    ],
    ['an integer, the last of the text', GUESS.action, 'not 7 but -12.', { number: -12 }],
    ['a number', schema({ throttle: { type: 'number' } }), 'Say 0.25', { throttle: 0.25 }],
    ['no number', GUESS.action, 'seven', 'expected a number'],
    ['a choice, without the space around it', DOOR.action, ' left\n', { side: 'left' }],
    [
      'a choice that is defined elsewhere',
      schema({ move: { allOf: [{ $ref: '#/$defs/Move' }] } }, ['move'], {
        $defs: { Move: { type: 'string', enum: ['UP'] } },
      }),
      'UP ',
      { move: 'UP' },
    ],
    ['a boolean', schema({ pass: { type: 'boolean' } }), 'True', { pass: true }],
    ['no boolean', schema({ pass: { type: 'boolean' } }), 'perhaps', 'expected true or false'],
    ['what may be null', schema({ answer: { anyOf: [text, { type: 'null' }] } }), 'x', { answer: 'x' }],
  ])('reads a text as %s', (_, given, said, expected) => {
    expect(read(given, said)).toEqual(expected);
  });

  it.each([
    ['several fields that are needed', schema({ kind: text, command: text }, ['kind', 'command'])],
    ['several of which none is needed', schema({ code: text, isFinal: { type: 'boolean' } })],
    ['a list', schema({ values: { type: 'array', items: { type: 'number' } } }, ['values'])],
    ['several types', schema({ value: { anyOf: [text, { type: 'integer' }] } }, ['value'])],
    ['tools of an MCP server', SHOP.action],
  ])('takes calls for %s', (_, given) => {
    expect(actionForm(given).by).toBe('calls');
  });

  it('gives the parameters of calls without metadata, and with what they refer to', () => {
    const $defs = { Move: { type: 'string', enum: ['UP'] } };
    const move = { $ref: '#/$defs/Move' };
    const form = actionForm(
      schema({ move, times: { type: 'integer' } }, ['move', 'metadata'], { $defs }),
      'calls',
    );
    expect(form).toMatchObject({ by: 'calls', isMcp: false });
    expect(form.by === 'calls' && form.parameters).toEqual({
      type: 'object',
      properties: { move, times: { type: 'integer' } },
      required: ['move'],
      $defs,
    });
  });

  it('takes the field that a recipe names, and refuses one that takes no text', () => {
    const given = schema({ kind: text, command: text, values: { type: 'array' } });
    expect(read(given, 'ls', { field: 'command' })).toEqual({ command: 'ls' });
    for (const field of ['values', 'metadata', 'toString'])
      expect(() => actionForm(given, { field })).toThrow(
        `action.field: found ${field}, expected a field of the action that has a text, a number or a boolean: kind, command`,
      );
  });
});
