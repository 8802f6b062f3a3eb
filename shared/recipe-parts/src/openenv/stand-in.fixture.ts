import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { full, type Recording } from './recorded.fixture';

/** Answer to one message, given the recorded one. */
export type Answer = (socket: WebSocket, recorded: string) => void;

export const recorded: Answer = (socket, text) => socket.send(text);
export const silence: Answer = () => undefined;
export const hangUp: Answer = (socket) => socket.close(1012);
export const breakOff: Answer = (socket) => socket.terminate();
export const says =
  (text: string): Answer =>
  (socket) =>
    socket.send(text);
export const fails = (code: string, message = 'no'): Answer =>
  says(JSON.stringify({ type: 'error', data: { message, code } }));

/** A server that replies as a recorded one, or breaks. */
export class StandIn {
  readonly asked: { type: string; data: Record<string, unknown> }[] = [];
  readonly headers: IncomingHttpHeaders[] = [];
  /** Sessions it may have at a time. */
  sessions = Infinity;
  open = 0;
  most = 0;
  /** Status of its answer to /schema. */
  status = 200;
  /** Status of its next answers to the opening of a socket. */
  refusals: number[] = [];
  private answers: Answer[] = [];
  /** Ends of its sessions. */
  private readonly ends: Promise<unknown>[] = [];

  private constructor(
    private readonly server: Server,
    private readonly recording: Recording,
    autoPong: boolean,
    private readonly scheme: 'http' | 'https',
  ) {
    const sockets = new WebSocketServer({ noServer: true, autoPong });
    server.on('request', ({ headers }, response) => {
      this.headers.push(headers);
      response
        .writeHead(this.status)
        .end(JSON.stringify({ action: recording.action, observation: {}, state: {} }));
    });
    server.on('upgrade', (request, socket, head) => {
      this.headers.push(request.headers);
      // A client may be killed.
      socket.on('error', () => undefined);
      const status = this.refusals.shift();
      if (status === undefined) return sockets.handleUpgrade(request, socket, head, (ws) => this.serve(ws));
      socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`);
    });
  }

  static async start(
    recording: Recording,
    { autoPong = true, tls }: { autoPong?: boolean; tls?: { key: string; cert: string } } = {},
  ): Promise<StandIn> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new StandIn(server, recording, autoPong, tls === undefined ? 'http' : 'https');
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Answers of the next messages, in their order over all sockets. */
  willAnswer(...answers: Answer[]): void {
    this.answers = answers;
  }

  /** Waits until no session is left before it stops. */
  async stop(): Promise<void> {
    await Promise.all(this.ends);
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private serve(socket: WebSocket): void {
    if (this.open >= this.sessions) {
      socket.send(full(this.sessions));
      socket.close(1000);
      return;
    }
    this.most = Math.max(this.most, ++this.open);
    this.ends.push(once(socket, 'close').then(() => (this.open -= 1)));
    socket.on('error', () => undefined);
    socket.on('message', (raw: Buffer) => {
      const message = JSON.parse(raw.toString()) as (typeof this.asked)[0];
      if (message.type === 'close') return socket.close();
      this.asked.push(message);
      const { reset, steps } = this.recording;
      const reply = message.type === 'reset' ? reset : steps[JSON.stringify(message.data)];
      const answer = this.answers.shift() ?? recorded;
      answer(socket, reply ?? `{"type":"error","data":{"message":"not recorded","code":"SESSION_ERROR"}}`);
    });
  }
}
