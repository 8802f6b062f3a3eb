import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { taskSchema, type DatasetTaskConfig } from '@forge/config';
import { HubServer } from '@forge/testing';
import { datasetFolder, datasetTask, pinnedDataset } from './dataset-task';

const PARQUET = join(__dirname, 'samples.fixture.parquet');
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-data-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const taskOf = (fields: object): DatasetTaskConfig =>
  taskSchema.parse({ kind: 'dataset', ...fields }) as DatasetTaskConfig;
const written = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const samplesOf = async (fields: object) => {
  const task = await datasetTask(taskOf(fields), 1);
  const samples = Array.from({ length: task.size }, (_, i) => task.sample(i));
  return samples.sort((a, b) => (a.id < b.id ? -1 : 1));
};

describe('a Parquet file', () => {
  it('gives a sample a row, whole numbers of any size to the digit', async () => {
    expect(await samplesOf({ path: PARQUET, answerField: 'answer' })).toEqual([
      { id: `${PARQUET}:1`, prompt: '1+1=', answer: '2' },
      { id: `${PARQUET}:2`, prompt: '12+30=', answer: '42' },
      { id: `${PARQUET}:3`, prompt: '5-2=', answer: '9007199254740993' },
    ]);
  });

  it('has messages, and fields inside of columns', async () => {
    const [first] = await samplesOf({ path: PARQUET, promptField: 'messages', answerField: 'meta.right' });
    expect(first!.prompt).toEqual([{ role: 'user', content: 'Add é 1 and 1' }]);
    expect(first!.answer).toBe('true');
  });

  it('names the columns there are where one is missing', async () => {
    await expect(samplesOf({ path: PARQUET, promptField: 'prompt' })).rejects.toMatchObject({
      code: 'CONFIG_DATASET_INVALID',
      message: `${PARQUET}:1: field 'prompt': found no such field (fields: question, answer, messages, meta, ignored), expected a text or a list of messages`,
    });
  });

  it('is refused when it is none, or is not there', async () => {
    const path = written('bad.parquet', 'PAR0 nothing of the kind');
    await expect(samplesOf({ path })).rejects.toMatchObject({
      code: 'CONFIG_DATASET_INVALID',
      message: expect.stringMatching(/bad\.parquet: found .*, expected a Parquet file$/) as string,
    });
    await expect(samplesOf({ path: join(dir, 'none.parquet') })).rejects.toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
    });
  });
});

describe('a CSV file', () => {
  it('gives a sample a record, at the line it ends on, with quoted commas and lines', async () => {
    const path = written(
      'a.csv',
      '\ufeffquestion,answer\r\n"How many, then?",4\r\n\r\n"two\nlines","say ""5"""\r\n',
    );
    expect(await samplesOf({ path, answerField: 'answer' })).toEqual([
      { id: `${path}:2`, prompt: 'How many, then?', answer: '4' },
      { id: `${path}:5`, prompt: 'two\nlines', answer: 'say "5"' },
    ]);
  });

  it('has tabs between its fields when it ends with .tsv', async () => {
    const path = written('a.tsv', 'question\tanswer\n1, 2 or 3?\t2\n');
    expect(await samplesOf({ path, answerField: 'answer' })).toEqual([
      { id: `${path}:2`, prompt: '1, 2 or 3?', answer: '2' },
    ]);
  });

  it('is refused with the line where a record has another number of fields', async () => {
    const path = written('bad.csv', 'question,answer\na,1\nb\n');
    await expect(samplesOf({ path })).rejects.toMatchObject({
      code: 'CONFIG_DATASET_INVALID',
      message: expect.stringMatching(/bad\.csv:3: found .*, expected CSV with a header$/) as string,
    });
  });
});

