import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import { within } from '@forge/errors';

export interface GroupOptions {
  env: NodeJS.ProcessEnv;
  /** The open file that it reads as its standard input; left out: nothing. */
  stdin?: number;
  /** Whether it is a program of Node that answers messages of this process; default false. */
  answers?: boolean;
}

export interface Ending {
  /** Exit status; null where a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
}

/** A program in a process group of its own. */
export interface GuardedGroup {
  pid: number;
  stdout: Readable;
  stderr: Readable;
  /** Resolves once the program has ended, the rest of its group too, and all that they wrote is read. */
  ended: Promise<Ending>;
  /** Ends the whole group at once. */
  kill: () => void;
  /** The program itself, which sends and takes messages where it answers. */
  child: ChildProcess;
  /** Lets this process end while the program runs. */
  unref: () => void;
}

const { signals } = constants;
/** Begins the program once it is told to on its fourth descriptor; where that closes, never. */
const GATE = 'read -r _ <&3 && exec "$@" 3<&-';
/** Ends the group once its own input closes, as it does however the process that started it ends. */
const GUARD = 'read -r _; kill -s KILL -- "-$1"';
/** A program that has left its group may keep a stream open. */
const READ_OUT_MS = 1_000;

/**
 * Starts a program that ends with this process, however that ends, with all processes it starts in its group. It begins
 * only once its guard is there.
 *
 * @throws {Error} of the system when no shell can be started.
 */
export async function startGuardedGroup(
  command: readonly string[],
  { env, stdin, answers = false }: GroupOptions,
): Promise<GuardedGroup> {
  const child = spawn('/bin/sh', ['-c', GATE, 'agent', ...command], {
    env,
    stdio: [stdin ?? 'ignore', 'pipe', 'pipe', 'pipe', ...(answers ? (['ipc'] as const) : [])],
    detached: true,
  });
  await started(child);
  const pid = child.pid!;
  const kill = (): void => killGroup(pid);
  const ended = endOf(child, kill);
  const guard = spawn('/bin/sh', ['-c', GUARD, 'guard', String(pid)], {
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.stdin.on('error', () => undefined);
  await started(guard).catch((error: unknown) => {
    kill();
    throw error;
  });
  // Better no program than one that would stay behind.
  guard.once('exit', kill);
  void ended.then(() => {
    guard.off('exit', kill);
    guard.kill('SIGKILL');
  });
  const gate = child.stdio[3] as NodeJS.WritableStream;
  gate.on('error', () => undefined);
  gate.end('\n');
  const unref = (): void => {
    for (const held of [child, guard, child.channel, child.stdout, child.stderr, guard.stdin])
      (held as { unref?: () => void } | null | undefined)?.unref?.();
  };
  return { pid, stdout: child.stdout!, stderr: child.stderr!, ended, kill, child, unref };
}

/** The way in which a program ended. */
export function toldEnding({ status, signal }: Ending): string {
  if (status === null) return `it was ended by ${signal ?? 'a signal'}`;
  const inner = Object.entries(signals).find(([, number]) => number === status - 128)?.[0];
  return `it ended with status ${status}${inner === undefined ? '' : `, as by ${inner}`}`;
}

function started(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
}

async function endOf(child: ChildProcess, kill: () => void): Promise<Ending> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ending = await new Promise<Ending>((resolve) => {
    child.once('exit', (status, signal) => resolve({ status, signal }));
  });
  kill();
  await within(READ_OUT_MS, closed, () => {
    child.stdout!.destroy();
    child.stderr!.destroy();
  });
  return ending;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended.
  }
}
