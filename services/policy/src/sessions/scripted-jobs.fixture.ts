import { createHash } from 'node:crypto';
import type { RunState } from '@forge/broker';
import { recipeSchema, type Recipe } from '@forge/config';
import type { ChatMessage, Completion, TelemetryEvent } from '@forge/contracts';
import { RolloutJobs, type GenerateCall } from '../handlers/rollout-jobs';
import type { RunAgent } from './run-agent';
import { sessionRollout } from './session-rollout';
import { SessionTable } from './session-table';

const END = 99;

/** A recipe of groups of two rollouts that agents make. */
export function agentRecipe(rollout: object, rewards: object[] = [{ name: 'exact' }]): Recipe {
  return recipeSchema.parse({
    ...{ name: 'test', model: 'models/none', steps: 1, task: { kind: 'arithmetic' }, rewards, rollout },
    algorithm: { name: 'grpo', groupSize: 2 },
    evaluation: { everySteps: 0 },
  });
}

export interface ScriptedJobsOptions {
  state: RunState;
  recipe: Recipe;
  replica: string;
  /** Starts agents; left out: agents elsewhere take the sessions. */
  run?: RunAgent | undefined;
  /** Waits before a completion is drawn. */
  onDraw?: (id: string) => Promise<void>;
  onScore?: (text: string) => void;
  onEvent?: (event: TelemetryEvent) => void;
}

/** The jobs of a policy whose model draws what the id of the draw says, and renders a message as its length. */
export function scriptedJobs({ state, recipe, replica, run, ...on }: ScriptedJobsOptions) {
  const table = new SessionTable();
  const agents = run && { run, baseUrl: () => Promise.resolve('http://gateway') };
  const byAgents = { directory: state.sessions, table, replica, recipe, ...(agents && { agents }) };
  const lengths = (messages: readonly ChatMessage[]) => messages.map(({ content }) => content.length);
  const jobs = new RolloutJobs({
    runState: {
      ...{ runId: state.runId, deadLetters: state.deadLetters },
      publishGroup: (...group) => state.publishGroup(...group),
      dropStale: (index) => state.dropStale(index),
      beginGroup: (...begun) => state.beginGroup(...begun),
      emit: (event) => Promise.resolve(on.onEvent?.(event)),
      phase: () => state.phase(),
      standing: (one) => state.standing(one),
    },
    recipe,
    algorithm: { needsReference: false, rollout: sessionRollout(byAgents) },
    replica,
    reward: {
      score: (_, { text }) => {
        on.onScore?.(text);
        return Promise.resolve({ reward: 0.25, rewards: { exact: 0.25 } });
      },
    },
    reference: () => Promise.reject(new Error('not asked for')),
    generate: async (call) => {
      await on.onDraw?.(call.rolloutIds[0]!);
      return [completionOf(call)];
    },
    chat: {
      renderChat: ({ messages }) => Promise.resolve(lengths(messages)),
      bridgeChat: ({ tokenIds, added }) => Promise.resolve({ tokenIds: [...tokenIds, ...lengths(added)] }),
      parseAnswer: ({ tokenIds }) => Promise.resolve({ role: 'assistant', content: tokenIds.join(' ') }),
    },
    mismatch: () => Promise.resolve(null),
    tokenTexts: (tokenIds) => Promise.resolve(tokenIds.map(String)),
    weightsAtLeast: () => Promise.resolve(),
    version: () => 0,
    activity: { during: async (_, work) => work() },
  });
  return { table, jobs };
}

function completionOf({ rolloutIds: [id], prompt, sampling }: GenerateCall): Completion {
  const drawn = createHash('sha1').update(id!).digest().readUInt32BE() >>> 1;
  const tokenIds = [drawn, END].slice(0, sampling.maxTokens);
  return {
    text: String(drawn),
    promptTokenIds: (prompt as { tokenIds: number[] }).tokenIds,
    tokenIds,
    logprobs: tokenIds.map(() => -1),
    versions: tokenIds.map(() => 0),
    weightHashes: { '0': '0'.repeat(64) },
    stopReason: 'end',
  };
}
