import { existsSync, readFileSync } from 'node:fs';
import type { Recipe } from '@forge/config';
import { boundOf, runPaths } from '@forge/contracts';

/** A recipe with what `forge set` changed while the run went on, as its `controls.jsonl` has it. */
export function steeredRecipe(recipe: Recipe, directory: string): Recipe {
  const file = runPaths(directory).controls;
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const steered = { ...recipe };
  for (const line of lines) {
    const change = parsed(line);
    if (change?.operation !== 'set') continue;
    const { name, to } = change;
    if (name === 'steps') steered.steps = Number(to);
    else if (name === 'maxStaleness') steered.maxStaleness = boundOf(to);
    else if (name === 'stopAtAccuracy') steered.stopAtAccuracy = to === '' ? undefined : Number(to);
  }
  return steered;
}

/** Null for a line that was cut off by a crash. */
function parsed(line: string): { operation: string; name: string; to: string } | null {
  try {
    return JSON.parse(line) as { operation: string; name: string; to: string };
  } catch {
    return null;
  }
}
