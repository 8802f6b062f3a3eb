import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, processMark } from './is-alive';
import { createRunDirectory, listRunRecords, listRuns, newRunId, type RunRecord } from './run-directory';

const record = (id: string, startedAt: string): RunRecord => ({
  id,
  recipe: 'arithmetic-grpo',
  seed: 1,
  steps: 10,
  startedAt,
  pid: 42,
  pidMark: null,
  redisDir: null,
  keepStateHours: 72,
  redisUrl: 'redis://127.0.0.1:1',
  redisPasswordFile: null,
  state: 'running',
});

describe('newRunId', () => {
  it('names the recipe, the second and a suffix', () => {
    expect(newRunId('stories-grpo', new Date('2026-11-23T10:20:30.456Z'), 'beef')).toBe(
      'stories-grpo-20261123-102030-beef',
    );
  });
});

describe('listRuns', () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'forge-runs-'))));
  afterEach(() => rmSync(directory, { recursive: true }));

  it('lists runs by start time and skips folders that hold none', () => {
    createRunDirectory(directory, record('b', '2026-01-02T00:00:00.000Z'), '');
    createRunDirectory(directory, record('a', '2026-01-01T00:00:00.000Z'), '');
    mkdirSync(join(directory, 'other'));
    mkdirSync(join(directory, 'broken'));
    writeFileSync(join(directory, 'broken', 'run.json'), '{');
    expect(listRunRecords(directory, () => true).map((run) => run.id)).toEqual(['a', 'b']);
  });

  it('says of a run that another version wrote why it can not be read', () => {
    createRunDirectory(directory, record('a', '2026-01-01T00:00:00.000Z'), '');
    for (const name of ['newer', 'torn']) mkdirSync(join(directory, name));
    const newer = { ...record('newer', '2027-01-01T00:00:00.000Z'), shards: 2 };
    writeFileSync(join(directory, 'newer', 'run.json'), JSON.stringify(newer));
    writeFileSync(join(directory, 'torn', 'run.json'), '{');
    const [first, ...others] = listRuns(directory, () => true);
    expect(first).toMatchObject({ id: 'a', record: { state: 'running' }, problem: null });
    expect(others).toEqual([
      {
        id: 'newer',
        record: null,
        problem: expect.stringMatching(/^another version of Forge wrote it .*"shards"/) as string,
      },
      {
        id: 'torn',
        record: null,
        problem: expect.stringMatching(/^its run.json is damaged: .*JSON/) as string,
      },
    ]);
  });

  it('calls a run failed whose supervisor is gone', () => {
    createRunDirectory(directory, record('a', '2026-01-01T00:00:00.000Z'), '');
    expect(listRunRecords(directory, () => false)[0]?.state).toBe('failed');
  });

  it('takes the summary for the end of a run whose supervisor died before it wrote the record', () => {
    const path = createRunDirectory(directory, record('a', '2026-01-01T00:00:00.000Z'), '');
    writeFileSync(join(path, 'summary.json'), '{"state":"finished"}');
    expect(listRunRecords(directory, () => false)[0]).toEqual({
      ...record('a', '2026-01-01T00:00:00.000Z'),
      state: 'finished',
    });
  });

  it('is not taken in by another process that got the id of the supervisor', () => {
    const run = {
      ...record('a', '2026-01-01T00:00:00.000Z'),
      pid: process.pid,
      pidMark: processMark(process.pid),
    };
    createRunDirectory(directory, run, '');
    createRunDirectory(directory, { ...run, id: 'b', pidMark: processMark(process.ppid) }, '');
    expect(listRunRecords(directory, isAlive).map(({ state }) => state)).toEqual(['running', 'failed']);
  });

  it('takes the summary for the end of a run that nobody supervises', () => {
    const run = { ...record('a', '2026-01-01T00:00:00.000Z'), pid: null };
    const path = createRunDirectory(directory, run, '');
    const stateNow = () => listRunRecords(directory, () => false)[0]?.state;
    expect(stateNow()).toBe('running');
    writeFileSync(join(path, 'summary.json'), '{"state":"interrupted"}');
    expect(stateNow()).toBe('running');
    writeFileSync(join(path, 'summary.json'), '{"state":"finished"}');
    expect(stateNow()).toBe('finished');
  });

  it('is empty where no run was ever made', () => {
    expect(listRunRecords(join(directory, 'none'), () => true)).toEqual([]);
  });
});
