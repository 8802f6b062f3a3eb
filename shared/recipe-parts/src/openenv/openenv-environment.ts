import type { OpenEnvConfig } from '@forge/config';
import { defineEnvironment, type EnvironmentSet } from '@forge/rl';
import { OpenEnvServer } from './openenv-server';
import { RemoteEpisode } from './remote-episode';

/**
 * Environments that an OpenEnv server has: a socket for each rollout. How many rollouts have one at a time is learned from a
 * server that is full.
 *
 * @throws {ForgeError} (from a rollout) TRANSIENT_ENVIRONMENT_FAILED for a server that can't be reached, breaks off, is late or
 *   fails; CAPACITY_ENVIRONMENT_FULL for one without a place; CONTRACT_UNAUTHORIZED, CONFIG_INVALID, CONTRACT_INVALID_MESSAGE
 *   and CAPACITY_FRAME_TOO_LARGE for what no retry changes.
 */
export function openEnv(config: OpenEnvConfig, key: string | null, pingMs?: number): EnvironmentSet {
  const { connectTimeoutMs, timeoutMs, attempts, maxConcurrent, fullWaitMs } = config;
  const server = new OpenEnvServer(config, key, pingMs);
  const held = new Set<RemoteEpisode>();
  const environments = defineEnvironment(() => new RemoteEpisode(server, config, { held, narrow }), {
    name: 'openenv',
    // Each wait has a bound of its own, with a message that says which; this one only holds them all.
    timeoutMs: (attempts + 1) * (2 * connectTimeoutMs + 2 * timeoutMs + 60_000),
    ...(maxConcurrent !== undefined && { maxConcurrent }),
    fullWaitMs,
  });
  /** Takes in that the server has no more than `sessions`, or than there are: several servers may share an address. */
  function narrow(sessions: number): void {
    environments.slots.narrow(Math.max(sessions, held.size));
  }
  return environments;
}
