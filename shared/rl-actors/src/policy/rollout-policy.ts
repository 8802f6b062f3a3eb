import { randomUUID } from 'node:crypto';
import { policyHandle, type PolicyHandle } from '@forge/rl';
import { recordSystemMetric, Reduce } from '@forge/telemetry';
import type { Policy } from './policy';

type Called = 'generate' | 'renderChat' | 'bridgeChat' | 'parseAnswer';

/** Endpoints that rollouts need of a policy: its mesh and its service have them. */
export type PolicyEndpoints = { [Name in Called]: { choose: Policy[Name] } };

/**
 * A policy as rollouts see it, for scripts: `generate`, and `conversation`. The same `id` draws the same; without one every
 * handle draws anew.
 */
export function rolloutPolicy(
  { generate, renderChat, bridgeChat, parseAnswer }: PolicyEndpoints,
  id: string = randomUUID(),
): PolicyHandle {
  return policyHandle({
    id,
    maxTokens: Infinity,
    clock: () => performance.now(),
    count: (metric) => recordSystemMetric(metric, 1, Reduce.SUM),
    generate: ({ prompt, sampling, rolloutIds }) => generate.choose(prompt, sampling, rolloutIds),
    renderChat: (request) => renderChat.choose(request),
    bridgeChat: (request) => bridgeChat.choose(request),
    parseAnswer: (request) => parseAnswer.choose(request),
  });
}
