import type { MeteringOptions, StartedMetering } from './start-metering';

/**
 * The metrics of a process for others. The SDK is loaded and registered when it is first wanted: at a scrape, or at
 * once where metrics are to be sent. All that is shown counts from the start of the process nonetheless.
 */
export class Metering {
  private started: Promise<StartedMetering> | null = null;

  constructor(private readonly options: MeteringOptions) {
    if (options.settings.exporters.length > 0) this.start().catch(this.giveUp);
  }

  start(): Promise<StartedMetering> {
    return (this.started ??= this.load());
  }

  /** Sends the rest, where something is sent. */
  async stop(): Promise<void> {
    const started = await this.started?.catch(() => null);
    await started?.stop();
  }

  private async load(): Promise<StartedMetering> {
    return (await import('./start-metering.js')).startMetering(this.options);
  }

  private readonly giveUp = (error: unknown): void => {
    this.options.warn(`metrics are not sent: ${error instanceof Error ? error.message : String(error)}`);
  };
}
