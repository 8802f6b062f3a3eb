import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readModelWeights, type TensorRole } from './model-weights';
import { parametersHash, type Parameters } from './parameters';
import { writeSafetensors } from './safetensors';

const INDEX = 'model.safetensors.index.json';
const FIRST = 'model-00001-of-00002.safetensors';
const SECOND = 'model-00002-of-00002.safetensors';
const tensor = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) });
const whole: Parameters = new Map([
  ['a', tensor(1, 2)],
  ['b', tensor(3)],
  ['c', tensor(4, 5, 6)],
]);

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'forge-shards-'));
  const part = (...names: string[]): Parameters => new Map(names.map((name) => [name, whole.get(name)!]));
  await writeSafetensors(path.join(dir, FIRST), part('a', 'b'), { dtype: 'F32' });
  await writeSafetensors(path.join(dir, SECOND), part('c'), { dtype: 'F32' });
});
afterEach(() => rm(dir, { recursive: true }));

const writeIndex = (weightMap: unknown): Promise<void> =>
  writeFile(path.join(dir, INDEX), JSON.stringify({ metadata: { total_size: 24 }, weight_map: weightMap }));

describe('readModelWeights', () => {
  it('joins the shards of an index', async () => {
    await writeIndex({ a: FIRST, b: FIRST, c: SECOND });
    expect(parametersHash(await readModelWeights(dir))).toBe(parametersHash(whole));
  });

  it('prefers the single file', async () => {
    await writeIndex({ a: FIRST, b: FIRST, c: SECOND });
    await writeSafetensors(path.join(dir, 'model.safetensors'), new Map([['d', tensor(9)]]), {
      dtype: 'F16',
    });
    expect([...(await readModelWeights(dir))]).toEqual([['d', tensor(9)]]);
  });

  it('says which files it looked for', async () => {
    await expect(readModelWeights(dir)).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: `${dir}: found no weights, expected model.safetensors or ${INDEX}`,
    });
  });

  it('names a shard that is missing', async () => {
    await writeIndex({ a: FIRST, b: FIRST, c: 'model-00003.safetensors' });
    await expect(readModelWeights(dir)).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: expect.stringContaining('model-00003.safetensors'),
    });
  });

  it.each<[string, unknown, string]>([
    [
      'a tensor its shard lacks',
      { a: FIRST, b: FIRST, c: SECOND, d: SECOND },
      `tensor "d": expected in ${SECOND}, not found there`,
    ],
    [
      'a tensor in another shard',
      { a: FIRST, b: SECOND, c: SECOND },
      `tensor "b": found in ${FIRST}, expected in ${SECOND}`,
    ],
    [
      'a tensor it does not list',
      { a: FIRST, c: SECOND },
      `tensor "b": found in ${FIRST}, expected in no shard`,
    ],
    ['a file outside the folder', { a: `../${FIRST}` }, 'weight_map."a": found "../model-'],
    ['no map', 3, 'weight_map: expected an object'],
  ])('refuses an index with %s', async (_, weightMap, message) => {
    await writeIndex(weightMap);
    await expect(readModelWeights(dir)).rejects.toMatchObject({
      code: 'CONTRACT_WEIGHTS_CORRUPT',
      message: expect.stringContaining(`${INDEX}: ${message}`),
    });
  });

  describe('where only `a` and `b` are needed, and tables are not read', () => {
    const roleOf = (name: string): TensorRole =>
      name === 'a' || name === 'b' ? 'needed' : name.startsWith('table') ? 'unread' : 'spare';
    const names = async (): Promise<string[]> => [...(await readModelWeights(dir, roleOf)).keys()].sort();

    it.each<[string, object, string[]]>([
      [
        'lists a spare tensor that no shard has',
        { a: FIRST, b: FIRST, c: SECOND, d: SECOND },
        ['a', 'b', 'c'],
      ],
      ['misplaces a spare tensor', { a: FIRST, b: FIRST, c: FIRST, d: SECOND }, ['a', 'b', 'c']],
      ['does not list a spare tensor', { a: FIRST, b: FIRST, d: SECOND }, ['a', 'b', 'c']],
      [
        'lists a table in a shard that is missing',
        { a: FIRST, b: FIRST, table: 'x.safetensors' },
        ['a', 'b'],
      ],
    ])('accepts an index that %s', async (_, weightMap, found) => {
      await writeIndex(weightMap);
      expect(await names()).toEqual(found);
    });

    it('leaves a table alone that the index does not list', async () => {
      await writeSafetensors(path.join(dir, SECOND), new Map([['table', tensor(7)]]), { dtype: 'F32' });
      await writeIndex({ a: FIRST, b: FIRST, c: SECOND });
      expect(await names()).toEqual(['a', 'b']);
    });

    it.each<[string, object, string]>([
      ['lacks a needed tensor', { a: FIRST, c: SECOND }, 'tensor "b": found in model-00001-of-00002'],
      ['misplaces a needed tensor', { a: FIRST, b: SECOND }, 'tensor "b": found in model-00001-of-00002'],
    ])('refuses an index that %s', async (_, weightMap, message) => {
      await writeIndex(weightMap);
      await expect(names()).rejects.toMatchObject({
        code: 'CONTRACT_WEIGHTS_CORRUPT',
        message: expect.stringContaining(`${INDEX}: ${message}`),
      });
    });

    it('refuses a needed tensor that its shard lacks', async () => {
      await writeSafetensors(path.join(dir, FIRST), new Map([['a', tensor(1, 2)]]), { dtype: 'F32' });
      await writeIndex({ a: FIRST, b: FIRST });
      await expect(names()).rejects.toThrow(`tensor "b": expected in ${FIRST}, not found there`);
    });
  });

  it('refuses an index that is no JSON', async () => {
    await writeFile(path.join(dir, INDEX), '{');
    await expect(readModelWeights(dir)).rejects.toMatchObject({
      message: expect.stringContaining(`${INDEX}: not JSON`),
    });
  });
});
