import type { ChatMessage } from '@forge/contracts';

/** A script that calls `add` with the last sum and 2, two times, and says the result; with its thinking where it `thinks`. */
export function scriptedCalculator({ thinks }: { thinks: boolean }) {
  return (messages: readonly ChatMessage[]): string => {
    const given = messages.filter(({ role }) => role === 'tool').map(({ content }) => content);
    if (given.length === 2) return `It is ${given.at(-1)}.`;
    const call = { name: 'add', arguments: { a: Number(given.at(-1) ?? 1), b: 2 } };
    const thinking = thinks ? `<think>\nStep ${given.length}.\n</think>\n\n` : '';
    return `${thinking}<tool_call>${JSON.stringify(call)}</tool_call>`;
  };
}
