import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { rolloutSchema, type OpenEnvConfig } from '@forge/config';
import { waitFor } from '@forge/testing';
import { openEnv } from './openenv-environment';
import { DOOR, GUESS, SHOP } from './recorded.fixture';
import { call, play } from './scripted.fixture';
import { breakOff, fails, hangUp, recorded, says, silence, StandIn, type Answer } from './stand-in.fixture';

let server: StandIn;
const serve = async (...given: Parameters<typeof StandIn.start>) => (server = await StandIn.start(...given));
afterEach(async () => {
  // Every test leaves the server without a session, whatever became of its rollouts.
  await waitFor('no session', () => server.open === 0);
  await server.stop();
});

/** The environment of a recipe that names the server. */
function environment(
  options: Partial<OpenEnvConfig> = {},
  { key = null as string | null, pingMs = 20_000 } = {},
) {
  const given = { name: 'openenv', url: server.url, ...options };
  const config = rolloutSchema.parse({ environment: given }).environment as OpenEnvConfig;
  return openEnv(config, key, pingMs);
}

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
    await play(environment({}, { key: 'secret' }), () => '42');
    expect(server.headers.map(({ authorization }) => authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
    ]);
    await play(environment(), () => '42');
    expect(server.headers.slice(2).map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });

  it('goes through the proxy of the environment, but not to the hosts of NO_PROXY', async () => {
    const before = { ...process.env };
    const proxied: string[] = [];
    const proxy = createServer().on('connect', ({ url }, socket) => {
      proxied.push(url!);
      const upstream = connect(Number(new URL(server.url).port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [upstream, socket]) end.on('error', () => undefined);
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    Object.assign(process.env, { HTTP_PROXY: address, NO_PROXY: '127.0.0.1' });
    try {
      const { episodes } = await play(environment({ url: 'http://games.invalid' }), () => '42');
      expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
      expect(proxied).toEqual(['games.invalid:80', 'games.invalid:80']);
      await play(environment(), () => '42');
      expect(proxied).toHaveLength(2);
    } finally {
      process.env = before;
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    }
  });
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

describe('a fault of the server', () => {
  beforeEach(() => serve(GUESS));
  const rejected = (playing: Promise<unknown>) => playing.catch((error: unknown) => error);

  it.each<[string, Answer, string, string]>([
    [
      'closes',
      hangUp,
      'TRANSIENT_ENVIRONMENT_FAILED',
      'closed the connection (1012) in the middle of an episode',
    ],
    [
      'breaks off',
      breakOff,
      'TRANSIENT_ENVIRONMENT_FAILED',
      'closed the connection (1006) in the middle of an episode',
    ],
    [
      'says nothing',
      silence,
      'TRANSIENT_ENVIRONMENT_FAILED',
      'says nothing to step within 300 ms in the middle of an episode',
    ],
    [
      'loses the session',
      fails('SESSION_ERROR', 'gone'),
      'TRANSIENT_ENVIRONMENT_FAILED',
      'SESSION_ERROR: gone',
    ],
    ['knows another protocol', fails('UNKNOWN_TYPE'), 'CONTRACT_INVALID_MESSAGE', 'UNKNOWN_TYPE: no'],
    ['says no JSON', says('{"type'), 'CONTRACT_INVALID_MESSAGE', 'found {"type, expected an observation'],
    [
      'gives no number as reward',
      says('{"type":"observation","data":{"observation":{},"reward":NaN}}'),
      'CONTRACT_INVALID_MESSAGE',
      'NaN',
    ],
    [
      'says too much',
      says(`{"type": "${'x'.repeat(2 ** 21)}"}`),
      'CAPACITY_FRAME_TOO_LARGE',
      'a message of more than 1048576 bytes; raise maxMessageMb',
    ],
    [
      'finds the observation invalid, not the action',
      says(
        '{"type":"error","data":{"message":"Invalid message","code":"VALIDATION_ERROR","errors":[{"loc":["hint"],"msg":"Field required"}]}}',
      ),
      'TRANSIENT_ENVIRONMENT_FAILED',
      'VALIDATION_ERROR: Invalid message',
    ],
  ])('is no reward, but an error: it %s', async (_, fault, code, message) => {
    server.willAnswer(recorded, recorded, fault);
    const playing = play(environment({ timeoutMs: 300, maxMessageMb: 1 }), (turn) => ['7', '42'][turn]!);
    await expect(playing).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
    // An episode that has begun is never begun again behind the model's back.
    expect(server.asked.filter(({ type }) => type === 'reset')).toHaveLength(1);
  });

  it('begins an episode again that broke off as it began', async () => {
    server.willAnswer(breakOff, hangUp);
    server.refusals = [503];
    const { episodes } = await play(environment(), () => '42');
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
    expect(
      new Set(server.asked.flatMap(({ data }) => (data.seed === undefined ? [] : [data.seed]))).size,
    ).toBe(1);
  });

  it('gives a server up that is not there', async () => {
    const gone = environment({ attempts: 2 });
    await server.stop();
    await serve(GUESS);
    await expect(play(gone, () => '42')).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message: expect.stringMatching(/does not answer \(ECONNREFUSED\), after 2 attempts/) as string,
    });
  });

  it('waits no longer for a connection than it may', async () => {
    const deaf = createServer().on('upgrade', (_request, socket) =>
      socket.on('end', () => socket.end()).resume(),
    );
    deaf.on('request', (_request, response) => response.end(JSON.stringify({ action: GUESS.action })));
    await once(deaf.listen(0, '127.0.0.1'), 'listening');
    const url = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    const error = await rejected(play(environment({ url, connectTimeoutMs: 200, attempts: 1 }), () => '42'));
    expect((error as Error).message).toContain('does not answer (nothing within 200 ms), after 1 attempt');
    deaf.closeAllConnections();
    await new Promise((resolve) => deaf.close(resolve));
  });

  it.each([
    [401, 'CONTRACT_UNAUTHORIZED', 'it does not take the key in GAMES_KEY'],
    [404, 'CONFIG_INVALID', 'answers 404 to /schema; correct url'],
  ])('says at once that it is refused by %i', async (status, code, message) => {
    server.status = status;
    const error = await rejected(
      play(environment({ apiKeyEnv: 'GAMES_KEY' }, { key: 'secret' }), () => '42'),
    );
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect(server.headers).toHaveLength(1);
  });

  it('notices between two actions that nobody is there any more', async () => {
    await server.stop();
    await serve(GUESS, { autoPong: false });
    const playing = play(environment({}, { pingMs: 20 }), async () => {
      await waitFor('no session', () => server.open === 0);
      return '42';
    });
    await expect(playing).rejects.toMatchObject({
      code: 'TRANSIENT_ENVIRONMENT_FAILED',
      message: expect.stringContaining('answers no ping for 60 ms in the middle of an episode') as string,
    });
  });

  it('keeps a session through a long answer while pings are answered', async () => {
    const { episodes } = await play(environment({}, { pingMs: 10 }), async () => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      return '42';
    });
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
  });

  it('leaves the server when nobody waits for the rollout any more', async () => {
    const ending = new AbortController();
    server.willAnswer(recorded, silence);
    const playing = play(environment(), () => '42', { signal: ending.signal });
    await waitFor('an action', () => server.asked.length === 2);
    ending.abort(new Error('enough'));
    await expect(playing).rejects.toThrow('enough');
  });
});

