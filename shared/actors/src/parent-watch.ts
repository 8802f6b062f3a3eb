import { workerData } from 'node:worker_threads';

/** How long an orphan with a blocked event loop lives at most. */
const LOOK_MS = 500;

/**
 * A thread that ends the process when its parent is gone. The channel to the parent tells the event loop as much, and
 * sooner, but an endpoint that never returns to it would never hear.
 */
const parent = workerData as number;
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, LOOK_MS);
