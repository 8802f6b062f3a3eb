import type { Completion, Sample } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { combineRewards } from '@forge/rl';
import { greedyAccuracy } from './accuracy';
import type { LocalGenerator } from './local-generator';

const samples: Sample[] = ['right', 'wrong', 'too long', 'unjudged'].map((prompt, i) => ({
  id: `data.jsonl:${i + 1}`,
  prompt,
}));

/** Answers with the prompt. */
const generator: LocalGenerator = {
  complete: (asked) => {
    if (asked.some(({ prompt }) => prompt === 'too long'))
      return Promise.reject(new ForgeError('CAPACITY_PROMPT_TOO_LONG', 'found 99 tokens'));
    return Promise.resolve(asked.map(({ prompt }) => ({ text: prompt as string }) as Completion));
  },
  close: () => Promise.resolve(),
};
const score = (_sample: Sample, text: string): number => {
  if (text === 'unjudged') throw new RangeError('no such answer');
  return text === 'right' ? 1 : 0;
};
const rewards = combineRewards([{ reward: { name: 'mine', score }, weight: 1 }]);

describe('greedyAccuracy', () => {
  it('goes on past samples that fail, counts them as wrong and names them', async () => {
    expect(await greedyAccuracy(generator, samples, rewards, 'mine', 8)).toEqual({
      accuracy: 0.25,
      failed: [
        { id: 'data.jsonl:3', code: 'CAPACITY_PROMPT_TOO_LONG', message: 'found 99 tokens' },
        { id: 'data.jsonl:4', code: 'BUG_INVARIANT', message: 'no such answer' },
      ],
    });
  });

  it('leaves out what was not judged, since a judge was at fault', async () => {
    const away = new ForgeError('TRANSIENT_JUDGE_UNREACHABLE', 'no answer');
    const judge = (sample: Sample, text: string) =>
      text === 'unjudged' ? Promise.reject(away) : Promise.resolve(score(sample, text));
    const judged = combineRewards([{ reward: { name: 'mine', score: judge }, weight: 1 }]);
    expect(await greedyAccuracy(generator, samples, judged, 'mine', 8)).toMatchObject({
      accuracy: 1 / 3,
      failed: [
        { code: 'CAPACITY_PROMPT_TOO_LONG' },
        { id: 'data.jsonl:4', code: 'TRANSIENT_JUDGE_UNREACHABLE', isUnjudged: true },
      ],
    });
  });

  it('throws what is wrong with all of them', async () => {
    await expect(greedyAccuracy(generator, samples.slice(2, 3), rewards, 'mine', 8)).rejects.toMatchObject({
      code: 'CAPACITY_PROMPT_TOO_LONG',
    });
  });
});
