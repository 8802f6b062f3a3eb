import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { waitFor } from '@forge/testing';
import fc from 'fast-check';
import { errorOf, KIND, PROTOCOL_VERSION, type Frame } from '../wire/frame';
import { FrameReader } from '../wire/frame-reader';
import { FrameWriter } from '../wire/frame-writer';
import { MAX_FRAME_BYTES } from '../wire/frame-bounds';
import { failure, handlerOf, request } from './conformance-setup.conformance';
import { endPeer, startPeer } from './lost-peer.conformance';
import { SocketTransport } from './socket';
import type { Channel, Listener } from './transport';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const echo = handlerOf({ echo: ({ args }) => args[0] });
const token = 'a token of the cluster';
const nonce = Buffer.alloc(32, 7);
const hello = (hasToken: boolean, version: unknown = PROTOCOL_VERSION): Frame => [
  KIND.hello,
  0,
  'forge-actors',
  version,
  nonce,
  hasToken,
];

function bytesOf(...frames: Frame[]): Buffer {
  const writer = new FrameWriter();
  for (const frame of frames) writer.write(frame);
  return writer.take(MAX_FRAME_BYTES);
}

async function listen(
  transport: SocketTransport,
  at?: string,
): Promise<{ listener: Listener; channel: Channel }> {
  const listener = await transport.listen(echo, at);
  closing.push(() => listener.close());
  const channel = await transport.connect(listener.address);
  closing.push(() => channel.close());
  return { listener, channel };
}

/** A peer that says what it wants, and keeps what it is told until it is cut off. */
async function intrude(
  address: string,
): Promise<{ socket: Socket; frames: Frame[]; cutOff: Promise<unknown> }> {
  const socket = address.startsWith('unix:')
    ? connect(address.slice('unix:'.length))
    : connect(Number(new URL(address).port), '127.0.0.1');
  closing.push(() => socket.destroy());
  socket.on('error', () => undefined);
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame), MAX_FRAME_BYTES);
  socket.on('data', (bytes: Buffer) => {
    reader.push(bytes);
  });
  const cutOff = new Promise((resolve) => socket.once('close', resolve));
  await once(socket, 'connect');
  return { socket, frames, cutOff };
}

const reasonIn = (frames: readonly Frame[]): ForgeError =>
  errorOf(frames.find(([kind]) => kind === KIND.bye) ?? [KIND.bye, 0, 'BUG_INVARIANT', 'no bye']);

