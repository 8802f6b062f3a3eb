import { SCHEMA_VERSION } from '@forge/contracts';
import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from '../index';
import { createRun } from './run-state.fixture';
import type { RunState } from './run-state';

let server: TestRedis;
let redis: Redis;
const states: RunState[] = [];
beforeAll(async () => {
  server = await startTestRedis();
  redis = await server.connect();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

async function newRun(id: string): Promise<RunState> {
  const state = await createRun(redis, id);
  states.push(state);
  return state;
}
/** Lets a run be of a release whose groups are of another version. */
const writes = (state: RunState, group: number) =>
  redis.hset(state.keys.run, 'schemaVersions', JSON.stringify({ ...SCHEMA_VERSION, group, other: 99 }));

describe('the release of a run', () => {
  it('is that which made it, and one beside it works with it', async () => {
    const state = await newRun('neighbours');
    await state.checkRelease();
    for (const by of [-1, 0, 1]) {
      await writes(state, SCHEMA_VERSION.group + by);
      await state.checkRelease();
    }
  });

  it.each([-2, 2])('does not work with one that is %i versions away', async (by) => {
    const state = await newRun(`far${by}`);
    await writes(state, SCHEMA_VERSION.group + by);
    await expect(state.checkRelease()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(
        `it writes group ${SCHEMA_VERSION.group + by} (here ${SCHEMA_VERSION.group})`,
      ) as string,
    });
  });

  it('is that of the newest coordinator', async () => {
    const state = await newRun('upgraded');
    await writes(state, SCHEMA_VERSION.group + 2);
    await state.newCoordinator();
    await state.checkRelease();
  });

  it('is that which resumes it', async () => {
    const state = await newRun('resumed');
    const settings = { maxStaleness: 1, candidatesPerBatch: 2, steps: 5 };
    await writes(state, SCHEMA_VERSION.group + 2);
    await state.resumption.reopen({}, settings);
    await state.checkRelease();
    await writes(state, SCHEMA_VERSION.group + 2);
    await state.resumption.restore({}, settings, { version: 2, epoch: 3, nextIndex: 5, trained: 4 });
    await state.checkRelease();
  });

  it('is not asked of a run that was made before it was kept', async () => {
    const state = await newRun('old');
    await redis.hdel(state.keys.run, 'schemaVersions');
    await state.checkRelease();
  });
});
