import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { endpoint, ForgeActor } from '@forge/actors';

/** Bytes in use on the heap of this process, once what is not has been collected. */
export function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}

export class Echo extends ForgeActor {
  @endpoint({ idempotent: true, concurrent: true })
  echo(payload: Uint8Array): Uint8Array {
    return payload;
  }

  /** Some work that is not done by this machine. */
  @endpoint({ idempotent: true, concurrent: true })
  async work(ms: number): Promise<number> {
    await sleep(ms);
    return process.pid;
  }

  @endpoint({ idempotent: true })
  whoAmI(): string {
    return this.actorName;
  }

  @endpoint()
  heap(): number {
    return heapUsed();
  }
}