describe('a data set of the hub', () => {
  const lines = (from: number, count: number): string =>
    Array.from({ length: count }, (_, i) =>
      JSON.stringify({ question: `q${from + i}`, answer: from + i }),
    ).join('\n');
  const FILES = {
    'README.md': 'about',
    'main/train-00000-of-00002.jsonl': lines(0, 30),
    'main/train-00001-of-00002.jsonl': lines(30, 10),
    'main/test-00000-of-00001.parquet': readFileSync(PARQUET),
    'socratic/train-00000-of-00001.jsonl': lines(0, 1),
  };
  const given = { dataset: 'me/sums', subset: 'main', heldOutSplit: 'test', answerField: 'answer' };
  let server: HubServer;
  beforeEach(async () => {
    server = await HubServer.start([{ kind: 'dataset', name: 'me/sums', files: FILES }]);
    process.env.HF_ENDPOINT = server.endpoint;
    process.env.HF_HOME = dir;
  });
  afterEach(async () => {
    delete process.env.HF_ENDPOINT;
    delete process.env.HF_HOME;
    await server.stop();
  });

  it('is pinned by commit, files and hashes, and needs no hub from then on', async () => {
    const pinned = await pinnedDataset(taskOf(given));
    const bytes = FILES['main/train-00000-of-00002.jsonl'] + FILES['main/train-00001-of-00002.jsonl'];
    expect(pinned).toEqual({
      ...taskOf(given),
      dataset: `me/sums@${server.commit('datasets/me/sums')}`,
      files: ['main/train-00000-of-00002.jsonl', 'main/train-00001-of-00002.jsonl'],
      heldOutFiles: ['main/test-00000-of-00001.parquet'],
      sha256: createHash('sha256').update(bytes).digest('hex'),
      heldOutSha256: createHash('sha256').update(FILES['main/test-00000-of-00001.parquet']).digest('hex'),
    });
    expect(taskSchema.parse(pinned)).toEqual(pinned);
    server.put({ kind: 'dataset', name: 'me/sums', files: { 'train.jsonl': lines(90, 1) } });
    server.requests.length = 0;
    const task = await datasetTask(pinned, 1);
    expect(task.size).toBe(40);
    expect(task.heldOut.map(({ id, answer }) => [id, answer])).toEqual([
      ['main/test-00000-of-00001.parquet:1', '2'],
      ['main/test-00000-of-00001.parquet:2', '42'],
      ['main/test-00000-of-00001.parquet:3', '9007199254740993'],
    ]);
    const ids = Array.from({ length: 40 }, (_, i) => task.sample(i).id);
    expect(ids).toContain('main/train-00001-of-00002.jsonl:10');
    expect(await pinnedDataset(pinned)).toEqual(pinned);
    expect(server.requests).toEqual([]);
  });

  it('is fetched no further than its split', async () => {
    await pinnedDataset(taskOf({ dataset: 'me/sums', subset: 'socratic' }));
    const fetched = server.requests
      .filter(({ url }) => url.includes('/resolve/'))
      .map(({ url }) => url.split('/').slice(-2).join('/'));
    expect(fetched).toEqual(['socratic/train-00000-of-00001.jsonl']);
  });

  it('is in the cache as a whole when that is asked for', async () => {
    const { dir: folder, dataset } = await datasetFolder('me/sums', {});
    expect(folder).toBe(join(dir, 'hub/datasets--me--sums/snapshots', dataset.split('@')[1]!));
    expect(readFileSync(join(folder, 'socratic/train-00000-of-00001.jsonl'), 'utf8')).toBe(lines(0, 1));
  });

  it('is refused when its name is none or unknown', async () => {
    await expect(pinnedDataset(taskOf({ dataset: 'gsm8k' }))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message:
        'task.dataset: found gsm8k, expected org/name or org/name@revision on the hub; a file is named by task.path',
    });
    await expect(pinnedDataset(taskOf({ dataset: 'me/sumz' }))).rejects.toMatchObject({
      code: 'CONFIG_FILE_UNREADABLE',
      message: `${server.endpoint} has no data set me/sumz; did you mean me/sums?`,
    });
  });
});

describe('the task section', () => {
  it('is about a file or a data set, and takes the older name of its kind', () => {
    expect(taskSchema.parse({ kind: 'jsonl', path: 'a' })).toEqual(taskOf({ path: 'a' }));
    const problem = (fields: object) =>
      taskSchema
        .safeParse({ kind: 'dataset', ...fields })
        .error?.issues.map(({ path, message }) => [path.join('.'), message]);
    expect(problem({})).toEqual([['path', 'a text, or a name on the Hugging Face hub as dataset']]);
    expect(problem({ path: 'a', dataset: 'b/c' })).toEqual([
      ['path', 'none beside dataset, whose files split and files name'],
    ]);
    expect(problem({ path: 'a', subset: 'b' })).toEqual([
      ['subset', 'none beside path; it is about a dataset of the hub'],
    ]);
  });
});
