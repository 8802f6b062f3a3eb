import { ForgeError } from '@forge/errors';
import type { Reward } from '@forge/rl';
import { CodeSandbox } from './code-sandbox';

export interface CodeRewardOptions {
  /** Wall-clock limit of one program with its tests. */
  timeMs: number;
  /** Loop turns and calls of one program with its tests. */
  maxSteps: number;
  memoryMb: number;
  /** Programs run at the same time. */
  parallel: number;
}

/**
 * The share of the sample's tests that the JavaScript in the text passes. The tests are the lines of the sample's answer:
 * expressions that are `true`, or promises of it, e.g. `add(1, 2) === 3`. The program is the last fenced code block, or
 * all of the text; it runs in a sandbox, and one that throws or goes beyond a limit passes none, or no more.
 */
export function codeReward({ timeMs, parallel, ...limits }: CodeRewardOptions): Reward {
  const sandbox = new CodeSandbox({ timeMs, parallel });
  return {
    name: 'code',
    async score({ id, answer = '' }, text) {
      const tests = answer.split('\n').filter((line) => line.trim() !== '');
      if (tests.length === 0) {
        const message = `sample '${id}' has no tests: its answer is empty, expected a JavaScript expression a line`;
        throw new ForgeError('CONFIG_DATASET_INVALID', message, { sampleId: id });
      }
      const { passed } = await sandbox.run({ source: programIn(text), tests, ...limits });
      return passed / tests.length;
    },
  };
}

function programIn(text: string): string {
  return [...text.matchAll(/```\w*\n(.*?)(?:```|$)/gs)].at(-1)?.[1] ?? text;
}
