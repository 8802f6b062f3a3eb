import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { directoryWithModel } from '../service-processes';
import { agentsOf, agentsRecipe } from '../chaos/agents';
import { chaosRecipe } from '../chaos/chaos';
import { FuzzRun } from './fuzz-run';
import type { Recipe } from '@forge/config';

/** Target that only a run of agents has. */
const GATEWAY = 'http gateway';
const HELP = 'npm run fuzz -- [--count 100000] [--seed 1] [--only "stream telemetry"]';

/** A run without end, of every kind of service; its dead letters are few, so that some are dropped. */
export function fuzzRecipe(dir: string): Recipe {
  return chaosRecipe(dir, 2, { name: 'fuzz', limits: { restartsPerMinute: 60, deadLetters: 200 } });
}

/**
 * `npm run fuzz`: sends messages that make no sense to every stream, queue, HTTP port and socket of a live run, and to
 * the gateways of one whose rollouts agents make; 0 when they survive all of it, have counted each, and trained on.
 */
export async function run(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options === null) {
    console.error(HELP);
    return 2;
  }
  const say = (line: string): void => console.log(line);
  const dir = await directoryWithModel();
  const startedAt = performance.now();
  const { only = '' } = options;
  const violations: string[] = [];
  if (!only.startsWith(GATEWAY))
    violations.push(...(await FuzzRun.over({ dir, recipe: fuzzRecipe(dir), ...options, say })));
  if (only.startsWith(GATEWAY) || GATEWAY.startsWith(only)) {
    say('\n# gateways amid the calls of agents');
    const recipe = agentsRecipe(dir);
    violations.push(
      ...(await FuzzRun.over({ dir, recipe, ...options, only: GATEWAY, say, company: agentsOf })),
    );
  }
  say(`\n${((performance.now() - startedAt) / 1000).toFixed(0)} s, ${violations.length} violations`);
  for (const violation of violations) say(`  ${violation}`);
  if (violations.length > 0) return 1;
  rmSync(dir, { recursive: true, force: true });
  return 0;
}

function parse(args: readonly string[]): { count: number; seed: number; only: string | undefined } | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { count: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
    });
    const count = Number(values.count ?? 100_000);
    const seed = Number(values.seed ?? 1);
    return Number.isInteger(count) && count > 0 && Number.isInteger(seed)
      ? { count, seed, only: values.only }
      : null;
  } catch {
    return null;
  }
}
