import { mkdirSync } from 'node:fs';
import { connect as connectSocket, createServer, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { ForgeError, type WireError } from '@forge/errors';
import { Packr } from 'msgpackr';
import type {
  Address,
  CallRequest,
  Channel,
  ChannelCallOptions,
  Handler,
  Listener,
  Transport,
} from './transport';

/** A stand-in until the real transports are merged: no flow control, no limits. */
const packr = new Packr({ useRecords: false, moreTypes: true });

type Frame =
  | { kind: 'call' | 'stream' | 'post'; id: number; request: CallRequest }
  | { kind: 'cancel' | 'end' | 'ping' | 'pong'; id: number }
  | { kind: 'result' | 'item'; id: number; value: unknown }
  | { kind: 'error'; id: number; error: WireError };

function frames(socket: Socket, receive: (frame: Frame) => void): (frame: Frame) => void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
      const end = 4 + rest.readUInt32LE(0);
      const frame = packr.unpack(rest.subarray(4, end)) as Frame;
      rest = rest.subarray(end);
      receive(frame);
    }
  });
  let waiting: Buffer[] = [];
  return (frame) => {
    const body = packr.pack(frame);
    const head = Buffer.allocUnsafe(4);
    head.writeUInt32LE(body.length);
    if (waiting.push(head, body) > 2) return;
    queueMicrotask(() => {
      const out = Buffer.concat(waiting);
      waiting = [];
      if (!socket.destroyed) socket.write(out);
    });
  };
}

function serve(
  handler: Handler,
  send: (frame: Frame) => void,
): { receive: (frame: Frame) => void; end: () => void } {
  const calls = new Map<number, AbortController>();
  const fail = (id: number, error: unknown): void => {
    send({ kind: 'error', id, error: ForgeError.from(error).toWire() });
  };
  const receive = (frame: Frame): void => {
    const { kind, id } = frame;
    if (kind === 'ping') send({ kind: 'pong', id });
    else if (kind === 'cancel') calls.get(id)?.abort();
    else if (kind === 'post') handler.call(frame.request, new AbortController()).catch(() => undefined);
    else if (kind === 'call') {
      const controller = new AbortController();
      calls.set(id, controller);
      handler
        .call(frame.request, controller)
        .then(
          (value) => {
            send({ kind: 'result', id, value });
          },
          (error: unknown) => {
            fail(id, error);
          },
        )
        .finally(() => calls.delete(id));
    } else if (kind === 'stream') {
      const controller = new AbortController();
      calls.set(id, controller);
      void (async () => {
        try {
          for await (const value of handler.stream(frame.request, controller)) {
            if (controller.signal.aborted) break;
            send({ kind: 'item', id, value });
          }
          send({ kind: 'end', id });
        } catch (error) {
          fail(id, error);
        } finally {
          calls.delete(id);
        }
      })();
    }
  };
  return {
    receive,
    end: () => {
      for (const call of calls.values()) call.abort();
    },
  };
}

type Pending = (frame: Frame | null) => void;

class SimpleChannel implements Channel {
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private reason: ForgeError | null = null;
  private lose: (error: ForgeError) => void = () => undefined;
  readonly lost = new Promise<ForgeError>((resolve) => (this.lose = resolve));

  constructor(
    readonly address: Address,
    readonly send: (frame: Frame) => void,
    private readonly end: () => void,
  ) {}

  receive(frame: Frame): void {
    this.pending.get(frame.id)?.(frame);
  }

  fail(why: string): void {
    if (this.reason !== null) return;
    this.reason = new ForgeError('TRANSIENT_REPLICA_LOST', `${this.address} is lost: ${why}`, {
      address: this.address,
    });
    for (const settle of this.pending.values()) settle(null);
    this.pending.clear();
    this.lose(this.reason);
  }

