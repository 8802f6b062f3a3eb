import { SHOWN_MESSAGES, type Episode, type ShownMessage } from '@forge/contracts';
import { shownConversations } from './shown-conversations';

const rolloutOf = (conversation?: ShownMessage[]): Episode => ({ conversation }) as Episode;

describe('shownConversations', () => {
  it('has the messages of each of the first rollouts as they were said', () => {
    const said: ShownMessage[] = [
      { role: 'user', text: '2*3?' },
      { role: 'assistant', text: '', toolCalls: [{ name: 'calculator', arguments: '{}' }], reward: 0.5 },
    ];
    expect(shownConversations([rolloutOf(said), rolloutOf()])).toEqual([said, []]);
    expect(shownConversations(Array.from({ length: 20 }, () => rolloutOf(said)))).toHaveLength(8);
  });

  it('cuts what is long, and stops at a number of characters and messages', () => {
    const long = 'x'.repeat(SHOWN_MESSAGES.charactersPerText + 1);
    const [one] = shownConversations([rolloutOf([{ role: 'tool', text: long, reasoning: long }])]);
    expect([one![0]!.text, one![0]!.reasoning]).toEqual(Array(2).fill(`${long.slice(1)}…`));
    const many = Array.from({ length: 200 }, (): ShownMessage => ({ role: 'tool', text: long }));
    const shown = shownConversations(Array.from({ length: 8 }, () => rolloutOf(many))).flat();
    const characters = shown.reduce((sum, { text }) => sum + text.replace('…', '').length, 0);
    expect(characters).toBe(SHOWN_MESSAGES.charactersPerRollout);
    expect(shown).toHaveLength(8 * SHOWN_MESSAGES.perCompletion);
  });
});
