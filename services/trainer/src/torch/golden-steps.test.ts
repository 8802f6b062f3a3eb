import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goldenSteps, type GoldenSteps } from './golden-steps.fixture';

const root = join(__dirname, '..', '..', '..', '..');
const file = join(root, 'integrations', 'torch-trainer', 'tests', 'golden-steps.json');

describe('the steps that the trainer in PyTorch is compared with', () => {
  it('are those of our trainer', async () => {
    const found = await goldenSteps(join(root, 'models', 'arithmetic'));
    if (!existsSync(file)) {
      writeFileSync(file, `${JSON.stringify(found)}\n`);
      throw new Error(
        `${file} was missing, and is written: look at it, and test it by the Python package's tests`,
      );
    }
    const kept = JSON.parse(readFileSync(file, 'utf8')) as GoldenSteps;
    expect(kept.episodes).toEqual(JSON.parse(JSON.stringify(found.episodes)));
    expect(kept.cases.map(({ algorithm }) => algorithm)).toEqual(
      found.cases.map(({ algorithm }) => algorithm),
    );
    const numbers = ({ cases }: GoldenSteps): number[] =>
      cases.flatMap(({ steps }) =>
        steps.flatMap(({ loss, gradientNorm, metrics }) => [loss, gradientNorm, ...Object.values(metrics)]),
      );
    const expected = numbers(found);
    numbers(kept).forEach((value, i) => {
      expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(expected[i]!)));
    });
  });
});
