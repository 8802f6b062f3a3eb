import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { verifyLedger } from '@forge/broker';
import { decode, groupSchema, SCHEMA_VERSION } from '@forge/contracts';
import { startTestRedis, waitFor, type TestRedis } from '@forge/testing';
import { nextRelease } from './next-release';
import { directoryWithModel, ServiceProcesses, smallRecipe, type ReplicaName } from './service-processes';

jest.setTimeout(300_000);

let redis: TestRedis;
let dir: string;
const releases: string[] = [];
const started: ServiceProcesses[] = [];
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterEach(() => {
  for (const run of started.splice(0)) run.kill();
});
afterAll(async () => {
  await redis.stop();
  for (const path of [dir, ...releases]) rmSync(path, { recursive: true, force: true });
});

async function startRun(id: string, overrides: Record<string, unknown>): Promise<ServiceProcesses> {
  const recipe = smallRecipe(dir, { maxStaleness: 2, policy: { replicas: 2 }, ...overrides });
  const run = await ServiceProcesses.start(redis, await redis.connect(), id, recipe);
  started.push(run);
  return run;
}
function release(by: number): string {
  const path = nextRelease({ by });
  releases.push(path);
  return path;
}
/** Ends a process and starts it from another release. */
async function upgrade(run: ServiceProcesses, name: ReplicaName, to: string): Promise<void> {
  expect(await run.end(name, 'SIGTERM')).toBe(0);
  run.launch(name, to);
}

describe('a run whose services come from two releases', () => {
  it('goes on while one after the other is replaced by that of the next', async () => {
    const next = release(1);
    const steps = 16;
    const run = await startRun('upgraded', { steps });
    // Readers of each message are upgraded after its writers: each is read by the older release, and by the newer.
    const order: ReplicaName[] = ['policy', 'replay-buffer', 'coordinator', 'trainer', 'reward', 'reference'];
    await run.reached(1);
    const seen = new Set<number>();
    const { runState } = run;
    for (const name of order) {
      const before = await runState.version();
      await upgrade(run, name, next);
      await run.reached(Math.min(steps, before + 2));
      const connection = await redis.connect();
      for (const payload of await connection.hvalsBuffer(runState.keys.payloads))
        seen.add(versionOf(payload));
      connection.disconnect();
    }
    await run.finished();

    // Groups of both releases were in the buffer.
    expect([...seen].sort()).toEqual([SCHEMA_VERSION.group, SCHEMA_VERSION.group + 1]);
    expect(verifyLedger(await runState.ledgerSnapshot())).toEqual([]);
    expect(await runState.ledger()).toMatchObject({ buffered: 0, leased: 0, isBalanced: true });
    expect(await runState.deadLetters.list()).toEqual([]);
    // The coordinator that left said that it interrupts the run; its successor knew better, whatever their releases.
    expect(await runState.rejections.totals()).toEqual({ 'telemetry/unknown': 1 });
    const rows = readFileSync(join(run.runDir, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const numbers = rows.map((row) => (JSON.parse(row) as { step: number }).step);
    expect(numbers).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
    expect(existsSync(join(run.runDir, 'model/model.safetensors'))).toBe(true);
    // The policy that was never replaced took part to the end, and so did one that was.
    const replicas = [...(await runState.ledgerSnapshot()).groups.values()].map(
      ({ origin }) => origin?.replica,
    );
    expect(new Set(replicas)).toEqual(new Set(['0', '1']));
    const codes = await run.stop();
    expect(new Set(Object.values(codes))).toEqual(new Set([0]));
  });

  it('takes no service of a release that is further away', async () => {
    const far = release(2);
    const run = await startRun('far', { steps: 200 });
    await run.reached(1);
    await run.end('policy/1', 'SIGTERM');
    run.launch('policy/1', far);
    await waitFor('the end of the policy', () => run.exitOf('policy/1') !== null, 30_000);
    expect(run.exitOf('policy/1')).toBe(2);
    const reached = await run.runState.version();
    await run.reached(reached + 2);
    expect(await run.runState.deadLetters.list()).toEqual([]);
    expect(await run.runState.rejections.totals()).toEqual({});
  });
});

/** The version a group was written with; it is read here whichever it is. */
function versionOf(payload: Buffer): number {
  decode(groupSchema, payload, 'group');
  const at = payload.indexOf('schemaVersion') + 'schemaVersion'.length;
  return payload[at]!;
}
