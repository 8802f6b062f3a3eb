import { toolArguments } from './tool-arguments';

describe('toolArguments', () => {
  it('names the arguments of a call, texts as they are and other values as JSON', () => {
    expect(toolArguments('{"expression":"2 * 3","digits":2,"units":["m"]}')).toEqual([
      ['expression', '2 * 3'],
      ['digits', '2'],
      ['units', '["m"]'],
    ]);
    expect(toolArguments('{}')).toEqual([]);
  });

  it.each(['', '{"cut', '[1]', 'null', '3'])('is null for %j', (json) => {
    expect(toolArguments(json)).toBeNull();
  });
});
