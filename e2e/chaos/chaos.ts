import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Recipe } from '@forge/config';
import { directoryWithModel, smallRecipe } from '../service-processes';
import { agentsOf, agentsRecipe, ROLLOUTS_WITHIN_MS } from './agents';
import { AGENT_KINDS, chaosPlan, forgettingPlan, type Blow } from './chaos-plan';
import { chaosRun, undisturbedRun } from './chaos-run';
import { median, recoveryTable } from './recovery-report';
import type { Recovery } from './recovery';
import type { Audit } from './run-audit';

/**
 * Share of the kills that fall on the asynchronous run, and of those that make Redis forget, in a run of their own; the
 * rest falls on the synchronous one.
 */
const ASYNCHRONOUS_SHARE = 0.6;
const FORGETTING_SHARE = 0.05;
const MAX_STALENESS = 2;
const MINUTE_MS = 60_000;
const HELP =
  'npm run chaos -- [--kills 100] [--seed 1] [--minutes N (no kill later than that)] [--algorithm grpo] [--agents]';
const ALGORITHM = { name: 'grpo', groupSize: 8, klCoefficient: 0.01 };

/** A run without end, of every kind of service, whose steps take about 100 ms. */
export function chaosRecipe(
  dir: string,
  maxStaleness: number,
  overrides: Record<string, unknown> = {},
): Recipe {
  return smallRecipe(dir, {
    name: maxStaleness === 0 ? 'synchronous' : 'asynchronous',
    maxStaleness,
    steps: 1_000_000,
    algorithm: ALGORITHM,
    batch: { groups: 16, oversample: 2 },
    policy: { replicas: 2, jobConcurrency: 16 },
    reward: { replicas: 2 },
    trainer: { learningRate: 0.001, warmupSteps: 0, checkpointEverySteps: 10 },
    evaluation: { everySteps: 25, samples: 40, reward: 'exact' },
    // Keep the run from being given up, as its parts are killed all the time.
    limits: { restartsPerMinute: 60 },
    ...overrides,
  });
}

/**
 * `npm run chaos`: kills parts of an asynchronous and of a synchronous run, then repeats the steps of the synchronous
 * one undisturbed, and at last makes Redis forget. The exit code is 1 when anything was lost, done twice, too old or
 * different.
 */
export async function run(args: readonly string[]): Promise<number> {
  const options = parse(args);
  if (options === null) {
    console.error(HELP);
    return 2;
  }
  const { kills, seed, minutes, algorithm, agents } = options;
  if (agents) return runWithAgents(options);
  const recipeOf = (maxStaleness: number, overrides: object = {}): Recipe =>
    chaosRecipe(dir, maxStaleness, { algorithm: { ...ALGORITHM, name: algorithm }, ...overrides });
  const say = (line: string): void => console.log(line);
  const dir = await directoryWithModel();
  const asynchronous = Math.round(kills * ASYNCHRONOUS_SHARE);
  const forgetting = Math.floor(kills * FORGETTING_SHARE);
  const strikeAll = async (maxStaleness: number, planSeed: number, blows: readonly Blow[]) => {
    const count = blows.reduce((sum, { victims }) => sum + victims.length, 0);
    say(`\n# ${count} kills at maxStaleness ${maxStaleness}, seed ${planSeed}`);
    const outcome = await chaosRun({
      dir,
      recipe: recipeOf(maxStaleness),
      blows,
      endAfterMs: (minutes * MINUTE_MS * count) / kills,
      say,
    });
    say(auditLine(outcome.audit));
    return outcome;
  };

  const rest = kills - asynchronous - forgetting;
  const first = await strikeAll(MAX_STALENESS, seed, chaosPlan(seed, asynchronous));
  const second = await strikeAll(0, seed + 1, chaosPlan(seed + 1, rest));
  say(`\n# the same ${second.steps} steps undisturbed`);
  const third = await undisturbedRun(dir, recipeOf(0, { steps: second.steps }), say);
  say(auditLine(third.audit));
  say(`weights  ${second.weightsHash} with kills\n         ${third.weightsHash} without`);

  const fourth = await strikeAll(MAX_STALENESS, seed + 2, forgettingPlan(seed + 2, forgetting));

  const violations = [first, second, third, fourth].flatMap((outcome) => outcome.violations);
  if (second.weightsHash !== third.weightsHash)
    violations.push('the weights differ from those of the undisturbed run');
  const recoveries = [first, second, fourth].flatMap((outcome) => outcome.recoveries);
  return reported(dir, recoveries, violations, say);
}

