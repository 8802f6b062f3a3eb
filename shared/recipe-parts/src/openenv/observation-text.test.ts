import { observationText, toolResult } from './observation-text';

describe('observationText', () => {
  it.each([
    [{}, ''],
    [{ hint: 'higher' }, 'higher'],
    [{ question: 'What?', score: null, answer: null, history: [] }, 'What?'],
    [{ stdout: 'a', stderr: '', exit_code: 0 }, '{"stdout":"a","stderr":"","exit_code":0}'],
    [{ board: [[0, 1]] }, '{"board":[[0,1]]}'],
    [{ text: '', error: '' }, '{"text":"","error":""}'],
  ])('tells %j as %p', (observation, text) => {
    expect(observationText(observation)).toBe(text);
  });

  it('tells the field that a recipe names, and refuses one that is not there', () => {
    const seen = { text: 'a page', screenshot: [1, 2], error: null };
    expect(observationText(seen, 'text')).toBe('a page');
    expect(observationText(seen, 'screenshot')).toBe('[1,2]');
    expect(observationText(seen, 'error')).toBe('');
    expect(observationText({}, 'text')).toBe('');
    expect(() => observationText(seen, 'page')).toThrow(
      'observation: found page, expected a field of the observation: text, screenshot, error',
    );
  });
});

describe('toolResult', () => {
  const result = (given: unknown) => toolResult({ tool_name: 't', result: given, error: null });

  it.each([
    [{ data: 3, content: [{ type: 'text', text: '3' }] }, '3'],
    [
      {
        data: null,
        content: [
          { type: 'text', text: 'a' },
          { type: 'text', text: 'b' },
        ],
      },
      'a\nb',
    ],
    ['plain', 'plain'],
    [null, ''],
    [{ price: 3 }, '{"price":3}'],
  ])('is what the tool says: %j', (given, text) => {
    expect(result(given)).toEqual({ text, isError: false });
  });

  it('tells an error of the tool, and fails where the server did not reach it', () => {
    expect(result({ content: [{ text: 'broken' }], is_error: true })).toEqual({
      text: 'broken',
      isError: true,
    });
    const failed = (error_type: string) =>
      toolResult({ tool_name: 't', result: null, error: { error_type, message: 'no' } });
    expect(failed('timeout')).toEqual({ text: 'no', isError: true });
    expect(() => failed('transport_error')).toThrow('its tool t is out of reach: no');
    expect(toolResult({ hint: 'higher' })).toBeNull();
  });
});
