import { setTimeout as sleep } from 'node:timers/promises';
import { visibleGpus } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { recordMetric } from '@forge/telemetry';
import { callContext } from './actor/call-context';
import { endpoint } from './actor/endpoint';
import { ForgeActor } from './forge-actor';

/** The actor of the introduction, with ways to fail. */
export class Counter extends ForgeActor {
  constructor(private count = 0) {
    super();
  }

  @endpoint()
  increment(): void {
    this.count += 1;
  }

  /** Records a metric, like user code. */
  @endpoint()
  record(value: number): void {
    recordMetric('counted', value);
  }

  @endpoint({ idempotent: true })
  value(): number {
    return this.count;
  }

  @endpoint()
  add(amount: number, multiplier = 1): number {
    this.count += amount * multiplier;
    return this.count;
  }

  @endpoint()
  fail(): void {
    throw new TypeError('I was asked to fail');
  }

  /** Throws what can't be sent as it is. */
  @endpoint()
  failWithCode(): void {
    throw new ForgeError('BUG_INVARIANT', 'I was asked to fail with code', { code: () => 1 } as never);
  }

  @endpoint()
  refuse(): void {
    throw new ForgeError('CAPACITY_EXCEEDED', 'no', { limit: 1 });
  }

  @endpoint()
  async *items(n: number): AsyncGenerator<number> {
    for (let i = 0; i < n; i++) yield i;
  }

  @endpoint()
  where(): { pid: number; name: string; rank: number; coordinates: Record<string, number> } {
    return { pid: process.pid, name: this.actorName, ...this.point };
  }

  @endpoint({ idempotent: true })
  gpus(): readonly number[] | null {
    return visibleGpus();
  }

  @endpoint()
  async slowly(ms: number): Promise<number> {
    await sleep(ms);
    this.count += 1;
    return this.count;
  }

  /** Ends when it is cancelled, or released. */
  @endpoint({ concurrent: true })
  async wait(): Promise<string> {
    await this.untilReleased();
    return 'ended';
  }

  @endpoint({ concurrent: true, idempotent: true })
  async waitSafely(answer: string): Promise<string> {
    await this.untilReleased();
    return answer;
  }

  /** Number of calls that are waiting. */
  @endpoint({ concurrent: true, idempotent: true })
  started(): number {
    return this.waiting.size;
  }

  /** Ends all that wait; how many did. */
  @endpoint({ concurrent: true })
  release(): number {
    const { size } = this.waiting;
    for (const end of this.waiting) end();
    return size;
  }

  private readonly waiting = new Set<() => void>();

  private async untilReleased(): Promise<void> {
    const { signal } = callContext();
    let end: () => void = () => undefined;
    await new Promise<void>((resolve) => {
      end = resolve;
      this.waiting.add(end);
      signal.addEventListener('abort', end, { once: true });
    });
    this.waiting.delete(end);
  }
}

/** A class its module keeps to itself. */
class Hidden extends ForgeActor {
  @endpoint()
  value(): number {
    return 1;
  }
}

export const hidden = { hiddenClass: Hidden };

export class Unready extends ForgeActor {
  override async setup(): Promise<void> {
    throw new ForgeError('CONFIG_MODEL_MISSING', 'there is no model');
  }

  @endpoint()
  value(): number {
    return 1;
  }
}