/** `npm run chaos -- --agents`: kills parts of a run whose rollouts agents make by its gateways. */
async function runWithAgents({ kills, seed, minutes }: Options): Promise<number> {
  const say = (line: string): void => console.log(line);
  const dir = mkdtempSync(join(tmpdir(), 'forge-chaos-'));
  const recipe = agentsRecipe(dir);
  say(`\n# ${kills} kills amid the calls of agents, seed ${seed}`);
  const { audit, recoveries, violations } = await chaosRun({
    ...{ dir, recipe, say },
    blows: chaosPlan(seed, kills, AGENT_KINDS),
    endAfterMs: minutes * MINUTE_MS,
    recoversWithinMs: ROLLOUTS_WITHIN_MS,
    company: agentsOf,
  });
  say(auditLine(audit));
  // A group may be too old for a step; in any other way its calls are lost.
  const lost = Object.entries(audit.discarded).filter(([reason]) => reason !== 'stale');
  violations.push(...lost.map(([reason, count]) => `${count} groups of agents were discarded as ${reason}`));
  return reported(dir, recoveries, violations, say);
}

interface Options {
  kills: number;
  seed: number;
  minutes: number;
  algorithm: string;
  agents: boolean;
}

function parse(args: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        kills: { type: 'string' },
        seed: { type: 'string' },
        minutes: { type: 'string' },
        algorithm: { type: 'string' },
        agents: { type: 'boolean' },
      },
    });
    const kills = Number(values.kills ?? 100);
    const seed = Number(values.seed ?? 1);
    const minutes = Number(values.minutes ?? Infinity);
    return Number.isInteger(kills) && kills > 0 && Number.isInteger(seed) && minutes > 0
      ? {
          kills,
          seed,
          minutes,
          algorithm: values.algorithm ?? ALGORITHM.name,
          agents: values.agents ?? false,
        }
      : null;
  } catch {
    return null;
  }
}

/** Says how it went; the exit code. Files stay where something is wrong. */
function reported(
  dir: string,
  recoveries: readonly Recovery[],
  violations: readonly string[],
  say: (line: string) => void,
): number {
  if (recoveries.length > 0) {
    const overall = median(recoveries.map(({ recoveredMs }) => recoveredMs));
    say(`\n# time to full recovery\n${recoveryTable(recoveries)}`);
    say(`median of all ${(overall / 1000).toFixed(2)} s`);
  }
  const struck = recoveries.reduce((sum, { victims }) => sum + victims.length, 0);
  say(`\n${struck} kills, ${violations.length} violations`);
  for (const violation of violations) say(`  ${violation}`);
  if (violations.length > 0) return 1;
  rmSync(dir, { recursive: true, force: true });
  return 0;
}

function auditLine(audit: Audit): string {
  const { steps, admitted, trained, discarded, open, trainedTokens, maxLag, epochs } = audit;
  const given = Object.entries(discarded).map(([reason, count]) => `${count} ${reason}`);
  return (
    `${steps} steps; ${admitted} groups admitted = ${trained} trained + ${open} under way + discarded ` +
    `${given.join(', ') || 'none'}; ${trainedTokens} tokens trained, lag at most ${maxLag}; ${epochs} trainers`
  );
}
