import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeSchema } from '@forge/config';
import { checkGoals } from './check-goals';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-goals-'));
  mkdirSync(join(dir, 'run'));
  writeFileSync(join(dir, 'run', 'summary.json'), '{"finalAccuracy":0.92}');
});
afterEach(() => rmSync(dir, { recursive: true }));

const check = (
  state: 'finished' | 'failed',
  version: number,
  goals: object = {},
  countsAccuracy = true,
): void => {
  const recipe = recipeSchema.parse({
    name: 'test',
    model: 'none',
    steps: 10,
    task: { kind: 'arithmetic' },
    algorithm: { name: 'grpo' },
    rewards: [{ name: 'exact' }],
    output: { dir },
    ...goals,
  });
  checkGoals({ id: 'run', state }, recipe, version, countsAccuracy);
};

describe('checkGoals', () => {
  it('lets a run go on that has something to do, be it only to save what it trained', () => {
    check('failed', 4);
    check('failed', 10);
    check('finished', 10, { steps: 20 });
    check('finished', 7, { stopAtAccuracy: 0.95 });
    check('finished', 7, { stopAtAccuracy: 0.9 }, false);
  });

  it('refuses one that has finished, and says how it would go on', () => {
    expect(() => check('finished', 10)).toThrow(
      /all 10 steps are done; more are trained by forge resume run steps=20/,
    );
    expect(() => check('finished', 7, { stopAtAccuracy: 0.9 })).toThrow(
      /accuracy 0.920 is reached; raise stopAtAccuracy, or take it out by forge resume run stopAtAccuracy=null/,
    );
  });

  it('refuses fewer steps than are done', () => {
    expect(() => check('failed', 12)).toThrow(/steps: found 10, but run run is at step 12/);
  });
});
