import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeToYaml } from '@forge/config';
import { createRunDirectory, processMark, writeRunRecord, type RunRecord } from '@forge/runs';
import { recipeWith } from '../planning/planning.fixture';
import { resume } from './resume';

// An ES module, which draws on terminals.
jest.mock('log-update', () => ({ createLogUpdate: () => () => undefined }));

/** Deeds of another process between the look at a run and the claim on it. */
let meanwhile = (): void => undefined;
jest.mock('@forge/runs', () => {
  const actual = jest.requireActual<typeof import('@forge/runs')>('@forge/runs');
  return {
    ...actual,
    claimRun: (...args: Parameters<typeof actual.claimRun>) => {
      meanwhile();
      return actual.claimRun(...args);
    },
  };
});

jest.mock('../resume/redis-for-resume', () => ({
  redisForResume: () => Promise.reject(new Error('it goes on')),
}));

const dir = mkdtempSync(join(tmpdir(), 'forge-resume-'));
afterAll(() => rmSync(dir, { recursive: true }));

const failed: RunRecord = {
  ...{ id: 'a', recipe: 'r', seed: 1, steps: 2, startedAt: '2026-01-01T00:00:00.000Z' },
  ...{ pid: 1, pidMark: null, redisDir: null, keepStateHours: 72 },
  ...{ redisUrl: 'redis://127.0.0.1:1', redisPasswordFile: null, state: 'failed' },
};

describe('forge resume', () => {
  it('goes by the record as it is once it has claimed the run: another resume may just have finished', async () => {
    const directory = createRunDirectory(dir, failed, 'no: recipe');
    // The other one has claimed it, wrote who runs it now, and gave the claim back.
    meanwhile = () => {
      const running = { pid: process.pid, pidMark: processMark(process.pid), state: 'running' as const };
      writeRunRecord(directory, { ...failed, ...running });
    };
    await expect(resume('a', { dir }, [])).rejects.toMatchObject({
      code: 'CONFLICT_STATE',
      message: expect.stringContaining(`run a is still running (process ${process.pid})`) as string,
    });
    expect(existsSync(join(directory, 'resume.lock'))).toBe(false);
  });

  it('does not go on with a run that takes more memory than there is, unless it is to', async () => {
    meanwhile = () => undefined;
    createRunDirectory(dir, { ...failed, id: 'large', pid: null }, recipeToYaml(recipeWith()));
    const memory = jest.spyOn(process, 'availableMemory').mockReturnValue(2 ** 20);
    await expect(resume('large', { dir }, [])).rejects.toMatchObject({
      code: 'CAPACITY_MODEL_TOO_LARGE',
      message: expect.stringMatching(/lower the replicas; .* --force goes on all the same$/) as string,
    });
    expect(existsSync(join(dir, 'large', 'resume.lock'))).toBe(false);
    await expect(resume('large', { dir, force: true }, [])).rejects.toThrow('it goes on');
    memory.mockRestore();
    await expect(resume('large', { dir }, [])).rejects.toThrow('it goes on');
  });

  it('refuses a run that another process is resuming, and leaves its claim alone', async () => {
    const directory = createRunDirectory(dir, { ...failed, id: 'b' }, 'no: recipe');
    const lock = join(directory, 'resume.lock');
    meanwhile = () => writeFileSync(lock, `${process.ppid} ${processMark(process.ppid) ?? ''}`);
    await expect(resume('b', { dir }, [])).rejects.toMatchObject({
      code: 'CONFLICT_STATE',
      message: expect.stringContaining(`is being resumed by process ${process.ppid}`) as string,
    });
    expect(existsSync(lock)).toBe(true);
  });
});
