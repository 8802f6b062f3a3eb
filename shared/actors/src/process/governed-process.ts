import { check, metricReportSchema } from '@forge/contracts';
import { ForgeError, within } from '@forge/errors';
import { metricCollector } from '@forge/telemetry';
import type { ActorClass } from '../actor/actor-base';
import type { Birth } from '../actor/birth';
import { moduleOf } from '../runtime/actor-module';
import { AGENT, type ActorFailure } from '../runtime/actor-runtime';
import { failureFromWire, type WireActorFailure } from '../runtime/failure-log';
import type { Channel } from '../transports/transport';
import type { ActorProcess } from './actor-process';

/** Power over a process, held by the code that started it. */
export interface ProcessControl {
  readonly pid: number;
  /** Resolves with the way in which the process ended. */
  readonly exited: Promise<ForgeError>;
  /** Tells the process to end, once its actors have stopped, within `drainMs` (default 0). */
  end(drainMs?: number): void;
  kill(): void;
}

/** Time beyond the drain, for cleanup and for the processes that actors have spawned. */
const STOP_GRACE_MS = 5_000;
/** Time between the end of a process and the news of it on its channel. */
const LOST_WITHIN_MS = 1_000;

/** A process of actors ruled over a channel, by the agent that lives in it. */
export class GovernedProcess implements ActorProcess {
  readonly lost: Promise<ForgeError>;
  private isStopping = false;
  private hasWarned = false;
  private tellSilence!: (reason: ForgeError) => void;

  constructor(
    readonly channel: Channel,
    private readonly control: ProcessControl,
  ) {
    const silent = new Promise<ForgeError>((resolve) => (this.tellSilence = resolve));
    this.lost = Promise.race([control.exited, channel.lost, silent]);
    // Kill a process that no longer answers, which would come back as a stranger. A process told to end ends by itself.
    void this.lost.then(() => {
      if (!this.isStopping) control.kill();
    });
    void this.takeRecorded();
  }

  get pid(): number {
    return this.control.pid;
  }

  get failures(): AsyncIterable<ActorFailure> {
    return this.readFailures();
  }

  async spawn(id: string, actorClass: ActorClass, birth: Birth, args: readonly unknown[]): Promise<void> {
    await this.rule('spawn', [id, moduleOf(actorClass), birth, args]);
  }

  async stopActor(id: string, drainMs: number): Promise<void> {
    await this.rule('stopActor', [id, drainMs]);
  }

  async stop(drainMs: number): Promise<void> {
    this.isStopping = true;
    const ending = this.end(drainMs);
    await within(drainMs + STOP_GRACE_MS, ending, () => {
      this.control.kill();
    });
    const failed = await ending;
    await this.letGo();
    if (failed !== null && failed.code !== 'TRANSIENT_REPLICA_LOST') throw failed;
  }

  async kill(): Promise<void> {
    this.control.kill();
    await this.control.exited;
    await this.letGo();
  }

  /** Stops the actors behind every message that was sent before, then the process; what a cleanup threw. */
  private async end(drainMs: number): Promise<ForgeError | null> {
    try {
      this.handUp(await this.rule('stopAll', [drainMs]));
      return null;
    } catch (error) {
      return ForgeError.from(error);
    } finally {
      this.control.end();
      await this.control.exited;
    }
  }

  /** The end of the process ends the channel, and so tells the calls under way; closing it would call them cancelled. */
  private async letGo(): Promise<void> {
    await within(LOST_WITHIN_MS, this.channel.lost, () => undefined);
    await this.channel.close();
  }

  private rule(endpoint: string, args: readonly unknown[]): Promise<unknown> {
    return this.channel.call({ actor: AGENT, endpoint, args, key: '' });
  }

  /** Metrics recorded there count here, under the rank of the process. */
  private async takeRecorded(): Promise<void> {
    for await (const reports of this.told('recorded')) this.handUp(reports);
  }

  /** Leaves an invalid report out, with one warning for the process: a metric is no reason for work to fail. */
  private handUp(reports: unknown): void {
    for (const report of Array.isArray(reports) ? (reports as unknown[]) : [reports])
      try {
        metricCollector().merge(check(metricReportSchema, report, 'recorded metrics'), `p${this.pid}`);
      } catch (error) {
        const message = `metrics of process ${this.pid} are left out: ${ForgeError.from(error).message}`;
        if (!this.hasWarned) process.emitWarning(message, 'ForgeMetricWarning');
        this.hasWarned = true;
      }
  }

  private readFailures(): AsyncGenerator<ActorFailure> {
    return this.told('failures', (told) => {
      const { actor, failure } = told as WireActorFailure;
      return { actor, failure: failureFromWire(failure) };
    });
  }

  /**
   * Items of one of the agent's streams, which ends with the process. A process that lives on with a silent agent could
   * fail without a sign of it: it is lost.
   */
  private async *told<T>(
    endpoint: 'recorded' | 'failures',
    read: (item: unknown) => T = (item) => item as T,
  ): AsyncGenerator<T> {
    let why = 'the stream ended';
    try {
      const items = this.channel.stream({ actor: AGENT, endpoint, args: [], key: '' });
      for await (const item of items) yield read(item);
    } catch (error) {
      why = ForgeError.from(error).message;
    }
    const message = `the agent of process ${this.pid} tells no more ${endpoint}: ${why}`;
    this.tellSilence(new ForgeError('TRANSIENT_REPLICA_LOST', message, { pid: this.pid }));
  }
}
