import { once } from 'node:events';
import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { createHttpServer } from './http-server';

let http: FastifyInstance;
let port: number;
const counts: Record<string, number> = {};

beforeAll(async () => {
  http = createHttpServer((reason) => {
    counts[reason] = (counts[reason] ?? 0) + 1;
  });
  http.get('/healthz', () => ({ status: 'ok' }));
  port = Number(new URL(await http.listen({ host: '127.0.0.1', port: 0 })).port);
});
afterAll(() => http.close());

/** Answer to a peer that sends these bytes and nothing more. */
async function answerTo(bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (piece: Buffer) => (answer += piece.toString()));
  socket.write(bytes);
  await once(socket, 'close');
  return answer;
}

describe('createHttpServer', () => {
  it('answers what it is asked, and counts nothing', async () => {
    expect(await answerTo('GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toContain('"ok"');
    expect(counts).toEqual({});
  });

  it('refuses what is no request of its own, each counted by its status', async () => {
    const request = (line: string, rest = ''): string =>
      `${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${rest}\r\n`;
    expect(await answerTo(request('GET /nothing'))).toContain('404');
    expect(await answerTo(request('DELETE /healthz'))).toContain('404');
    expect(await answerTo(request('GET /%zz'))).toContain('400');
    const large = 'x'.repeat(70_000);
    expect(await answerTo(request('POST /healthz', `Content-Length: 70000\r\n\r\n${large}`))).toContain('4');
    expect(await answerTo('\x00\x01\x02 garbage\r\n\r\n')).toContain('400');
    expect(await answerTo(`GET /healthz HTTP/1.1\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`)).toContain('400');
    expect(counts).toMatchObject({ '404': expect.any(Number), malformed: 2 });
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(6);
  });

  it('cuts off a peer that takes its time', async () => {
    const before = counts.late ?? 0;
    expect(await answerTo('GET /healthz HTTP/1.1\r\nX-Slow: ')).toContain('408');
    expect(counts.late).toBe(before + 1);
  }, 15_000);
});
