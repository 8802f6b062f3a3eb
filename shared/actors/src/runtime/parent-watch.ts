import { rmSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

/** How long an orphan with a blocked event loop lives at most. */
const LOOK_MS = 500;

/**
 * A thread that ends the process when its parent is gone. The channel to the parent tells the event loop as much, and
 * sooner, but an endpoint that never returns to it would never hear.
 */
const { parent, socketDir } = workerData as { parent: number; socketDir: string | null };
setInterval(() => {
  if (process.ppid === parent) return;
  if (socketDir !== null) rmSync(socketDir, { recursive: true, force: true });
  process.kill(process.pid, 'SIGKILL');
}, LOOK_MS);
