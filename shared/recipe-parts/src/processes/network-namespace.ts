import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { commandEnvironment } from '@forge/config';
import { ForgeError } from '@forge/errors';

/** Programs of the system that make network namespaces, by their files. */
export interface NamespaceTools {
  unshare: string;
  nsenter: string;
  ip: string;
}

/** Directories of programs for the administrator, which PATH of others may leave out. */
const SYSTEM = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];
const CHECK_MS = 10_000;

/**
 * The programs that make network namespaces.
 *
 * @throws {ForgeError} CONFIG_INVALID where this machine gives none, with the reason and the way out.
 */
export function namespaceTools(): NamespaceTools {
  if (process.platform !== 'linux') throw refused(`there are none on ${process.platform}`);
  const [unshare, nsenter, ip] = ['unshare', 'nsenter', 'ip'].map(find);
  const tools = { unshare: unshare!, nsenter: nsenter!, ip: ip! };
  const command = newNetwork(tools, [tools.ip, 'link', 'set', 'lo', 'up']);
  const { status, stderr, error } = spawnSync(command[0]!, command.slice(1), {
    encoding: 'utf8',
    timeout: CHECK_MS,
  });
  if (status === 0) return tools;
  throw refused(
    error?.message ?? (stderr.trim().split('\n').at(-1) || `unshare ended with status ${status}`),
  );
}

/** The command in a network of its own that leads nowhere; it sees itself as root. */
export function newNetwork({ unshare }: NamespaceTools, command: readonly string[]): string[] {
  return [unshare, '--user', '--map-root-user', '--net', '--', ...command];
}

/** The command in the network of a process. */
export function inNetworkOf(pid: number, { nsenter }: NamespaceTools, command: readonly string[]): string[] {
  return [nsenter, `--target=${pid}`, '--user', '--preserve-credentials', '--net', '--', ...command];
}

function find(name: string): string {
  const path = (commandEnvironment()['PATH'] ?? '').split(delimiter);
  const file = [...path, ...SYSTEM].map((dir) => join(dir, name)).find(isProgram);
  if (file !== undefined) return file;
  throw refused(
    `found no program ${name}, which is in the package ${name === 'ip' ? 'iproute2' : 'util-linux'}`,
  );
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function refused(reason: string): ForgeError {
  const message = `rollout.network: found closed, expected open where this machine gives no network namespaces: ${reason}; allow user namespaces (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; seccomp of a container), or leave it open and bound the network of the policy's container`;
  return new ForgeError('CONFIG_INVALID', message, { field: 'rollout.network' });
}
