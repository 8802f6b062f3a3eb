import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import type { OpenEnvConfig } from '@forge/config';
import { hasOpenssl, selfSigned } from '@forge/testing';
import { DOOR, GUESS, SHOP } from './recorded.fixture';
import { call, environmentAt, play } from './scripted.fixture';
import { breakOff, recorded, StandIn } from './stand-in.fixture';

let server: StandIn;
const serve = async (...given: Parameters<typeof StandIn.start>) => (server = await StandIn.start(...given));
// Every test leaves the server without a session, whatever became of its rollouts.
afterEach(() => server.stop());

const environment = (options: Partial<OpenEnvConfig> = {}, key: string | null = null) =>
  environmentAt(server.url, options, { key });
const told = (played: { messages: { content: string }[] }[]) =>
  played[0]!.messages.map(({ content }) => content);

describe('an environment over the wire', () => {
  beforeEach(() => serve(GUESS));

  it('plays an episode: reset, an action for each answer, and the rewards of its steps', async () => {
    const { played, episodes } = await play(environment(), (turn) => ['is it 7?', '42'][turn]!);
    expect(told(played)).toEqual(['Find the number.\n\nGuess.', 'is it 7?', 'higher', '42']);
    expect(episodes[0]!.rewards).toEqual({ openenv: 0.875 });
    expect(server.asked).toEqual([
      { type: 'reset', data: { seed: expect.any(Number) as number } },
      { type: 'step', data: { number: 7 } },
      { type: 'step', data: { number: 42 } },
    ]);
  });

  it('gives a group one seed, and what the recipe says of the sample', async () => {
    const reset = { number: '{answer}', level: 2, task: '{id}: {prompt} {other}' };
    await play(environment({ reset }), () => '42', { groupSize: 3 });
    const resets = server.asked.flatMap(({ type, data }) => (type === 'reset' ? [data] : []));
    expect(new Set(resets.map(({ seed }) => seed)).size).toBe(1);
    expect(resets).toHaveLength(3);
    expect(resets[0]).toMatchObject({ number: '42', level: 2, task: 's1: Find the number. {other}' });
  });

  it('tells the model what is wrong with its action, and goes on', async () => {
    const { played, episodes } = await play(environment(), (turn) => ['no idea', '100', '42'][turn]!);
    expect(told(played).slice(2)).toEqual([
      'Error: number: expected a number',
      '100',
      'Error: invalid action: number: Input should be less than or equal to 99',
      '42',
    ]);
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
  });

  it('takes an error of the environment as a failed rollout, or tells the model where the recipe says so', async () => {
    const script = (turn: number) => ['13', '42'][turn]!;
    await expect(play(environment(), script)).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message: `environment 'openenv' for sample 's1': ${server.url}: EXECUTION_ERROR: bad luck`,
    });
    const { played, episodes } = await play(environment({ actionErrors: 'tell' }), script);
    expect(told(played)[2]).toBe('Error: bad luck');
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
  });

  it('sends its key with every request, and none without', async () => {
    await play(environment({}, 'secret'), () => '42');
    expect(server.headers.map(({ authorization }) => authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
    ]);
    await play(environment(), () => '42');
    expect(server.headers.slice(2).map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });
});

