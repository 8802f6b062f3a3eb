import { splitFiles } from './split-files';

const choose = (paths: string[], more: { subset?: string; split?: string } = {}) =>
  splitFiles(paths, { dataset: 'me/sums', subset: undefined, split: 'train', field: 'split', ...more });
const GSM8K = [
  'README.md',
  'main/test-00000-of-00001.parquet',
  'main/train-00000-of-00001.parquet',
  'socratic/test-00000-of-00001.parquet',
  'socratic/train-00000-of-00001.parquet',
];

describe('splitFiles', () => {
  it.each<[string, string[], { subset?: string; split?: string }, string[]]>([
    ['by the subset', GSM8K, { subset: 'main' }, ['main/train-00000-of-00001.parquet']],
    ['by the split', GSM8K, { subset: 'socratic', split: 'test' }, ['socratic/test-00000-of-00001.parquet']],
    [
      'all pieces in order',
      [
        'data/train-00001-of-00002-ab.parquet',
        'data/train-00000-of-00002-cd.parquet',
        'data/test-00000-of-00001.parquet',
      ],
      {},
      ['data/train-00000-of-00002-cd.parquet', 'data/train-00001-of-00002-ab.parquet'],
    ],
    [
      'by a folder',
      ['train/1.jsonl', 'train/0.jsonl', 'test/0.jsonl'],
      {},
      ['train/0.jsonl', 'train/1.jsonl'],
    ],
    ['by a word of the name', ['sums_train.jsonl', 'sums_test.jsonl'], {}, ['sums_train.jsonl']],
    [
      'by the name of just that',
      ['data/train_prefs-00000-of-00001.parquet', 'data/train_sft-00000-of-00001.parquet'],
      { split: 'train_sft' },
      ['data/train_sft-00000-of-00001.parquet'],
    ],
    ['the same in one format only', ['train.csv', 'train.jsonl'], {}, ['train.jsonl']],
    ['the only file there is', ['alpaca.json', 'README.md'], {}, ['alpaca.json']],
    [
      'a subset by a word of the name',
      ['en_train.jsonl', 'de_train.jsonl'],
      { subset: 'de' },
      ['de_train.jsonl'],
    ],
  ])('takes %s', (_, paths, more, expected) => {
    expect(choose(paths, more)).toEqual(expected);
  });

  it.each<[string[], { subset?: string; split?: string }, string]>([
    [
      GSM8K,
      {},
      'me/sums: the split train has several parts: main/train, socratic/train; set task.subset as one of main, socratic',
    ],
    [GSM8K, { subset: 'main', split: 'tset' }, 'did you mean task.split=test?'],
    [
      GSM8K,
      { subset: 'mian' },
      'found the data files main/test-00000-of-00001.parquet, main/train-00000-of-00001.parquet, socratic/test-00000-of-00001.parquet, socratic/train-00000-of-00001.parquet, expected some of the subset mian',
    ],
    [['README.md', 'data.zip'], {}, 'me/sums: found no data files, expected .parquet, .jsonl'],
    [['a.jsonl', 'b.jsonl'], {}, 'expected files of the split train; name files by task.files'],
    [
      ['train_a.jsonl', 'train_b.jsonl'],
      {},
      'several parts: train_a, train_b; set task.split, or task.files',
    ],
  ])('says of %j with %j what there is', (paths, more, message) => {
    expect(() => choose(paths, more)).toThrow(message);
  });
});
