import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chatMessageSchema, FORK_REASONS } from './chat-message';
import { promptSchema } from './sample';

describe('docs/agents.md', () => {
  it('has every reason of a fork, and no other', () => {
    const page = readFileSync(join(__dirname, '../../../docs/agents.md'), 'utf8');
    const section = page.slice(page.indexOf('| reason |'));
    const rows = section.slice(0, section.indexOf('\n\n')).matchAll(/^\| `([a-z-]+)` \|/gm);
    expect([...rows].map(([, reason]) => reason)).toEqual([...FORK_REASONS]);
  });
});

describe('a prompt', () => {
  const answer = {
    role: 'assistant',
    content: '',
    reasoning: 'Hm.',
    toolCalls: [{ id: 'c', name: 'add', arguments: { a: [1] } }],
  };

  it('is a text, messages, or token ids', () => {
    for (const prompt of [
      'a',
      [answer, { role: 'tool', content: '1', toolCallId: 'c', name: 'add' }],
      { tokenIds: [0, 5] },
    ])
      expect(promptSchema.parse(prompt)).toEqual(prompt);
  });

  it.each([
    [[]],
    [{ tokenIds: [] }],
    [{ tokenIds: [-1] }],
    [{ tokenIds: [1.5] }],
    [{ tokenIds: [1], text: 'a' }],
    [[{ ...answer, toolCalls: [{ id: 'c', name: 'add', arguments: '{}' }] }]],
    [[{ ...answer, toolCalls: [{ id: '', name: 'add', arguments: {} }] }]],
    [[{ ...answer, tool_calls: [] }]],
  ])('is not %j', (prompt) => {
    expect(promptSchema.safeParse(prompt).success).toBe(false);
    expect(chatMessageSchema.safeParse(answer).success).toBe(true);
  });
});
