import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OpenEnvConfig } from '@forge/config';
import { waitFor } from '@forge/testing';
import { GUESS } from './recorded.fixture';
import { environmentAt, play } from './scripted.fixture';
import { breakOff, fails, hangUp, recorded, says, silence, StandIn, type Answer } from './stand-in.fixture';

let server: StandIn;
beforeEach(async () => {
  server = await StandIn.start(GUESS);
});
// Every test leaves the server without a session, whatever became of its rollouts.
afterEach(() => server.stop());

const environment = (...[options, more]: [Partial<OpenEnvConfig>?, { key?: string; pingMs?: number }?]) =>
  environmentAt(server.url, options, more);

describe('a fault of the server', () => {
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
    server = await StandIn.start(GUESS);
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
    server = await StandIn.start(GUESS, { autoPong: false });
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
