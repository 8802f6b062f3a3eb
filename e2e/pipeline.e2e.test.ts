import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMetric } from '@forge/telemetry';
import { loadModel } from '@forge/model';
import { verifyLedger } from '@forge/broker';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { parametersHash } from '@forge/weights';
import { directoryWithModel, ServiceProcesses, smallRecipe, type ReplicaName } from './service-processes';

jest.setTimeout(180_000);

let redis: TestRedis;
let dir: string;
beforeAll(async () => {
  [redis, dir] = await Promise.all([startTestRedis(), directoryWithModel()]);
});
afterAll(() => redis.stop());

const started: ServiceProcesses[] = [];
afterEach(() => {
  for (const run of started) run.kill();
});
async function startRun(overrides: Record<string, unknown>): Promise<ServiceProcesses> {
  const recipe = smallRecipe(dir, overrides);
  const run = await ServiceProcesses.start(redis, await redis.connect(), `run-${started.length}`, recipe);
  started.push(run);
  return run;
}

type Row = Record<string, number>;
const rowsOf = (runDir: string): Row[] =>
  readFileSync(join(runDir, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
const hashOf = async (runDir: string) => parametersHash((await loadModel(join(runDir, 'model'))).parameters);

describe('pipeline', () => {
  let undisturbed: string;

  it.each([0, 2])('trains to the end with every invariant at maxStaleness %i', async (maxStaleness) => {
    const run = await startRun({ maxStaleness });
    await run.finished();
    expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    const ledger = await run.runState.ledger();
    expect(await run.stop()).toEqual(
      Object.fromEntries(
        ['coordinator', 'trainer', 'policy', 'reward', 'reference', 'replay-buffer'].map((name) => [name, 0]),
      ),
    );

    expect(ledger).toMatchObject({ buffered: 0, leased: 0, isBalanced: true });
    // Six steps consume eight candidates each and train on at most four of them.
    expect(ledger.trained + ledger.discarded['not-selected']!).toBe(48);
    expect(ledger.trained).toBeLessThanOrEqual(24);
    const rows = rowsOf(run.runDir);
    expect(rows.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const row of rows) {
      expect(Object.keys(row).filter((key) => !isMetric(key))).toEqual([]);
      expect(row['lag/max']).toBeLessThanOrEqual(maxStaleness);
      expect(row['logprob_mismatch']).toBeGreaterThan(0);
      expect(row['logprob_mismatch']).toBeLessThanOrEqual(1e-4);
    }
    expect(rows.at(-1)).toMatchObject({ 'eval/version': 6, 'tokens/trained': expect.any(Number) as number });
    expect(existsSync(join(run.runDir, 'report.html'))).toBe(true);
    expect(existsSync(join(run.runDir, 'checkpoints/step-6/model.safetensors'))).toBe(true);
    const summary = JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as Row;
    expect(summary).toMatchObject({ state: 'finished', steps: 6, model: 'model' });
    const hash = await hashOf(run.runDir);
    expect(hash).not.toBe(parametersHash((await loadModel(join(dir, 'model'))).parameters));
    if (maxStaleness === 0) undisturbed = hash;
  });

  it('gives the same bits again at maxStaleness 0, with three policies and ten kills on the way', async () => {
    const run = await startRun({ maxStaleness: 0, policy: { replicas: 3 } });
    const victims: ReplicaName[][] = [
      ['trainer', 'policy'],
      ['coordinator', 'reward', 'policy/1'],
      ['replay-buffer', 'reference', 'policy/2'],
      ['policy', 'trainer'],
    ];
    for (const [version, together] of victims.entries()) {
      await run.reached(version + 1);
      await Promise.all(together.map((victim) => run.killAndRestart(victim)));
      expect(verifyLedger(await run.runState.ledgerSnapshot())).toEqual([]);
    }
    await run.finished();
    const ledger = await run.runState.ledger();
    await run.stop();
    expect(ledger.isBalanced).toBe(true);
    expect(ledger.trained + ledger.discarded['not-selected']!).toBe(48);
    expect(rowsOf(run.runDir).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await hashOf(run.runDir)).toBe(undisturbed);
  });

  it('saves the model and tells where it stopped when it is asked to stop', async () => {
    const run = await startRun({ maxStaleness: 2, steps: 10_000 });
    await run.reached(2);
    await run.runState.setPhase('stopping', 'interrupted');
    await run.finished();
    await run.stop();
    const { steps } = JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as { steps: number };
    expect(steps).toBeGreaterThanOrEqual(2);
    expect(rowsOf(run.runDir).at(-1)?.['step']).toBe(steps);
    await loadModel(join(run.runDir, 'model'));
  });
});
