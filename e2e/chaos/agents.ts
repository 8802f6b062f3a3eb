import { readFileSync } from 'node:fs';
import { runPaths } from '@forge/contracts';
import type { Recipe } from '@forge/config';
import { AgentTeam } from '../agent-team';
import { recipeElsewhere, toldAndTrained } from '../agents-elsewhere';
import type { Company } from './chaos-run';
import type { ForgeRun } from './forge-run';

/** Agents at once; each has the rollouts of a group. */
const AGENTS = 16;
/** A blow is got over when rollouts that it fell on are made, each of several calls. */
export const ROLLOUTS_WITHIN_MS = 300_000;

/** A run without end whose rollouts agents elsewhere make, by any of two gateways, at two policies. */
export function agentsRecipe(dir: string): Recipe {
  return recipeElsewhere(dir, {
    name: 'agents',
    rollout: { sessions: true, timeLimitMs: 600_000 },
    batch: { groups: 8 },
    gateway: { replicas: 2 },
    trainer: { checkpointEverySteps: 10 },
  });
}

/** Agents that work for a run, and are told nothing that is not trained as it was told. */
export async function agentsOf(run: ForgeRun): Promise<Company> {
  const token = readFileSync(runPaths(run.runDir).gatewayToken, 'utf8').trim();
  const team = new AgentTeam(await run.gateways(), token);
  team.start(AGENTS);
  return {
    leave: () => team.stop(),
    violations: async ({ runDir }, say) => {
      const { trained, untold, problems } = await toldAndTrained(runDir, team.answers);
      const { mostAtWork, ended, overtaken, sentAgain, failures } = team;
      const calls = [...team.answers.values()].reduce((sum, answers) => sum + answers.length, 0);
      say(
        `${AGENTS} agents in ${mostAtWork} sessions at once: ${ended} sessions ended, ${overtaken} overtaken; ` +
          `${calls} calls answered, ${sentAgain} sent again, ${failures.length} failed; ${trained} groups trained`,
      );
      return [
        ...failures.map((failure) => `an agent was told ${String(failure)}`),
        ...untold.map((index) => `group ${index} was trained, and no agent has made it`),
        ...problems,
      ];
    },
  };
}
