import { completionOf, sampleOf } from './completion.fixture';
import { jsonReward } from './json-reward';

const answer = '{"name": "Ida", "city": "Oslo", "items": ["lamp", "chair"], "quantity": 3}';
const score = (text: string, options = {}, expected = answer) =>
  jsonReward(options).score(sampleOf(expected), text, completionOf(text));

describe('jsonReward', () => {
  it.each([
    ['the answer', answer, 1],
    [
      'another order and white space',
      '\n{"quantity":3,"items":["lamp","chair"],\n"city":"Oslo","name":"Ida"} ',
      1,
    ],
    ['a number as a text', answer.replace('3', '"3"'), 0.5 * 0.75],
    ['a list in another order', answer.replace('"lamp", "chair"', '"chair", "lamp"'), 0.5 * 0.75],
    ['a missing key', '{"name": "Ida", "city": "Oslo", "quantity": 3}', 0.5 * 0.75],
    ['a key too many', answer.replace('{', '{"when": null, '), 0.5 * 0.8],
    ['nothing right', '{"order": 7}', 0],
    ['a key of every object', '{"toString": 1}', 0],
    ['text around it', `Here it is: ${answer}`, 0],
    ['a fence around it', '```json\n' + answer + '\n```', 0],
    ['a list', `[${answer}]`, 0],
    ['null', 'null', 0],
    ['nothing', '', 0],
    ['half of it', answer.slice(0, 20), 0],
  ])('gives %s its share', (_what, text, expected) => {
    expect(score(text)).toBeCloseTo(expected, 12);
  });

  it('gives partial credit as it is told', () => {
    expect(score(answer.replace('3', '4'), { partialCredit: 0 })).toBe(0);
    expect(score(answer.replace('3', '4'), { partialCredit: 0.2 })).toBeCloseTo(0.15, 12);
  });

  it('compares values that are no objects', () => {
    expect([score('[1, 2]', {}, '[1,2]'), score('3', {}, '3.0'), score('"3"', {}, '3')]).toEqual([1, 1, 0]);
  });

  it('refuses a sample whose answer is not JSON', () => {
    expect(() => score('{}', {}, '18 apples')).toThrow("reward 'json': the answer of sample 's' is not JSON");
    expect(() => jsonReward().score(sampleOf(), '{}', completionOf('{}'))).toThrow('is not JSON');
  });
});