  call(request: CallRequest, { signal }: ChannelCallOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.reason !== null) {
        reject(this.reason);
        return;
      }
      const id = this.nextId++;
      let timer: NodeJS.Timeout | undefined;
      const finish = (): void => {
        this.pending.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const giveUp = (error: ForgeError): void => {
        finish();
        this.send({ kind: 'cancel', id });
        reject(error);
      };
      const abort = (): void => {
        giveUp(new ForgeError('CANCELLED', `${request.endpoint} was cancelled`));
      };
      if (signal?.aborted === true) {
        reject(new ForgeError('CANCELLED', 'cancelled'));
        return;
      }
      signal?.addEventListener('abort', abort);
      if (request.timeoutMs !== undefined)
        timer = setTimeout(() => {
          giveUp(
            new ForgeError(
              'TRANSIENT_TIMEOUT',
              `${request.endpoint}: no answer within ${request.timeoutMs} ms`,
            ),
          );
        }, request.timeoutMs);
      this.pending.set(id, (frame) => {
        finish();
        if (frame?.kind === 'result') resolve(frame.value);
        else if (frame?.kind === 'error') reject(ForgeError.fromWire(frame.error));
        else reject(this.reason!);
      });
      this.send({ kind: 'call', id, request });
    });
  }

  async *stream(request: CallRequest, { signal }: ChannelCallOptions = {}): AsyncIterable<unknown> {
    const id = this.nextId++;
    const queue: (Frame | null)[] = [];
    let wake: () => void = () => undefined;
    this.pending.set(id, (frame) => {
      queue.push(frame);
      wake();
    });
    signal?.addEventListener('abort', () => {
      queue.push({ kind: 'error', id, error: new ForgeError('CANCELLED', 'cancelled').toWire() });
      wake();
    });
    this.send({ kind: 'stream', id, request });
    try {
      for (;;) {
        while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        const frame = queue.shift();
        if (frame?.kind === 'item') yield frame.value;
        else if (frame?.kind === 'end') return;
        else if (frame?.kind === 'error') throw ForgeError.fromWire(frame.error);
        else throw this.reason!;
      }
    } finally {
      this.pending.delete(id);
      this.send({ kind: 'cancel', id });
    }
  }

  post(request: CallRequest): void {
    if (this.reason === null) this.send({ kind: 'post', id: 0, request });
  }

  close(): Promise<void> {
    this.fail('closed');
    this.end();
    return Promise.resolve();
  }
}

const listeners = new Map<Address, { handler: Handler; closers: Set<() => void> }>();
let nextName = 0;
const copy = <T>(value: T): T => packr.unpack(packr.pack(value)) as T;

/** @internal */
const inProcess: Transport = {
  schemes: ['inproc'],
  listen: (handler, at = `inproc:${nextName++}`) => {
    const entry = { handler, closers: new Set<() => void>() };
    listeners.set(at, entry);
    return Promise.resolve({
      address: at,
      close: () => {
        listeners.delete(at);
        for (const close of entry.closers) close();
        return Promise.resolve();
      },
    });
  },
  connect: (address) => {
    const listener = listeners.get(address);
    if (listener === undefined)
      return Promise.reject(new ForgeError('TRANSIENT_REPLICA_LOST', `nobody listens at ${address}`));
    const server = serve(listener.handler, (frame) => {
      queueMicrotask(() => {
        channel.receive(copy(frame));
      });
    });
    const closed = (): void => {
      channel.fail('closed');
      server.end();
    };
    const channel = new SimpleChannel(
      address,
      (frame) => {
        const sent = copy(frame);
        queueMicrotask(() => {
          server.receive(sent);
        });
      },
      closed,
    );
    listener.closers.add(closed);
    return Promise.resolve(channel);
  },
};

/** @internal */
const unix = ({ intervalMs, misses }: Timing): Transport => ({
  schemes: ['unix'],
  listen: async (handler, at) => {
    if (at === undefined) throw new ForgeError('BUG_INVARIANT', 'unix needs an address');
    const path = at.slice('unix:'.length);
    mkdirSync(dirname(path), { recursive: true });
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      const serving = serve(handler, (frame) => {
        send(frame);
      });
      const send = frames(socket, serving.receive);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        serving.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const listener: Listener = {
      address: at,
      close: async () => {
        for (const socket of sockets) socket.end();
        await new Promise((resolve) => server.close(resolve));
      },
    };
    return listener;
  },
  connect: (address) =>
    new Promise((resolve, reject) => {
      const socket = connectSocket(address.slice('unix:'.length));
      socket.setNoDelay(true);
      let missed = 0;
      const send = frames(socket, (frame) => {
        missed = 0;
        channel.receive(frame);
      });
      const channel = new SimpleChannel(address, send, () => socket.destroy());
      socket.once('error', (cause) => {
        reject(new ForgeError('TRANSIENT_REPLICA_LOST', cause.message));
      });
      socket.once('connect', () => {
        const pinging = setInterval(() => {
          if (missed++ >= misses) {
            channel.fail('no heartbeat');
            socket.destroy();
          } else send({ kind: 'ping', id: 0 });
        }, intervalMs);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          clearInterval(pinging);
          channel.fail('closed');
        });
        resolve(channel);
      });
    }),
});

interface Timing {
  intervalMs: number;
  misses: number;
}

export class InProcessTransport implements Transport {
  readonly schemes = inProcess.schemes;
  readonly listen = inProcess.listen.bind(inProcess);
  readonly connect = inProcess.connect.bind(inProcess);
}

export class SocketTransport implements Transport {
  readonly schemes = ['unix'];
  readonly listen: Transport['listen'];
  readonly connect: Transport['connect'];

  constructor({ heartbeat }: { heartbeat: Timing }) {
    const transport = unix(heartbeat);
    this.listen = transport.listen.bind(transport);
    this.connect = transport.connect.bind(transport);
  }
}
