import type { Sample } from '@forge/contracts';

/** A prompt as people read it; what the model is given is up to its chat template. */
export function promptText({ prompt }: Pick<Sample, 'prompt'>): string {
  return typeof prompt === 'string'
    ? prompt
    : prompt.map(({ role, content }) => `${role}: ${content}`).join('\n');
}
