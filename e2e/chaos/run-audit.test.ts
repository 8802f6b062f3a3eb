import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, provisionRedis, RunState, type Redis } from '@forge/broker';
import { encode, type Group } from '@forge/contracts';
import { waitFor } from '@forge/testing';
import { commandsOf, keepHistory, transactionsOf, type Command } from './append-only-file';
import { RunAudit, type Audit } from './run-audit';

const command = (...parts: (string | number | Buffer)[]): Command =>
  parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(String(part))));
const key = (name: string) => `forge:{run}:${name}`;
const move = (index: number, state: string) => command('HSET', key('records'), index, state);
const count = (name: string, by: number) => command('HINCRBY', key('ledger'), name, by);

function groupOf(index: number, versions: readonly number[]): Group {
  const episode = {
    tokenIds: Int32Array.of(0, ...versions.map(() => 1)),
    mask: Uint8Array.of(0, ...versions.map(() => 1)),
    logprobs: new Float32Array(versions.length + 1),
    versions: Int32Array.of(-1, ...versions),
    reward: 1,
    rewards: { exact: 1 },
    text: '',
  };
  return {
    schemaVersion: 3,
    runId: 'run',
    index,
    sampleId: 's',
    promptText: '',
    replica: '0',
    weightHashes: {},
    episodes: [episode],
  };
}

/** One group on its way, transaction by transaction, up to its batch. */
const journey = (index: number, versions: readonly number[]): Command[][] => [
  [move(index, 'f'), count('admitted', 1), count('inFlight', 1)],
  [move(index, 'p')],
  [
    move(index, 'b'),
    command('HSET', key('payloads'), index, encode(groupOf(index, versions))),
    count('inFlight', -1),
    count('buffered', 1),
  ],
  [move(index, 'l'), count('buffered', -1), count('leased', 1)],
];
const step = (version: number, ...trained: number[]): Command[] => [
  ...trained.map((index) => move(index, 't')),
  count('leased', -trained.length),
  count('trained', trained.length),
  command('HSET', key('run'), 'version', version),
];

const rolledBack = (version: number, ...indices: number[]): Command[] => [
  ...indices.map((index) => move(index, 'd')),
  count('leased', -indices.length),
  count('discarded:rolled-back', indices.length),
  command('HSET', key('run'), 'version', version),
];

function auditOf(maxStaleness: number, transactions: Iterable<readonly Command[]>): Audit {
  const audit = new RunAudit('run', maxStaleness);
  for (const transaction of transactions) audit.take(transaction);
  return audit.result();
}

describe('RunAudit', () => {
  it('finds nothing wrong with what is as it should be', () => {
    const audit = auditOf(1, [
      ...journey(0, [0, 0]),
      step(1, 0),
      ...journey(1, [0, 1]),
      step(2, 1),
      ...journey(2, [2]).slice(0, 2),
      [move(2, 'd'), count('inFlight', -1), count('discarded:failed', 1)],
    ]);
    expect(audit).toEqual({
      admitted: 3,
      trained: 2,
      discarded: { failed: 1 },
      open: 0,
      steps: 2,
      trainedTokens: 4,
      maxLag: 1,
      epochs: 0,
      violations: [],
    });
  });

  it('holds a batch to the bound that held when it was formed', () => {
    const set = (bound: number | string) => [command('HSET', key('run'), 'maxStaleness', bound)];
    const lease = (of: number) => [command('HSET', key('leases'), of, '{}')];
    const before = [...journey(0, [0]), step(1, 0), ...journey(1, [0])];
    expect(auditOf(0, [...before, set('inf'), lease(1), set(0), step(2, 1)]).violations).toEqual([]);
    expect(auditOf(1, [...before, set(0), lease(1), set(1), step(2, 1)]).violations).toEqual([
      'step 2 trained a token of group 1 with a lag of 1',
    ]);
  });

  it.each<[string, Command[][], string]>([
    [
      'a group that is trained twice',
      [...journey(0, [0]), step(1, 0), step(2, 0)],
      'group 0 went from t to t',
    ],
    [
      'a token that is too old',
      [...journey(0, [0]), ...journey(1, [1]), ...journey(2, [0]), step(1, 0), step(2, 1), step(3, 2)],
      'step 3 trained a token of group 2 with a lag of 2',
    ],
    [
      'a token of a version that is not there yet',
      [...journey(0, [1]), step(1, 0)],
      'step 1 trained a token of group 0 with a lag of -1',
    ],
    ['a step that is left out', [...journey(0, [0]), step(2, 0)], 'version 2 was committed after 0'],
    [
      'a step that is committed twice',
      [...journey(0, [0]), step(1, 0), ...journey(1, [0]), step(1, 1)],
      'version 1 was committed after 1',
    ],
    ['a group that comes back', [...journey(0, [0]), step(1, 0), [move(0, 'b')]], 'group 0 went from t to b'],
    [
      'a group that is given up while it is trained',
      [...journey(0, [0]), [move(0, 'd')]],
      '1 groups left their batch without a commit',
    ],
    [
      'a count that is not moved with its group',
      [[move(0, 'f'), count('admitted', 1)]],
      'at version 0 the ledger is not what the groups are: inFlight',
    ],
    [
      'a batch that is partly trained and partly rolled back',
      [...journey(0, [0]), ...journey(1, [0]), [move(1, 'd'), ...step(1, 0)]],
      'step 1 trained some groups of a batch, but not all',
    ],
  ])('finds %s', (_, transactions, violation) => {
    expect(auditOf(1, transactions).violations).toContain(violation);
  });
});

