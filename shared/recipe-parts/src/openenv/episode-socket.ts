import { once } from 'node:events';
import { proxyAgent } from '@forge/downloads';
import { ForgeError } from '@forge/errors';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { mayPass, reasonOf } from '../endpoint';

export interface SocketOptions {
  /** Address of the socket. */
  address: string;
  /** Headers of its opening request. */
  headers: Record<string, string>;
  /** For the connection and its opening request. */
  connectTimeoutMs: number;
  /** For the reply to a message. */
  timeoutMs: number;
  /** Size of a reply at most. */
  maxMessageBytes: number;
  /** Time between the pings of a socket from which no reply is awaited. */
  pingMs: number;
}

/** A broken connection: whatever was to come is lost. */
export class Lost extends Error {}

/** Pings in a row without a sign of life that end a connection. */
const MISSED_PINGS = 3;
const CLOSE_MS = 5_000;
/** Messages that nobody has asked for, such as a refusal at once. */
const MAX_UNREAD = 16;

const reply = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('observation'),
    data: z.object({
      observation: z.record(z.string(), z.unknown()),
      reward: z.union([z.number(), z.boolean()]).nullish(),
      done: z.boolean().default(false),
    }),
  }),
  z.object({
    type: z.literal('error'),
    data: z.object({
      message: z.string(),
      code: z.string(),
      errors: z
        .array(z.object({ loc: z.array(z.union([z.string(), z.number()])), msg: z.string() }))
        .optional(),
      max_sessions: z.int().min(0).optional(),
    }),
  }),
]);

/** Reply of a server to `reset` or `step`. */
export type Reply = z.output<typeof reply>;

/** The socket of one episode at an OpenEnv server, which ends the episode when it is closed. */
export class EpisodeSocket {
  private readonly unread: string[] = [];
  private lost: Error | null = null;
  private isOpened = false;
  private isAsked = false;
  /** Tells who awaits a reply that something has come. */
  private wake: () => void = () => undefined;
  private silentPings = 0;
  private readonly pings: NodeJS.Timeout;

  private constructor(
    private readonly socket: WebSocket,
    private readonly options: SocketOptions,
  ) {
    const alive = (): void => void (this.silentPings = 0);
    socket.on('open', () => {
      this.isOpened = true;
      this.wake();
    });
    socket.on('message', (data) => {
      alive();
      // One buffer, as the socket was made without another `binaryType`.
      this.unread.push((data as Buffer).toString('utf8'));
      if (this.unread.length > MAX_UNREAD) this.end(new Lost('sends what nobody has asked for'));
      this.wake();
    });
    socket.on('pong', alive);
    socket.on('unexpected-response', (_request, { statusCode = 0 }) => this.end(refusal(statusCode)));
    socket.on('error', (error) => this.end(this.faultOf(error)));
    socket.on('close', (code) => this.end(new Lost(`closed the connection (${code})`)));
    this.pings = setInterval(() => this.ping(), options.pingMs).unref();
  }

  /**
   * A socket that is open.
   *
   * @throws {Lost} where the server can't be reached now.
   * @throws {ForgeError} CONTRACT_UNAUTHORIZED for a key that is not taken; CONFIG_INVALID for another refusal.
   */
  static async connect(options: SocketOptions, signal: AbortSignal): Promise<EpisodeSocket> {
    const { address, headers, connectTimeoutMs, maxMessageBytes: maxPayload } = options;
    signal.throwIfAborted();
    const agent = await proxyAgent(address);
    signal.throwIfAborted();
    const socket = new WebSocket(address, {
      headers,
      ...(agent && { agent }),
      maxPayload,
      perMessageDeflate: false,
    });
    const opening = new EpisodeSocket(socket, options);
    const abort = (): void => opening.end(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    const late = new Lost(`does not answer (nothing within ${connectTimeoutMs} ms)`);
    try {
      await opening.within(connectTimeoutMs, late, () => opening.isOpened || undefined);
      return opening;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /**
   * The reply to a message; one message at a time.
   *
   * @throws {Lost} where the connection ends before it, or it does not come in time.
   * @throws {ForgeError} CONTRACT_INVALID_MESSAGE for what is no reply.
   */
  async ask(message: { type: 'reset' | 'step'; data: Record<string, unknown> }): Promise<Reply> {
    const { timeoutMs } = this.options;
    this.isAsked = true;
    try {
      this.socket.send(JSON.stringify(message));
      const late = new Lost(`says nothing to ${message.type} within ${timeoutMs} ms`);
      return parsed(await this.within(timeoutMs, late, () => this.unread.shift()));
    } finally {
      this.isAsked = false;
      this.silentPings = 0;
    }
  }

  /** Ends the episode; at once where a reply is still awaited, which nobody will read. */
  async close(): Promise<void> {
    clearInterval(this.pings);
    const { socket } = this;
    if (socket.readyState === WebSocket.CLOSED) return;
    if (this.isAsked) return socket.terminate();
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(CLOSE_MS) });
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'close' }));
    socket.close();
    await closed.catch(() => socket.terminate());
  }

  /** Sees whether the far end is still there, unless it works on a reply, for which it has its time. */
  private ping(): void {
    if (this.isAsked || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.silentPings++ >= MISSED_PINGS)
      return this.end(new Lost(`answers no ping for ${MISSED_PINGS * this.options.pingMs} ms`));
    this.socket.ping();
  }

  /** Result of `look` once it finds something; the connection ends with `late` where that takes too long. */
  private async within<T>(timeoutMs: number, late: Lost, look: () => T | undefined): Promise<T> {
    const timer = setTimeout(() => this.end(late), timeoutMs);
    try {
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (this.lost !== null) throw this.lost;
        await new Promise<void>((wake) => (this.wake = wake));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  private end(error: Error): void {
    this.lost ??= error;
    clearInterval(this.pings);
    this.socket.terminate();
    this.wake();
  }

  private faultOf(error: Error & { code?: string }): Error {
    const { timeoutMs, maxMessageBytes } = this.options;
    if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
      const message = `sends a message of more than ${maxMessageBytes} bytes; raise maxMessageMb of the environment`;
      return new ForgeError('CAPACITY_FRAME_TOO_LARGE', message, { limitBytes: maxMessageBytes });
    }
    const reason = reasonOf(error, timeoutMs);
    return new Lost(this.isOpened ? `breaks the connection (${reason})` : `does not answer (${reason})`);
  }
}

function refusal(status: number): Error {
  if (mayPass(status)) return new Lost(`answers ${status}`);
  const code = status === 401 || status === 403 ? 'CONTRACT_UNAUTHORIZED' : 'CONFIG_INVALID';
  return new ForgeError(code, `answers ${status} in place of a WebSocket`, { status });
}

function parsed(text: string): Reply {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = text;
  }
  const result = reply.safeParse(value);
  if (result.success) return result.data;
  const message = `found ${text.slice(0, 200)}, expected an observation { observation, reward, done } or an error { message, code }`;
  throw new ForgeError('CONTRACT_INVALID_MESSAGE', message);
}
