import { pick, randomBytes, type Random } from '@forge/testing';
import { inParallel, talk } from './connections';
import { Tally } from './tally';

const AT_A_TIME = 24;
const PATIENCE_MS = 20_000;
/** Requests of one connection that are HTTP. */
const PIPELINED = 20;
/** One connection in so many sends its headers for ever. */
const SLOW_EVERY = 500;

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND'];
const PATHS = [
  '/healthz',
  '/readyz',
  '/',
  '/metrics',
  '/admin',
  '/healthz/..%2f..%2fetc%2fpasswd',
  '/%00',
  '/%zz',
  '//',
  '/healthz?x=%ff',
  '/__proto__',
  '/constructor',
  `/${'a'.repeat(2_000)}`,
  '/v1/chat/completions',
];
/** Paths at a gateway. */
export const GATEWAY_PATHS = [
  '/health',
  '/v1/models',
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/sessions/0-0/v1/chat/completions',
  '/sessions/%2e%2e/v1/models',
  `/sessions/${'a'.repeat(2_000)}/v1/models`,
  '/rl/start_session',
  '/rl/set_reward',
  '/rl/end_session',
  '/rl/__proto__',
];
const HEADERS = [
  'Content-Type: application/json',
  'Content-Type: text/x;;',
  'X-Forwarded-For: 1',
  'Accept: */*',
  'Cookie: a=b',
  'Authorization: Bearer x',
  'Expect: 100-continue',
  'Upgrade: websocket',
];
const BODIES = ['{', '{}', 'null', '{"__proto__":{"a":1}}', '[1e999]', `${'['.repeat(5_000)}`, '{"a":NaN}'];

/** Bytes that no parser of HTTP takes, each on a connection of its own. */
const GARBAGE: Readonly<Record<string, (random: Random) => Buffer>> = {
  'random bytes': (random) => Buffer.concat([Buffer.from([1]), randomBytes(random, 100), END]),
  'no such method': () => Buffer.from('BREW /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
  'wrong version': () => Buffer.from('GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n'),
  'long headers': () => Buffer.from(`GET /healthz HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`),
  'two lengths': () =>
    Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd'),
  'broken chunks': () =>
    Buffer.from('GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'),
  'length and chunks': () =>
    Buffer.from(
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ),
  'null in a header': () => Buffer.from('GET /healthz HTTP/1.1\r\nHost: x\r\nA: a\0b\r\n\r\n'),
  'another protocol': () => Buffer.from('*1\r\n$4\r\nPING\r\n\r\n'),
  'garbage behind a request': () =>
    Buffer.from('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n\x01\x02\x03\r\n\r\n'),
};
const END = Buffer.from('\r\n\r\n');

/**
 * Outcome: how many answers had a status of 400 to 499, and for how many messages it is not known, as the connection
 * ended before.
 */
export interface HttpOutcome {
  tally: Tally;
  refused: number;
  unknown: number;
}

/** Sends `count` hostile requests, most of them HTTP, to a service, at paths it has or has not. */
export async function sendRequests(
  name: string,
  url: string,
  random: Random,
  count: number,
  paths: readonly string[] = PATHS,
): Promise<HttpOutcome> {
  const { hostname: host, port } = new URL(url);
  const tally = new Tally(`http ${name}`);
  const to = { host, port: Number(port) };
  let refused = 0;
  let unknown = 0;
  const connections: { kinds: string[]; pieces: Buffer[] }[] = [];
  for (let made = 0; made < count;) {
    const connection = connectionOf(random, count - made, paths);
    connections.push(connection);
    made += connection.kinds.length;
  }
  await inParallel(connections.length, AT_A_TIME, async (i) => {
    const { kinds, pieces } = connections[i]!;
    for (const kind of kinds) tally.add(kind);
    const received = await talk(to, pieces, { isDone: () => false, patienceMs: PATIENCE_MS });
    const statuses = [...received.toString('latin1').matchAll(/HTTP\/1\.1 ([2-5])\d\d/g)];
    refused += statuses.filter(([, first]) => first === '4').length;
    // Count as unknown requests behind one that ends the connection, or on one cut off with bytes on the way.
    unknown += Math.max(0, kinds.length - statuses.length);
  });
  return { tally, refused, unknown };
}

function connectionOf(
  random: Random,
  most: number,
  paths: readonly string[],
): { kinds: string[]; pieces: Buffer[] } {
  const roll = random();
  if (roll < 1 / SLOW_EVERY)
    return { kinds: ['slow headers'], pieces: [Buffer.from('GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:')] };
  if (roll < 0.6) {
    const [kind, make] = pick(random, Object.entries(GARBAGE));
    return { kinds: [kind], pieces: [make(random)] };
  }
  const length = Math.min(most, PIPELINED);
  const requests = Array.from({ length }, (_, i) => request(random, paths, i === length - 1));
  return { kinds: requests.map(({ kind }) => kind), pieces: requests.map(({ bytes }) => bytes) };
}

function request(random: Random, paths: readonly string[], isLast: boolean): { kind: string; bytes: Buffer } {
  const method = pick(random, METHODS);
  const path = pick(random, paths);
  const headers = [pick(random, HEADERS), `Connection: ${isLast ? 'close' : 'keep-alive'}`];
  const isLarge = random() < 0.001;
  const body = isLarge ? 'x'.repeat(100_000) : random() < 0.3 ? pick(random, BODIES) : '';
  const isKnown = method === 'GET' && /^\/(healthz|readyz|health)(\?|$)/.test(path);
  const kind = isLarge
    ? 'large body'
    : isKnown
      ? 'known endpoint'
      : body === ''
        ? 'unknown endpoint'
        : 'wrong body';
  const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\n${headers.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n`;
  return { kind, bytes: Buffer.from(head + body) };
}
