import { setTimeout as sleep } from 'node:timers/promises';
import type { Letter, Mailbox } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import { malformed } from '../wire/frame';
import type { Carrier, FrameLink } from '../wire/frame-link';
import type { OnRefused } from './transport';

/** A channel by the mailbox of the peer and a name that the caller gave it. */
export interface Route {
  peer: string;
  channel: string;
}

const LIVENESS_MS = 250;
/** Looks in a row without the peer after which it is lost. Redis may have been away for one. */
const MISSES = 3;
const FULL_PAUSE_MS = 5;
/** Form of the name of a mailbox or a channel. */
const NAME = /^[^{}\s]{1,256}$/;

/** The channels that go through one mailbox: gives each what comes for it, and notices when its peer is gone. */
export class MailboxRoutes {
  private readonly carriers = new Map<string, MailboxCarrier>();
  private readonly liveness: NodeJS.Timeout;
  private readonly receiving: Promise<void>;
  /** Carriers whose link can't take more now; while there are any, nothing is taken out of the mailbox. */
  private readonly full = new Set<MailboxCarrier>();
  private goOn: () => void = () => undefined;
  private isClosed = false;

  constructor(
    readonly mailbox: Mailbox,
    /** Takes the first letter of a channel that is not known; it is to `add` it. */
    private readonly onNew: ((route: Route, owner: string) => void) | null,
    private readonly onRefused: OnRefused = () => undefined,
  ) {
    this.receiving = this.receive();
    this.liveness = setInterval(() => void this.look(), LIVENESS_MS);
  }

  /** `owner`: the process that has the peer's mailbox. */
  add(route: Route, owner: string, onLost: (why: string) => void): MailboxCarrier {
    const carrier = new MailboxCarrier(this.mailbox, route, owner, onLost, {
      onClosed: () => {
        this.carriers.delete(keyOf(route));
        this.setReading(carrier, true);
      },
      setReading: (isReading) => {
        this.setReading(carrier, isReading);
      },
    });
    this.carriers.set(keyOf(route), carrier);
    return carrier;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearInterval(this.liveness);
    this.full.clear();
    this.goOn();
    await this.mailbox.close();
    await this.receiving;
  }

  private async receive(): Promise<void> {
    while (!this.isClosed) {
      if (this.full.size > 0) await new Promise<void>((resolve) => (this.goOn = resolve));
      try {
        for (const letter of await this.mailbox.receive()) await this.take(letter);
      } catch (error) {
        if (!this.isClosed) this.loseAll(ForgeError.from(error).message);
        return;
      }
    }
  }

  private async take({ from, channel, sequence, bytes }: Letter): Promise<void> {
    const route = { peer: from, channel };
    if (!NAME.test(from) || !NAME.test(channel) || !Number.isSafeInteger(sequence) || sequence < 0) {
      this.onRefused(malformed('a letter without sender, channel or sequence'));
      return;
    }
    if (sequence === 0 && this.onNew !== null && !this.carriers.has(keyOf(route))) {
      const owner = await this.mailbox.ownerOf(from);
      if (owner !== null) this.onNew(route, owner);
    }
    const carrier = this.carriers.get(keyOf(route));
    // The last letters of a channel that has ended are refused, too.
    if (carrier === undefined) this.onRefused(malformed('a letter of no channel'));
    else carrier.receive(sequence, bytes);
  }

  private async look(): Promise<void> {
    await Promise.all(
      [...this.carriers.values()].map(async (carrier) => {
        const owner = await this.mailbox.ownerOf(carrier.route.peer).catch(() => undefined);
        if (owner !== undefined) carrier.saw(owner);
      }),
    );
  }

  private loseAll(why: string): void {
    for (const carrier of [...this.carriers.values()]) carrier.onLost(why);
  }

  private setReading(carrier: MailboxCarrier, isReading: boolean): void {
    if (!isReading) this.full.add(carrier);
    else if (this.full.delete(carrier) && this.full.size === 0) this.goOn();
  }
}

/** A channel's bytes as letters to the mailbox of the peer. */
export class MailboxCarrier implements Carrier {
  private link: FrameLink | null = null;
  private sent = 0;
  private received = 0;
  private misses = 0;
  private isClosed = false;

  constructor(
    private readonly mailbox: Mailbox,
    readonly route: Route,
    private readonly owner: string,
    readonly onLost: (why: string) => void,
    private readonly routes: { onClosed: () => void; setReading: (isReading: boolean) => void },
  ) {}

  attach(link: FrameLink): void {
    this.link = link;
  }

  write(bytes: Buffer, done: () => void): void {
    void this.deliver(bytes).then(done);
  }

  setReading(isReading: boolean): void {
    this.routes.setReading(isReading);
  }

  close(): void {
    this.isClosed = true;
    this.routes.onClosed();
  }

  receive(sequence: number, bytes: Buffer): void {
    // The letter was sent again when the answer to the first sending was lost.
    if (sequence < this.received) return;
    if (sequence > this.received) {
      this.onLost(`Redis lost letters ${this.received} to ${sequence - 1}`);
      return;
    }
    this.received++;
    this.link?.receive(bytes);
  }

  /** Notes the current owner of the peer's mailbox. */
  saw(owner: string | null): void {
    if (owner === this.owner) this.misses = 0;
    else if (++this.misses >= MISSES) this.onLost('its process ended or does not say that it lives');
  }

  private async deliver(bytes: Buffer): Promise<void> {
    const letter = { channel: this.route.channel, sequence: this.sent++, bytes };
    try {
      while (!this.isClosed && (await this.mailbox.send(this.route.peer, letter)) !== 'sent')
        await sleep(FULL_PAUSE_MS);
    } catch (error) {
      this.onLost(ForgeError.from(error).message);
    }
  }
}

function keyOf({ peer, channel }: Route): string {
  return `${peer}/${channel}`;
}
