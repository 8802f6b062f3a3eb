import { sampleRollout } from './sample-rollout';

const old = { index: 3, version: 1, prompt: '1+1=', texts: ['2', '3'], rewards: [1, 0] };
/** A completion of one turn. */
const single = { conversation: [], end: null };

describe('sampleRollout', () => {
  it('shows rewards by function and tokens, as far as they are kept', () => {
    const line = {
      ...old,
      rewardsByFunction: [{ exact: 1 }, { exact: 0 }],
      tokens: [{ texts: ['2', '</s>'], logprobs: [-0.5, 0], versions: [1, 2] }],
    };
    expect(sampleRollout(line)?.completions).toEqual([
      {
        text: '2',
        reward: 1,
        rewards: { exact: 1 },
        tokens: [
          { text: '2', logprob: -0.5, version: 1 },
          { text: '</s>', logprob: 0, version: 2 },
        ],
        ...single,
      },
      { text: '3', reward: 0, rewards: { exact: 0 }, tokens: [], ...single },
    ]);
  });

  it('shows conversations, and why they were cut off', () => {
    const said = [
      { role: 'user', text: '1+1?' },
      { role: 'assistant', text: '2', reward: 1, fork: 'messages-changed' },
    ];
    const line = { ...old, conversations: [said], ends: ['turns', null] };
    expect(sampleRollout(line)?.completions).toMatchObject([{ conversation: said, end: 'turns' }, single]);
  });

  it('shows a line of an older run', () => {
    expect(sampleRollout(old)?.completions[1]).toEqual({
      ...{ text: '3', reward: 0, rewards: {}, tokens: [] },
      ...single,
    });
  });

  it.each([[null], ['text'], [{ index: 3 }], [{ ...old, index: -1 }]])('is null for %j', (line) => {
    expect(sampleRollout(line)).toBeNull();
  });
});
