import { rmSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

/** Longest life of an orphan whose event loop is blocked. */
const LOOK_MS = 500;

/**
 * A thread that ends the process when its parent is gone. The event loop hears of it sooner by its channel, unless an
 * endpoint blocks it.
 */
const { parent, socketDir } = workerData as { parent: number; socketDir: string | null };
setInterval(() => {
  if (process.ppid === parent) return;
  if (socketDir !== null) rmSync(socketDir, { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
}, LOOK_MS);
