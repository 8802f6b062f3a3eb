// Takes the lock in its argument some times, and writes down when it came in and went out.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { underLock } from './process-lock';

const [, , path = '', log = '', times = '1', heldMs = '0'] = process.argv;

async function main(): Promise<void> {
  for (let i = 0; i < Number(times); i++)
    await underLock(path, { onWait: () => undefined }, async () => {
      appendFileSync(log, `in ${process.pid}\n`);
      await sleep(Number(heldMs));
      appendFileSync(log, `out ${process.pid}\n`);
    });
}

void main();
