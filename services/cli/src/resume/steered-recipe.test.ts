import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Recipe } from '@forge/config';
import { steeredRecipe } from './steered-recipe';

const recipe = { name: 'r', maxStaleness: 2, steps: 10, stopAtAccuracy: 0.5 } as Recipe;
const change = (name: string, to: string, operation = 'set') => JSON.stringify({ operation, name, to });

describe('steeredRecipe', () => {
  it('is the recipe where nothing was changed', () => {
    expect(steeredRecipe(recipe, mkdtempSync(join(tmpdir(), 'forge-steered-')))).toEqual(recipe);
  });

  it('has the last of each change, and passes over processes and a line that is cut off', () => {
    const dir = mkdtempSync(join(tmpdir(), 'forge-steered-'));
    const lines = [
      change('maxStaleness', '4'),
      change('maxStaleness', 'inf'),
      change('steps', '20'),
      change('stopAtAccuracy', ''),
      change('policy', '3', 'scale'),
      change('steps', '30').slice(0, -4),
    ];
    writeFileSync(join(dir, 'controls.jsonl'), lines.join('\n'));
    expect(steeredRecipe(recipe, dir)).toEqual({ name: 'r', maxStaleness: Infinity, steps: 20 });
  });
});
