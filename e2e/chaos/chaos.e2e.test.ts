import { rmSync } from 'node:fs';
import { directoryWithModel } from '../service-processes';
import { chaosRecipe } from './chaos';
import { chaosPlan, KINDS } from './chaos-plan';
import { chaosRun, undisturbedRun } from './chaos-run';

jest.setTimeout(240_000);

/** Every kind of service is killed, two at once, two hang, and Redis forgets; `npm run chaos` does more of it. */
const KILLS = 12;
const SEED = 4;

describe('a run whose parts are killed at any moment', () => {
  it('loses nothing, trains nothing twice, and has the weights of an undisturbed one', async () => {
    const dir = await directoryWithModel();
    const said: string[] = [];
    const say = (line: string): void => void said.push(line);
    const blows = chaosPlan(SEED, KILLS);
    const disturbed = await chaosRun({
      dir,
      recipe: chaosRecipe(dir, 0),
      blows,
      endAfterMs: Infinity,
      say,
    });
    expect({ violations: disturbed.violations, said }).toEqual({ violations: [], said });
    expect(disturbed.recoveries.flatMap(({ victims }) => victims)).toHaveLength(KILLS);
    const killed = blows.flatMap(({ action, victims }) => (action === 'kill' ? victims : []));
    expect(new Set(killed)).toEqual(new Set(KINDS));
    const undisturbed = await undisturbedRun(dir, chaosRecipe(dir, 0, { steps: disturbed.steps }), say);
    expect(undisturbed.violations).toEqual([]);
    expect(disturbed.weightsHash).toBe(undisturbed.weightsHash);
    rmSync(dir, { recursive: true, force: true });
  });
});
