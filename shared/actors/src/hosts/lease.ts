import { ForgeError } from '@forge/errors';
import { message } from '../mesh/actor-ref';
import type { ProcessControl } from '../process/governed-process';
import type { Channel } from '../transports/transport';
import { HOST, type ProcessNews, type StartedProcess } from './host-agent';

type Exit = (how: ForgeError) => void;

/**
 * Processes at an agent, for as long as the connection over which they were started: the agent kills what is left when
 * the connection ends.
 */
export class Lease {
  private readonly exits = new Map<number, Exit>();
  readonly processes: readonly { readonly control: ProcessControl; readonly port: number }[];

  private constructor(
    private readonly channel: Channel,
    started: readonly StartedProcess[],
    news: AsyncIterator<ProcessNews>,
  ) {
    this.processes = started.map(({ pid, port }, index) => ({ control: this.control(pid, index), port }));
    void this.follow(news);
  }

  /** @throws {ForgeError} why the agent has not started them; then the channel is closed. */
  static async take(channel: Channel, caller: string, count: number, gpusPerProcess: number): Promise<Lease> {
    const request = { ...message('run', [caller, count, gpusPerProcess]), actor: HOST };
    const news = (channel.stream(request) as AsyncIterable<ProcessNews>)[Symbol.asyncIterator]();
    try {
      const first = await news.next();
      if (first.done !== true && 'started' in first.value)
        return new Lease(channel, first.value.started, news);
      throw new ForgeError('BUG_INVARIANT', `${channel.address} has not said what it started`);
    } catch (error) {
      await channel.close();
      throw error;
    }
  }

  /** Ends the lease, and with it the processes that are left. */
  async end(): Promise<void> {
    await this.channel.close();
  }

  private control(pid: number, index: number): ProcessControl {
    const tell = (endpoint: string): void => {
      // An agent that can't be told any more kills all that is left.
      this.channel.call({ ...message(endpoint, [pid]), actor: HOST }).catch(() => undefined);
    };
    return {
      pid,
      exited: new Promise((resolve) => this.exits.set(index, resolve)),
      end: () => {
        tell('end');
      },
      kill: () => {
        tell('kill');
      },
    };
  }

  private async follow(news: AsyncIterator<ProcessNews>): Promise<void> {
    let reason: ForgeError | null = null;
    try {
      for (let next = await news.next(); next.done !== true; next = await news.next()) {
        if (!('exit' in next.value)) continue;
        this.exits.get(next.value.index)?.(ForgeError.fromWire(next.value.exit));
      }
    } catch (error) {
      reason = ForgeError.from(error);
    }
    // Exits that were told have resolved already.
    const lost =
      reason ?? new ForgeError('TRANSIENT_REPLICA_LOST', `${this.channel.address} ended its lease`);
    for (const exit of this.exits.values()) exit(lost);
    await this.channel.close();
  }
}
