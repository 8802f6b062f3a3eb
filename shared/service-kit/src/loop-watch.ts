import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

/** Looks while a blocked loop is borne. */
const LOOKS = 20;
const STDERR = 2;

/**
 * A thread that ends the process when its event loop makes no turn for `limitMs`, as with a reward that never returns:
 * nothing else would, and the starter of services starts another one. It counts looks and asks no clock, so that a
 * process that was stopped and goes on is not taken for a blocked one.
 */
const { turns, limitMs, name } = workerData as { turns: Int32Array; limitMs: number; name: string };
let seen = Atomics.load(turns, 0);
let unchanged = 0;
setInterval(() => {
  const now = Atomics.load(turns, 0);
  unchanged = now === seen ? unchanged + 1 : 0;
  seen = now;
  if (unchanged < LOOKS) return;
  writeSync(STDERR, `${name}: the event loop has been blocked for ${limitMs} ms; the process ends\n`);
  process.kill(process.pid, 'SIGKILL');
}, limitMs / LOOKS);
