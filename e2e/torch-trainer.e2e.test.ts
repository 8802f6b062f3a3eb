import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, waitFor } from '@forge/testing';
import { ForgeRun } from './chaos/forge-run';
import { createModelDirectory, smallRecipe, TINY } from './service-processes';
import { hasTorch, NO_TORCH } from './torch-python';

jest.setTimeout(1_800_000);

/** Kills of ranks in one run; 20 shows more, and takes minutes. */
const kills = Number(process.env.FORGE_TORCH_KILLS ?? 2);
const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
const RUN_MS = 900_000;
const trainer = { learningRate: 0.01, warmupSteps: 0, checkpointEverySteps: 2 };

let dir: string;
const started: ForgeRun[] = [];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'forge-torch-'));
  await createModelDirectory(dir, TINY);
});
afterEach(() => {
  for (const run of started.splice(0)) run.kill();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function start(overrides: Record<string, unknown>): Promise<ForgeRun> {
  const limits = { restartsPerMinute: 60 };
  const run = await ForgeRun.start(dir, smallRecipe(dir, { maxStaleness: 0, limits, ...overrides }));
  started.push(run);
  return run;
}

const inTorch = (processes: number) => ({ ...trainer, engine: 'torch', torch: { processes } });
const hashOf = (run: ForgeRun): string =>
  (JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as { weightsHash: string }).weightsHash;
const reached = (run: ForgeRun, version: number) =>
  waitFor(`version ${version}`, async () => (await run.runState.version()) >= version, RUN_MS);

interface Row {
  step: number;
  loss: number;
  gradient_norm: number;
  'rollback/to'?: number;
}

const rowsOf = (run: ForgeRun): Row[] =>
  readFileSync(join(run.runDir, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);

/** Process ids of the ranks of a run's trainer, in order of their start. */
async function ranksOf(run: ForgeRun): Promise<number[]> {
  const [service] = await run.parts('trainer');
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2]));
    } catch {
      // The process has ended meanwhile.
    }
  }
  const childrenOf = (pid: number): number[] =>
    [...parents].flatMap(([child, parent]) => (parent === pid ? [child] : []));
  const children = service?.isReady ? childrenOf(service.pid) : [];
  const ranks = children.flatMap((child) => {
    const own = childrenOf(child);
    return own.length > 0 ? own : [child];
  });
  return ranks.sort((a, b) => a - b);
}

(hasTorch && process.platform === 'linux' ? describe : describe.skip)(
  `the trainer in PyTorch${hasTorch ? '' : ` (skipped: ${NO_TORCH})`}`,
  () => {
    it.each([1, 2])('repeats its own bits with %d ranks, whichever of these die', async (processes) => {
      const steps = 3 * (kills + 1);
      const whole = await start({ steps, trainer: inTorch(processes) });
      expect(await whole.ended(RUN_MS)).toBe(0);

      const run = await start({ steps, trainer: inTorch(processes) });
      for (let kill = 0; kill < kills; kill++) {
        await reached(run, 2 + 3 * kill);
        const ranks = await waitFor(
          'its ranks',
          async () => {
            const found = await ranksOf(run);
            return found.length === processes && found;
          },
          RUN_MS,
        );
        process.kill(ranks[kill % processes]!, 'SIGKILL');
        await waitFor('the end of all ranks', () => !ranks.some(isRunning), 60_000);
      }
      expect(await run.ended(RUN_MS)).toBe(0);
      expect(hashOf(run)).toBe(hashOf(whole));
      expect(rowsOf(run).map(({ step }) => step)).toEqual(Array.from({ length: steps }, (_, i) => i + 1));
      expect(run.verifyLedger()).toMatchObject({ isRight: true });
      const said = readFileSync(join(run.workDir, 'said.log'), 'utf8');
      expect(said.match(/^trainer\/0 ended/gm)).toHaveLength(kills);
    });

    it('takes a run over from our trainer by a checkpoint, and gives it back', async () => {
      const steps = 9;
      const whole = await start({ steps, trainer });
      expect(await whole.ended(RUN_MS)).toBe(0);
      const run = await start({ steps, trainer });
      await reached(run, 3);
      expect(await run.stop()).toBe(130);
      const goOn = (...words: string[]) => {
        // The state is gone with its Redis: what goes on does so from a checkpoint.
        rmSync(join(run.workDir, '.forge'), { recursive: true });
        const env = { ...process.env, REDIS_URL: '' };
        return spawn(process.execPath, [forge, 'resume', run.runId, ...words], { cwd: run.workDir, env });
      };
      const torch = goOn('trainer.engine=torch');
      await waitFor(
        'two steps of the other trainer',
        () => rowsOf(run).length >= 6 || torch.exitCode !== null,
        RUN_MS,
      );
      torch.kill('SIGINT');
      expect(await once(torch, 'exit')).toEqual([130, null]);
      const ours = goOn('trainer.engine=onnx');
      expect(await once(ours, 'exit')).toEqual([0, null]);
      const [found, expected] = [rowsOf(run), rowsOf(whole)];
      expect(found.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
      found.forEach((row, i) => {
        expect(Math.abs(row.loss - expected[i]!.loss)).toBeLessThan(1e-3);
        expect(Math.abs(row.gradient_norm / expected[i]!.gradient_norm - 1)).toBeLessThan(1e-2);
      });
    });

    it('goes back where it is asked to, and where steps go wrong, which fails the run in the end', async () => {
      const asked = await start({ steps: 40, trainer: inTorch(1) });
      await reached(asked, 3);
      await asked.runState.weights.askRollback(2);
      const back = await waitFor(
        'the rollback',
        () => rowsOf(asked).find((row) => 'rollback/to' in row),
        RUN_MS,
      );
      expect(back['rollback/to']).toBe(2);
      expect(await asked.runState.weights.hashOf(back.step)).toBe(await asked.runState.weights.hashOf(2));
      await reached(asked, back.step + 2);
      expect(await asked.stop()).toBe(130);
      expect(asked.verifyLedger()).toMatchObject({ isRight: true });

      const rollback = { maxGradientNorm: 1e-9, maxInARow: 2 };
      const wrong = await start({ trainer: { ...inTorch(1), rollback } });
      expect(await wrong.ended(RUN_MS)).toBe(1);
      expect(rowsOf(wrong).map((row) => row['rollback/to'])).toEqual([0, 1]);
      expect(readFileSync(join(wrong.workDir, 'said.log'), 'utf8')).toMatch(
        /2 steps in a row were rolled back; the last: train step 1: .* is beyond maxGradientNorm 1e-09/,
      );
    });

    it('says at once what it does not take', () => {
      const options = { cwd: dir, encoding: 'utf8' } as const;
      const words = ['run', 'arithmetic-grpo', 'trainer.engine=torch', 'algorithm={name: ppo}'];
      const model = `model=${join(dir, 'model')}`;
      const { status, stderr } = spawnSync(process.execPath, [forge, ...words, model], options);
      expect([status, stderr]).toEqual([
        2,
        expect.stringMatching(/algorithm\.name: found ppo; trainer\.engine torch takes/),
      ]);
    });
  },
);
