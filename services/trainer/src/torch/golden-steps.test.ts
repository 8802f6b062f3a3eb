import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ALGORITHMS, goldenSteps, GoldenTrainer, type GoldenSteps } from './golden-steps.fixture';

const root = join(__dirname, '..', '..', '..', '..');
const file = join(root, 'integrations', 'torch-trainer', 'tests', 'golden-steps.json');

let trainer: GoldenTrainer;
let kept: GoldenSteps;
beforeAll(async () => {
  trainer = await GoldenTrainer.open(join(root, 'models', 'arithmetic'));
  if (!existsSync(file)) {
    writeFileSync(file, `${JSON.stringify(await goldenSteps(trainer))}\n`);
    throw new Error(`${file} was missing, and is written: let the tests of the Python package look at it`);
  }
  kept = JSON.parse(readFileSync(file, 'utf8')) as GoldenSteps;
}, 300_000);

describe('the golden steps that the trainer in PyTorch is compared with', () => {
  it('are of these episodes and algorithms', async () => {
    expect(kept.episodes).toEqual(JSON.parse(JSON.stringify(await trainer.episodes())));
    expect(kept.cases.map(({ algorithm }) => algorithm)).toEqual(ALGORITHMS);
  });

  it.each(ALGORITHMS.map((algorithm, i) => [JSON.stringify(algorithm), i] as const))(
    'are those of our trainer with %s',
    async (_, i) => {
      const { steps } = await trainer.case(ALGORITHMS[i]!, kept.episodes);
      const numbers = ({ loss, gradientNorm, metrics }: (typeof steps)[number]) => ({
        loss,
        gradientNorm,
        ...metrics,
      });
      steps.forEach((step, n) => {
        const [found, expected] = [numbers(step), numbers(kept.cases[i]!.steps[n]!)] as Record<
          string,
          number
        >[];
        expect(Object.keys(found!)).toEqual(Object.keys(expected!));
        for (const [name, value] of Object.entries(found!))
          expect(Math.abs(value - expected![name]!)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(value)));
      });
    },
  );
});