describe('a server that is full', () => {
  beforeEach(() => serve(GUESS));

  it.each([1, 3])(
    'plays a group of 8 at one of %i sessions, and asks for no more than it has',
    async (sessions) => {
      server.sessions = sessions;
      const environments = environment();
      const groups = await Promise.all(
        [8, 4].map((groupSize) => play(environments, () => '42', { groupSize })),
      );
      expect(groups.map(({ episodes }) => episodes.map(({ rewards }) => rewards.openenv))).toEqual([
        Array(8).fill(1),
        Array(4).fill(1),
      ]);
      expect(server.most).toBe(sessions);
      const before = server.headers.length;
      await play(environments, () => '42', { groupSize: 8 });
      expect(server.headers.length - before).toBe(8);
    },
  );

  it('waits for a place that others hold, and gives up after fullWaitMs', async () => {
    server.sessions = 0;
    const waiting = play(environment(), () => '42');
    await waitFor('two refusals', () => server.headers.length >= 3);
    server.sessions = 1;
    expect((await waiting).episodes[0]!.rewards).toEqual({ openenv: 1 });
    server.sessions = 0;
    await expect(play(environment({ fullWaitMs: 0 }), () => '42')).rejects.toMatchObject({
      code: 'CAPACITY_ENVIRONMENT_FULL',
      retryClass: 'transient',
      message: expect.stringContaining('no place for another episode within fullWaitMs (0 ms)') as string,
    });
  });
});
