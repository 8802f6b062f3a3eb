import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunState, type Redis } from '@forge/broker';
import { listRunRecords } from '@forge/runs';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { create } from './create';

const before = { ...process.env };
let server: TestRedis;
let redis: Redis;
let dir: string;
let said: string;

beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-create-'));
  said = '';
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
});
afterEach(() => {
  jest.restoreAllMocks();
  process.env = { ...before };
  rmSync(dir, { recursive: true });
});
afterAll(() => server.stop());

function environment(runId: string, overrides = ''): void {
  process.env = {
    ...before,
    REDIS_URL: server.url,
    FORGE_RUN_ID: runId,
    FORGE_RECIPE: 'arithmetic-grpo',
    FORGE_OVERRIDES: `output.dir=${dir} ${overrides}`,
  };
}
const isAlive = () => false;

describe('forge create', () => {
  it('makes the run that the environment names, and finds it when it is called again', async () => {
    environment('made', 'steps=7 maxStaleness=Infinity');
    expect(await create(undefined, [], {})).toBe(0);
    expect(said).toContain('run made of arithmetic-grpo is made');
    const state = new RunState(redis, 'made');
    expect(await state.config()).toMatchObject({ name: 'arithmetic-grpo', steps: 7 });
    expect(listRunRecords(dir, isAlive)).toMatchObject([{ id: 'made', pid: null, state: 'running' }]);

    said = '';
    expect(await create(undefined, [], {})).toBe(0);
    expect(said).toBe('forge: run made is there already, running at step 0 of 7\n');
    state.close();
  });

  it('keeps the settings of a run that is there, and names those that differ', async () => {
    environment('kept', 'steps=7');
    await create(undefined, [], {});
    environment('kept', 'steps=8 trainer.learningRate=1e-5');
    await create(undefined, [], {});
    expect(said).toContain('those given differ in steps, trainer.learningRate');
  });

  it('makes no run that takes more memory than there is, unless it is to', async () => {
    environment('large');
    await create(undefined, [], { id: 'there' });
    jest.spyOn(process, 'availableMemory').mockReturnValue(2 ** 20);
    await expect(create(undefined, [], {})).rejects.toMatchObject({
      code: 'CAPACITY_MODEL_TOO_LARGE',
      message: expect.stringContaining('--force makes it all the same') as string,
    });
    expect(existsSync(join(dir, 'large'))).toBe(false);
    // The services of a run that is there have taken theirs.
    expect(await create(undefined, [], { id: 'there' })).toBe(0);
    expect(await create(undefined, [], { force: true })).toBe(0);
    expect(existsSync(join(dir, 'large'))).toBe(true);
  });

  it('gives a run whose maker died early its directory', async () => {
    environment('late');
    await create(undefined, [], {});
    rmSync(join(dir, 'late'), { recursive: true });
    await create(undefined, [], {});
    expect(existsSync(join(dir, 'late', 'run.json'))).toBe(true);
  });

  it('does not mix a new run into the directory of one that Redis has lost', async () => {
    environment('lost');
    await create(undefined, [], {});
    await redis.flushall();
    await expect(create(undefined, [], {})).rejects.toMatchObject({ code: 'CONFLICT_STATE' });
  });

  it.each([
    [{ FORGE_RECIPE: '' }, 'a recipe is needed; set FORGE_RECIPE'],
    [{ REDIS_URL: '' }, 'a Redis is needed; set REDIS_URL'],
    [{ FORGE_RUN_ID: '../up' }, 'found ../up'],
    [{ FORGE_OVERRIDES: 'model=models/none' }, 'models/none'],
  ])('says what is missing or wrong (%#)', async (changed, message) => {
    environment('bad');
    Object.assign(process.env, changed);
    await expect(create(undefined, [], {})).rejects.toThrow(message);
  });
});