it('accepts a batch that is rolled back as a whole, by its commit', () => {
  const { violations, steps, trained, discarded } = auditOf(1, [
    ...journey(0, [0]),
    ...journey(1, [0]),
    rolledBack(1, 0, 1),
    ...journey(2, [1]),
    step(2, 2),
  ]);
  expect({ violations, steps, trained, discarded }).toEqual({
    violations: [],
    steps: 2,
    trained: 1,
    discarded: { 'rolled-back': 2 },
  });
});

describe('transactionsOf', () => {
  const dir = mkdtempSync(join(tmpdir(), 'forge-audit-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('gives what a real Redis did for a run, script by script, also before it rewrote its file', async () => {
    const server = await provisionRedis({ dir, log: () => undefined, mayInstall: false });
    const redis = await connectRedis(server.url, { name: 'test', giveUpAfterMs: 5_000 });
    const kept = join(dir, 'kept');
    const stopKeeping = keepHistory(dir, kept);
    const state = new RunState(redis, 'run');
    await state.create({}, { maxStaleness: 0, candidatesPerBatch: 1, steps: 2 });
    const epoch = await state.newEpoch();
    for (const step of [0, 1]) {
      if (step === 1) await rewrite(redis);
      const [admission] = await state.admit(9);
      const { index } = admission!;
      await state.publishGroup(index, encode(groupOf(index, [step])));
      const [group] = await state.readGroups('buffer', 1, 0);
      await state.storeGroup(group!.entryId, { index, version: step }, group!.payload);
      await state.formBatch(
        { schemaVersion: 4, version: step, groups: [{ index, advantages: [0] }], statistics: {} },
        [],
      );
      const version = step + 1;
      const sha256 = '0'.repeat(64);
      await state.commitStep(step, { schemaVersion: 1, version, epoch, path: 'p', sizeBytes: 1, sha256 });
    }
    state.close();
    redis.disconnect();
    await server.stop();
    stopKeeping();
    expect(readdirSync(join(dir, 'appendonlydir'))).not.toContain('appendonly.aof.1.incr.aof');
    expect(auditOf(0, transactionsOf(kept))).toMatchObject({
      admitted: 2,
      trained: 2,
      open: 0,
      steps: 2,
      trainedTokens: 2,
      epochs: 1,
      violations: [],
    });
  });

  const rewrite = async (redis: Redis): Promise<void> => {
    await redis.bgrewriteaof();
    const isOver = async () =>
      /aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/.test(await redis.info('persistence'));
    await waitFor('the rewrite', isOver);
  };

  it('leaves out a command that is cut off', () => {
    const bytes = Buffer.from('*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n');
    const names = (part: Buffer) => [...commandsOf(part)].map(([, name]) => name!.toString());
    expect(names(bytes)).toEqual(['a', 'b']);
    const first = bytes.length / 2;
    for (let length = first; length < bytes.length; length++)
      expect(names(bytes.subarray(0, length))).toEqual(['a']);
  });
});
