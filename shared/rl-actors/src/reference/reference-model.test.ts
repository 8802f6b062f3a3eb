import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { Policy } from '../policy/policy';
import { ReferenceModel } from './reference-model';

const model = join(__dirname, '../../../../models/arithmetic');

describe('ReferenceModel', () => {
  it('finds tokens as likely as the policy that drew them with the same weights', async () => {
    const proc = thisProc();
    const [policy, reference] = await Promise.all([
      proc.spawn('policy', Policy, { worker: { model }, sampling: { temperature: 1, maxTokens: 10, n: 4 } }),
      proc.spawn('reference', ReferenceModel, { model }),
    ]);
    const completions = await policy.generate.callOne('12+7=');
    const sequences = completions.map(({ promptTokenIds, tokenIds }) => [...promptTokenIds, ...tokenIds]);
    const logprobs = await reference.logprobs.callOne(sequences);
    expect(logprobs.map(([first]) => first)).toEqual([0, 0, 0, 0]);
    completions.forEach((completion, i) => {
      const found = logprobs[i]!.slice(completion.promptTokenIds.length);
      found.forEach((logprob, t) => expect(logprob).toBeCloseTo(completion.logprobs[t]!, 4));
    });
    const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
    expect(await reference.stats.callOne()).toMatchObject({ tokens });
    await expect(reference.logprobs.callOne([[]])).rejects.toMatchObject({
      code: 'CONTRACT_INVALID_MESSAGE',
    });
    await Promise.all([policy.stop(), reference.stop()]);
  });
});
