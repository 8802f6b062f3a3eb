import type { ChatMessage, Prompt } from '@forge/contracts';

/** A prompt as people read it; what the model is given is up to its chat template. */
export function promptText(prompt: Prompt): string {
  if (typeof prompt === 'string') return prompt;
  if ('tokenIds' in prompt) return `${prompt.tokenIds.length} token ids`;
  return prompt.map(messageText).join('\n');
}

function messageText({ role, name, reasoning, content, toolCalls = [] }: ChatMessage): string {
  const speaker = name === undefined ? role : `${role} ${name}`;
  const calls = toolCalls.map((call) => `${call.name}(${JSON.stringify(call.arguments)})`);
  const parts = [reasoning, content, ...calls].filter((part) => part !== undefined && part !== '');
  return `${speaker}: ${parts.join('\n')}`;
}
