import type { Binary } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { FrameLink, type Carrier, type LinkUser } from '../wire/frame-link';
import { CallChannel } from './call-channel';
import { Deadlines } from './deadlines';
import { Serving } from './serving';
import type { Address, Channel, Handler, Listener, Transport } from './transport';

/** Those who listen in this process, by address. */
const listening = new Map<Address, InProcessListener>();
let unnamed = 0;

/**
 * Calls within one process. They go through the same frames as any others, so nothing is shared by reference, but for
 * what lies in shared memory (`SharedArrayBuffer`), as between threads. Large binary values are copied once, and frames
 * may be as large as memory allows.
 */
export class InProcessTransport implements Transport {
  readonly schemes = ['inproc'];
  private readonly deadlines = new Deadlines();

  /** @throws {ForgeError} CONFIG_INVALID when the name is taken. */
  listen(handler: Handler, at: Address = `inproc:#${++unnamed}`): Promise<Listener> {
    if (listening.has(at)) {
      const message = `${at} is taken: another listener of this process has that name`;
      return Promise.reject(new ForgeError('CONFIG_INVALID', message, { address: at }));
    }
    const listener = new InProcessListener(at, handler, this.deadlines);
    listening.set(at, listener);
    return Promise.resolve(listener);
  }

  connect(address: Address): Promise<Channel> {
    const listener = listening.get(address);
    if (listener !== undefined) return Promise.resolve(listener.accept(this.deadlines));
    const message = `nobody listens at ${address} in this process`;
    return Promise.reject(new ForgeError('TRANSIENT_REPLICA_LOST', message, { address }));
  }
}

class InProcessListener implements Listener {
  private readonly links = new Set<FrameLink>();

  constructor(
    readonly address: Address,
    private readonly handler: Handler,
    private readonly deadlines: Deadlines,
  ) {}

  accept(deadlines: Deadlines): Channel {
    const there: Binary[] = [];
    const back: Binary[] = [];
    const ours = new MemoryCarrier({ out: back, in: there });
    const theirs = new MemoryCarrier({ out: there, in: back });
    const link = new FrameLink(ours, NOBODY);
    theirs.peer = link;
    ours.peer = new FrameLink(theirs, NOBODY);
    const channel = new CallChannel(this.address, ours.peer, deadlines);
    new Serving(link, this.handler, this.deadlines, () => this.links.delete(link));
    this.links.add(link);
    return channel;
  }

  close(): Promise<void> {
    listening.delete(this.address);
    const reason = new ForgeError('TRANSIENT_REPLICA_LOST', `${this.address} was closed`);
    for (const link of [...this.links]) link.end(reason, true);
    return Promise.resolve();
  }
}

const NOBODY: LinkUser = { onFrame: () => undefined, onRoom: () => undefined, onEnd: () => undefined };

/** Hands bytes to the link of the other side, one turn of the event loop later, so that calls starve nothing else. */
class MemoryCarrier implements Carrier {
  peer: FrameLink | null = null;

  constructor(readonly beside: { out: Binary[]; in: Binary[] }) {}

  write(bytes: Buffer, done: () => void): void {
    setImmediate(() => {
      this.peer?.receive(bytes);
      done();
    });
  }

  setReading(): void {
    // What is written is read in the next turn: nothing piles up that could be held.
  }

  close(): void {
    // The last frame has told the peer.
  }
}