describe('a listener', () => {
  it('tells of peers and calls that it refuses, and of no others', async () => {
    const refused: string[] = [];
    const answer = handlerOf({
      echo: ({ args }) => args[0],
      refuse: () => {
        throw new ForgeError('CONTRACT_INVALID_CALL', 'no');
      },
      fail: () => {
        throw new ForgeError('TRANSIENT_TIMEOUT', 'late');
      },
    });
    const transport = new SocketTransport();
    const listener = await transport.listen(answer, undefined, ({ code }) => refused.push(code));
    closing.push(() => listener.close());
    const channel = await transport.connect(listener.address);
    await channel.call(request('echo', 1));
    for (const endpoint of ['refuse', 'fail']) await failure(channel.call(request(endpoint)));
    await channel.close();
    const { socket, cutOff } = await intrude(listener.address);
    socket.end(bytesOf(hello(false, 9)));
    await cutOff;
    expect(refused).toEqual(['CONTRACT_INVALID_CALL', 'CONTRACT_PROTOCOL_MISMATCH']);
  });

  it('cuts noise off with a reason and serves the others', async () => {
    const { listener, channel } = await listen(new SocketTransport());
    const property = fc.asyncProperty(fc.uint8Array({ minLength: 4, maxLength: 300 }), async (noise) => {
      // A length that a greeting may have would have to be waited for.
      noise[0] = 1;
      const { socket, frames, cutOff } = await intrude(listener.address);
      socket.end(noise);
      await cutOff;
      expect(reasonIn(frames).code).toBe('CAPACITY_FRAME_TOO_LARGE');
    });
    await fc.assert(property, { seed: 7, numRuns: 100 });
    expect(await channel.call(request('echo', 'alive'))).toBe('alive');
  });

  it.each([
    ['another version', hello(false, 2), 'CONTRACT_PROTOCOL_MISMATCH', /speaks version 1 .* its peer 2/],
    ['a token', hello(true), 'CONTRACT_UNAUTHORIZED', /caller has a cluster token, its peer has none/],
    ['another name', [KIND.hello, 0, 'other'], 'CONTRACT_PROTOCOL_MISMATCH', /greeting of something else/],
    [
      'no greeting',
      [KIND.call, 1, 'a', 'echo', [], 'k', null, null, null],
      'CONTRACT_PROTOCOL_MISMATCH',
      /before it said/,
    ],
    ['a proof first', [KIND.proof, 0, nonce], 'CONTRACT_PROTOCOL_MISMATCH', /before it said/],
  ] as const)('refuses a peer with %s and says why', async (_what, frame, code, message) => {
    const { listener, channel } = await listen(new SocketTransport());
    const { socket, frames, cutOff } = await intrude(listener.address);
    socket.write(bytesOf(frame as Frame));
    await cutOff;
    expect(reasonIn(frames)).toMatchObject({ code, message });
    expect(await channel.call(request('echo', 'alive'))).toBe('alive');
  });

  it.each([
    ['an announced 4 GiB', Buffer.alloc(4, 0xff)],
    ['torn msgpack', Buffer.from([0, 0, 0, 3, 0x93, 5, 1])],
    ['msgpack nested without end', Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.alloc(65_536, 0x91)])],
    ['an answer', bytesOf([KIND.result, 1, null])],
    ['a request without arguments', bytesOf([KIND.call, 1, 'a', 'echo', null, 'k', null, null, null])],
    ['a deadline that is no time', bytesOf([KIND.call, 1, 'a', 'echo', [], 'k', NaN, null, null])],
    ['headers that are no text', bytesOf([KIND.call, 1, 'a', 'echo', [], 'k', null, null, { a: 1 }])],
    ['a credit that is no count', bytesOf([KIND.credit, 1, -5])],
  ])('cuts a greeted peer off at %s', async (_what, bytes) => {
    const { listener, channel } = await listen(new SocketTransport());
    const { socket, frames, cutOff } = await intrude(listener.address);
    socket.write(Buffer.concat([bytesOf(hello(false)), bytes]));
    await cutOff;
    expect(frames[0]?.[0]).toBe(KIND.hello);
    expect(reasonIn(frames).code).toMatch(/^CONTRACT_PROTOCOL_MISMATCH|CAPACITY_FRAME_TOO_LARGE$/);
    expect(await channel.call(request('echo', 'alive'))).toBe('alive');
  });

  it('reads no more from who does not read its answers', async () => {
    let calls = 0;
    const counted = handlerOf({ echo: ({ args }) => calls++ >= 0 && args[0] });
    // Without a heartbeat: on a busy machine it may take as long as a silent caller is waited for.
    const listener = await new SocketTransport({ heartbeat: false }).listen(counted);
    closing.push(() => listener.close());
    const { socket, frames } = await intrude(listener.address);
    socket.write(bytesOf(hello(false)));
    await waitFor('the greeting', () => frames.length > 0);
    socket.pause();
    const payload = Buffer.alloc(2 ** 20);
    for (let id = 1; id <= 100; id++)
      socket.write(bytesOf([KIND.call, id, 'a', 'echo', [payload], 'k', null, null, null]));
    await waitFor('some calls', () => calls > 3);
    const { channel } = await listen(new SocketTransport());
    for (let i = 0; i < 200; i++) await channel.call(request('echo', payload));
    expect(calls).toBeLessThan(20);
    socket.resume();
    await waitFor('all answers', () => frames.length === 101, 50_000);
  });

  it('cuts off who says nothing', async () => {
    const { listener } = await listen(new SocketTransport({ connectTimeoutMs: 40 }));
    const { frames, cutOff } = await intrude(listener.address);
    await cutOff;
    expect(frames).toEqual([]);
  });

  it('proves nothing to who does not know the token, and never sends it', async () => {
    const { listener } = await listen(new SocketTransport({ token }), 'tcp://127.0.0.1:0');
    const { socket, frames, cutOff } = await intrude(listener.address);
    const said: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => said.push(bytes));
    socket.write(bytesOf(hello(true)));
    await waitFor('the greeting', () => frames.length > 0);
    // Its own nonce, signed with another token.
    const proof = createHmac('sha256', 'guess').update(nonce).digest();
    socket.write(bytesOf([KIND.proof, 0, proof]));
    await cutOff;
    expect(frames.map(([kind]) => kind)).toEqual([KIND.hello, KIND.bye]);
    expect(reasonIn(frames)).toMatchObject({ code: 'CONTRACT_UNAUTHORIZED' });
    expect(Buffer.concat(said).includes(token)).toBe(false);
  });

  it('takes no proof of its own back, nor one of another connection', async () => {
    const { listener } = await listen(new SocketTransport({ token }), 'tcp://127.0.0.1:0');
    const right = (role: string, [, , , , theirs]: Frame): Buffer =>
      createHmac('sha256', token)
        .update(`forge-actors/${PROTOCOL_VERSION}/${role}/`)
        .update(nonce)
        .update(theirs as Buffer)
        .digest();
    const attempt = async (proofOf: (theirs: Frame) => Buffer): Promise<Frame> => {
      const { socket, frames } = await intrude(listener.address);
      socket.write(bytesOf(hello(true)));
      await waitFor('the greeting', () => frames.length > 0);
      socket.write(bytesOf([KIND.proof, 0, proofOf(frames[0]!)]));
      await waitFor('an answer', () => frames.length > 1);
      return frames[1]!;
    };
    let used = Buffer.alloc(0);
    const accepted = await attempt((theirs) => (used = Buffer.from(right('caller', theirs))));
    expect(accepted[0]).toBe(KIND.proof);
    expect((await attempt(() => used))[2]).toBe('CONTRACT_UNAUTHORIZED');
    expect((await attempt((theirs) => right('listener', theirs)))[2]).toBe('CONTRACT_UNAUTHORIZED');
  });
});

