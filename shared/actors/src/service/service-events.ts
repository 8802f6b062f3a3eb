import { EventEmitter } from 'node:events';
import type { ForgeError } from '@forge/errors';

/** Events of a service. */
export interface ServiceEvents {
  /** Every call of one result or of items; broadcasts have no end. */
  'call-ended': [call: { endpoint: string; replica: number; latencyMs: number; error: ForgeError | null }];
  'session-moved': [move: { session: string; from: number; to: number }];
  /** Gets no more calls until it has recovered. */
  'replica-failed': [failure: { replica: number; error: ForgeError }];
  'replica-recovered': [recovery: { replica: number; restarts: number }];
  /** The restarts of a replica are used up. */
  'replica-given-up': [failure: { replica: number; error: ForgeError }];
}

/** Listeners run a microtask later: one that throws disturbs the program, and not the service. */
export class ServiceEventBus extends EventEmitter<ServiceEvents> {
  tell<E extends keyof ServiceEvents>(event: E, what: ServiceEvents[E][0]): void {
    queueMicrotask(() => this.emit(event as keyof ServiceEvents, what as never));
  }
}
