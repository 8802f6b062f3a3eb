import type { MetricReport } from '@forge/contracts';
import { metricCollector } from '@forge/telemetry';
import { ActorBase } from '../actor/actor-base';
import type { Birth } from '../actor/birth';
import { endpoint } from '../actor/endpoint';
import { loadActorClass, type ActorModule } from './actor-module';
import type { ActorRuntime } from './actor-runtime';
import type { FailureLog, WireActorFailure } from './failure-log';
import { recordedReports } from './recorded-reports';

/** Starts and ends the actors of the process it lives in. */
export class ProcessAgent extends ActorBase {
  constructor(
    private readonly runtime: ActorRuntime,
    private readonly log: FailureLog,
  ) {
    super();
  }

  @endpoint({ concurrent: true })
  async spawn(id: string, module: ActorModule, birth: Birth, args: readonly unknown[]): Promise<void> {
    await this.runtime.spawn(id, await loadActorClass(module), birth, args);
  }

  @endpoint({ concurrent: true })
  async stopActor(id: string, drainMs: number): Promise<void> {
    await this.runtime.stopActor(id, drainMs);
  }

  /** Drains all actors for at most `drainMs` and ends them; returns the last metrics they recorded. */
  @endpoint({ concurrent: true })
  async stopAll(drainMs: number): Promise<MetricReport[]> {
    await this.runtime.stop(drainMs);
    return metricCollector().take();
  }

  /** Metrics that code in the process records, as they come. */
  @endpoint({ concurrent: true })
  async *recorded(): AsyncGenerator<MetricReport[]> {
    yield* recordedReports(metricCollector());
  }

  /** Failures of actors that nothing in the process has handled. */
  @endpoint({ concurrent: true })
  async *failures(): AsyncGenerator<WireActorFailure> {
    yield* this.log;
  }
}