describe('a caller', () => {
  async function fake(onSocket: (socket: Socket) => void): Promise<string> {
    const server: Server = createServer((socket) => {
      socket.on('error', () => undefined);
      closing.push(() => socket.destroy());
      onSocket(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => server.close());
    const { port } = server.address() as { port: number };
    return `tcp://127.0.0.1:${port}`;
  }
  const transport = new SocketTransport({ connectTimeoutMs: 100, heartbeat: { intervalMs: 20, misses: 3 } });

  it.each([
    ['speaks HTTP', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'CONTRACT_PROTOCOL_MISMATCH'],
    ['speaks another version', bytesOf(hello(false, 9)), 'CONTRACT_PROTOCOL_MISMATCH'],
    ['has a token', bytesOf(hello(true)), 'CONTRACT_UNAUTHORIZED'],
    ['refuses', bytesOf([KIND.bye, 0, 'CONTRACT_UNAUTHORIZED', 'no']), 'CONTRACT_UNAUTHORIZED'],
    ['says nothing', '', 'TRANSIENT_REPLICA_LOST'],
  ])('does not connect to what %s', async (_what, greeting, code) => {
    const address = await fake((socket) => socket.write(greeting));
    expect(await failure(transport.connect(address))).toMatchObject({ code });
  });

  it('does not connect where nobody listens', async () => {
    for (const address of ['tcp://127.0.0.1:1', 'unix:/nowhere/at/all'])
      expect(await failure(transport.connect(address))).toMatchObject({
        code: 'TRANSIENT_REPLICA_LOST',
        message: /nobody answers at/,
      });
  });

  it('trusts no listener that proves nothing', async () => {
    const address = await fake((socket) => socket.write(bytesOf(hello(true), [KIND.proof, 0, nonce])));
    const error = await failure(new SocketTransport({ token }).connect(address));
    expect(error).toMatchObject({ code: 'CONTRACT_UNAUTHORIZED', message: /another cluster token/ });
  });

  it.each([
    ['noise', Buffer.alloc(100, 0xc1)],
    ['an item in place of a result', bytesOf([KIND.chunk, 1, 'item'])],
    ['an error without a code', bytesOf([KIND.error, 1])],
  ])('tells its calls when the listener sends %s', async (_what, answer) => {
    const address = await fake((socket) => {
      socket.write(bytesOf(hello(false)));
      socket.on('data', (bytes: Buffer) => bytes.includes('echo') && socket.write(answer));
    });
    const channel = await transport.connect(address);
    const error = await failure(channel.call(request('echo')));
    expect(error.code).toMatch(/^CONTRACT_PROTOCOL_MISMATCH|CAPACITY_FRAME_TOO_LARGE$/);
    expect(await channel.lost).toBe(error);
  });

  it('buffers no more than it asked for', async () => {
    const chunks = Array.from({ length: 40 }, (_, i): Frame => [KIND.chunk, 1, i]);
    const address = await fake((socket) => {
      socket.write(bytesOf(hello(false)));
      socket.on('data', (bytes: Buffer) => bytes.includes('flood') && socket.write(bytesOf(...chunks)));
    });
    const channel = await transport.connect(address);
    const iterator = channel.stream(request('flood'))[Symbol.asyncIterator]();
    expect(await iterator.next()).toEqual({ done: false, value: 0 });
    expect(await channel.lost).toMatchObject({ message: /more items than it was asked for/ });
  });

  it('takes a listener that is silent for lost, in the time it was given', async () => {
    const address = await fake((socket) => socket.write(bytesOf(hello(false))));
    const channel = await transport.connect(address);
    expect(await channel.lost).toMatchObject({
      code: 'TRANSIENT_REPLICA_LOST',
      message: /did not answer for 60 ms/,
    });
  });
});

describe('a heartbeat', () => {
  const sleep = (ms: number): unknown => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

  it('takes no peer for lost because our own loop was blocked', async () => {
    const { child, address } = await startPeer({});
    closing.push(() => endPeer(child));
    const transport = new SocketTransport({ heartbeat: { intervalMs: 20, misses: 2 } });
    const channel = await transport.connect(address);
    closing.push(() => channel.close());
    for (let i = 0; i < 5; i++) {
      sleep(200);
      expect(await channel.call(request('echo', i))).toBe(i);
    }
  });

  it('notices a peer whose loop is blocked, unless there is none', async () => {
    const { child, address } = await startPeer({});
    closing.push(() => endPeer(child));
    const patient = await new SocketTransport({ heartbeat: false }).connect(address);
    closing.push(() => patient.close());
    const channel = await new SocketTransport({ heartbeat: { intervalMs: 20, misses: 3 } }).connect(address);
    const [error, answer] = await Promise.all([
      failure(channel.call(request('block', 600))),
      patient.call(request('echo', 'late')),
    ]);
    expect(error).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
    expect(answer).toBe('late');
  });
});

describe('where a SocketTransport listens', () => {
  it('needs a token wherever others may come', async () => {
    const open = mkdtempSync(join(tmpdir(), 'forge-open-'));
    closing.push(() => {
      rmSync(open, { recursive: true });
    });
    chmodSync(open, 0o755);
    for (const at of ['tcp://127.0.0.1:0', `unix:${open}/s`])
      expect(await failure(new SocketTransport().listen(echo, at))).toMatchObject({
        code: 'CONFIG_INVALID',
        message: /token/,
      });
    await listen(new SocketTransport({ token }), `unix:${open}/s`);
  });

  it('is taken over from who is gone, but not from who is there', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'forge-own-'));
    closing.push(() => {
      rmSync(dir, { recursive: true });
    });
    const { child } = await startPeer({ at: `unix:${dir}/s` });
    const transport = new SocketTransport();
    const taken = await failure(transport.listen(echo, `unix:${dir}/s`));
    expect(taken).toMatchObject({ code: 'CONFIG_INVALID', message: /EADDRINUSE/ });
    await endPeer(child);
    const { channel } = await listen(transport, `unix:${dir}/s`);
    expect(await channel.call(request('echo', 1))).toBe(1);
    writeFileSync(join(dir, 'file'), '');
    expect(await failure(transport.listen(echo, `unix:${dir}/file`))).toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  it.each(['unix:relative', 'tcp://host', 'tcp://host:70000', 'http://host:1', `unix:/${'x'.repeat(200)}`])(
    'is no %s',
    async (at) => {
      const error = await failure(new SocketTransport({ token }).listen(echo, at));
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', details: { address: at } });
    },
  );

  it('may be an address of IPv6', async () => {
    const { listener, channel } = await listen(new SocketTransport({ token }), 'tcp://[::1]:0');
    expect(listener.address).toMatch(/^tcp:\/\/\[::1\]:\d+$/);
    expect(await channel.call(request('echo', 1))).toBe(1);
  });
});