describe('the way to the server', () => {
  const before = { ...process.env };
  let proxied: string[];
  let tunnels: Duplex[];
  let proxy: Server;
  beforeEach(async () => {
    proxied = [];
    tunnels = [];
    proxy = createServer().on('connect', ({ url }, socket) => {
      proxied.push(url!);
      const upstream = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      tunnels.push(socket, upstream);
      for (const end of [upstream, socket]) end.on('error', () => undefined);
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    Object.assign(process.env, { HTTP_PROXY: address, NO_PROXY: '127.0.0.1' });
  });
  afterEach(async () => {
    process.env = { ...before };
    for (const tunnel of tunnels) tunnel.destroy();
    await new Promise((resolve) => proxy.close(resolve));
  });

  it('is the proxy of the environment, but not to the hosts of NO_PROXY', async () => {
    await serve(GUESS);
    const { episodes } = await play(environment({ url: 'http://games.invalid' }), () => '42');
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
    expect(proxied).toEqual(['games.invalid:80', 'games.invalid:80']);
    await play(environment(), () => '42');
    expect(proxied).toHaveLength(2);
  });

  (hasOpenssl ? it : it.skip)(
    'is encrypted for https, also through a proxy, and trusts no unknown authority',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'forge-openenv-'));
      const { certFile, keyFile } = selfSigned(dir);
      await serve(GUESS, {
        tls: { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') },
      });
      const url = server.url.replace('127.0.0.1', 'localhost');
      await expect(play(environment({ url, attempts: 1 }), () => '42')).rejects.toThrow(
        'does not answer (DEPTH_ZERO_SELF_SIGNED_CERT), after 1 attempt',
      );
      proxied.length = 0;
      // Certificates to trust are read when a process starts.
      const plays = `
      const { rolloutSchema } = require('@forge/config');
      const { openEnv } = require('./dist/openenv/openenv-environment');
      const { play } = require('./dist/openenv/scripted.fixture');
      const { environment } = rolloutSchema.parse({ environment: { name: 'openenv', url: '${url}' } });
      play(openEnv(environment, 'secret'), () => '42').then(({ episodes }) => console.log(episodes[0].rewards.openenv));`;
      const env = {
        ...process.env,
        NODE_EXTRA_CA_CERTS: certFile,
        HTTPS_PROXY: process.env.HTTP_PROXY,
        NO_PROXY: '',
      };
      const { stdout } = await promisify(execFile)('node', ['-e', plays], {
        cwd: join(__dirname, '../..'),
        env,
      });
      expect(stdout).toBe('1\n');
      expect(proxied).toEqual(Array(2).fill(new URL(url).host));
      rmSync(dir, { recursive: true });
    },
  );
});

describe('actions by calls', () => {
  it('offers one tool with the fields of the action', async () => {
    await serve(DOOR);
    const { played, episodes } = await play(
      environment({ action: 'calls' }),
      (turn) =>
        [
          [call('act', { side: 'left', times: 2 }), call('act', { side: 'up' })],
          [call('act', { side: 'left' }), call('act', { side: 'left' })],
        ][turn]!,
    );
    expect(played[0]!.tools).toEqual(['act']);
    expect(told(played)).toEqual([
      'Find the number.\n\n{"is_open":false,"pulled":0}',
      '',
      '{"is_open":false,"pulled":2}',
      "Error: invalid action: side: Input should be 'left' or 'right'",
      '',
    ]);
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
    // Nothing is sent once the episode is over.
    expect(server.asked).toHaveLength(4);
  });

  it("offers the tools of an MCP server, whose calls are worth the server's rewards and may end the episode", async () => {
    await serve(SHOP);
    const { played, episodes } = await play(
      environment(),
      (turn) =>
        [
          [call('price', { fruit: 'apple' }), call('price', { fruit: 'x' })],
          [call('cost', {})],
          [call('buy', { fruit: 'pear' })],
        ][turn]!,
    );
    expect(played[0]!.tools).toEqual(['price', 'buy']);
    expect(told(played)).toEqual([
      'Find the number.',
      '',
      '{"fruit":"apple","price":3}',
      "Error: Error calling tool 'price': 'x'",
      '',
      "Error: there is no tool 'cost', only price, buy",
      '',
    ]);
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
    expect(server.asked.map(({ data }) => data.type)).toEqual([
      undefined,
      'list_tools',
      ...Array<string>(3).fill('call_tool'),
    ]);
  });

  it('ends with an answer without a call', async () => {
    await serve(SHOP);
    const { played, episodes } = await play(environment(), () => 'I need nothing.');
    expect(told(played)).toEqual(['Find the number.', 'I need nothing.']);
    expect(episodes[0]!.rewards).toEqual({ openenv: 0 });
  });

  it('fails, and tells the model nothing, where the server breaks off in a call', async () => {
    await serve(SHOP);
    server.willAnswer(recorded, recorded, breakOff);
    const playing = play(environment(), () => [call('buy', { fruit: 'pear' })]);
    await expect(playing).rejects.toMatchObject({ code: 'TRANSIENT_ENVIRONMENT_FAILED' });
  });
});
