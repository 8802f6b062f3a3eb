import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as a judge gets it. */
export interface Asked {
  path: string;
  authorization: string | undefined;
  body: { model: string; messages: { content: string }[]; [key: string]: unknown };
}

/** Answers one request; the last of a list goes on. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A chat completion that says `content`. */
export const says =
  (content: string | null): Answer =>
  (response) => {
    response.end(JSON.stringify({ choices: [{ message: { role: 'assistant', content } }] }));
  };

export const status =
  (code: number, headers: Record<string, string> = {}, text = 'no'): Answer =>
  (response) => {
    response.writeHead(code, headers).end(text);
  };

/** A server that answers as OpenAI's does, or breaks. */
export class TestJudge {
  readonly asked: Asked[] = [];
  private answers: Answer[] = [says('Score: 5')];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<TestJudge> {
    const server = createServer();
    const judge = new TestJudge(server);
    server.on('request', (request, response) => void judge.serve(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return judge;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Answers still to come, in this order. */
  willAnswer(...answers: Answer[]): void {
    this.answers = answers;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const part of request) text += String(part);
    const { authorization } = request.headers;
    this.asked.push({ path: request.url ?? '', authorization, body: JSON.parse(text) as Asked['body'] });
    const [next] = this.answers.length > 1 ? this.answers.splice(0, 1) : this.answers;
    next!(response, request);
  }
}
