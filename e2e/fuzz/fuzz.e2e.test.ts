import { rmSync } from 'node:fs';
import { directoryWithModel } from '../service-processes';
import { fuzzRecipe } from './fuzz';
import { FuzzRun } from './fuzz-run';

jest.setTimeout(300_000);

/** Messages to each target; `npm run fuzz` sends more. */
const COUNT = 500;
const SEED = 7;

describe('a run that is sent messages which make no sense, wherever it listens', () => {
  it('refuses and counts each, keeps those that are work, and trains on', async () => {
    const dir = await directoryWithModel();
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    const violations = await FuzzRun.over({ dir, recipe: fuzzRecipe(dir), count: COUNT, seed: SEED, say });
    expect({ violations, said }).toEqual({ violations: [], said });
    expect(said.join('\n')).toContain(`stream telemetry: ${COUNT} sent`);
    rmSync(dir, { recursive: true, force: true });
  });
});
