import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunRecord } from '@forge/runs';
import { removeExpiredState } from './expired-state';

const HOUR_MS = 3_600_000;
const NOW_MS = Date.parse('2026-11-24T12:00:00Z');

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'forge-expired-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A run whose own Redis last wrote so long ago. */
function run(id: string, state: RunRecord['state'], hoursAgo: number, redisDir = join(root, id)): RunRecord {
  const log = join(redisDir, 'appendonlydir', 'log');
  mkdirSync(join(redisDir, 'appendonlydir'), { recursive: true });
  writeFileSync(log, 'SET');
  const seconds = (NOW_MS - hoursAgo * HOUR_MS) / 1000;
  utimesSync(log, seconds, seconds);
  const common = {
    recipe: 'r',
    seed: 1,
    steps: 1,
    startedAt: '2026-11-01T00:00:00Z',
    pid: 1,
    pidMark: null,
    redisUrl: 'redis://x',
    redisPasswordFile: null,
  };
  return { id, ...common, redisDir, keepStateHours: 24, state };
}

it('removes the Redis directories of runs that are over for longer than their state is kept', () => {
  const records = [
    run('old', 'finished', 25),
    run('recent', 'failed', 23),
    run('running', 'running', 25),
    run('elsewhere', 'finished', 25, join(root, 'not-of-this-run')),
    { ...run('shared', 'finished', 25), redisDir: null },
    { ...run('gone', 'finished', 25), redisDir: join(root, 'nowhere', 'gone') },
  ];
  expect(removeExpiredState(records, NOW_MS)).toEqual(['old']);
  const left = ['old', 'recent', 'running', 'not-of-this-run', 'shared'].filter((name) =>
    existsSync(join(root, name)),
  );
  expect(left).toEqual(['recent', 'running', 'not-of-this-run', 'shared']);
});
