import { isCommit, parseHubName } from './hub-name';

describe('parseHubName', () => {
  it.each([
    ['HuggingFaceTB/SmolLM2-135M-Instruct', 'HuggingFaceTB/SmolLM2-135M-Instruct', null],
    ['me/tiny@main', 'me/tiny', 'main'],
    ['me/tiny@refs/pr/3', 'me/tiny', 'refs/pr/3'],
    ['a/b.c_d-e@v1.0', 'a/b.c_d-e', 'v1.0'],
  ])('takes %s', (text, name, revision) => {
    expect(parseHubName(text)).toEqual({ name, revision });
  });

  it.each([
    'tiny',
    '/models/tiny',
    './models/tiny',
    '../models/tiny',
    'models/tiny/',
    'a/b/c',
    '~/tiny',
    'a--b/c',
    'a/b@',
    'a/b@..',
    'a/b@x/../y',
    '',
    'a b/c',
  ])('takes %j for no name', (text) => {
    expect(parseHubName(text)).toBeNull();
  });
});

it('knows a commit by its 40 digits', () => {
  expect([isCommit('0'.repeat(40)), isCommit('main'), isCommit(null)]).toEqual([true, false, false]);
});
