import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Completion } from '@forge/contracts';
import { combineRewards } from '@forge/rl';
import { judgeReward, type JudgeOptions } from './judge-reward';
import { says, status, TestJudge, type Answer } from './judge.fixture';
import type { Clock } from './request-budget';

const completion: Completion = {
  text: '',
  promptTokenIds: [1],
  tokenIds: [2],
  logprobs: [-1],
  versions: [0],
  stopReason: 'end',
};
const sample = { id: 's', prompt: '1+1=', answer: '2' };

let server: TestJudge;
/** The time that was waited between attempts. */
let waited: number[];
const clock: Clock = {
  now: () => 0,
  sleep: (ms) => {
    waited.push(ms);
    return Promise.resolve();
  },
};
beforeEach(async () => {
  server = await TestJudge.start();
  waited = [];
});
afterEach(() => server.stop());

const judge = (options: Partial<JudgeOptions> = {}, key: string | null = null) => {
  const reward = judgeReward(
    {
      ...{ url: server.url, model: 'm', minScore: 0, maxScore: 10, maxTokens: 64, timeoutMs: 5_000 },
      ...{ attempts: 3, requestsPerMinute: 1_000, parallel: 8, cacheEntries: 100 },
      ...options,
    },
    key,
    clock,
  );
  return (text: string, of: Parameters<typeof reward.score>[0] = sample) =>
    Promise.resolve(reward.score(of, text, completion));
};

describe('judgeReward', () => {
  it('asks about prompt, answer and completion, with the key, and scales the score', async () => {
    server.willAnswer(says('It is right.\nScore: 8'));
    expect(await judge({}, 'secret')('the answer is {answer}')).toBe(0.8);
    const [{ path, authorization, body }] = server.asked as [(typeof server.asked)[0]];
    expect([path, authorization]).toEqual(['/v1/chat/completions', 'Bearer secret']);
    expect(body).toMatchObject({ model: 'm', temperature: 0, max_tokens: 64 });
    const [{ content }] = body.messages as [{ content: string }];
    expect(content).toContain('Question:\n1+1=\n');
    expect(content).toContain('if there is one:\n2\n');
    // Braces inside a completion are left as they are.
    expect(content).toContain('the answer is {answer}\n');
    expect(content).toContain('from 0 (useless) to 10 (perfect)');
  });

  it('takes a prompt of its own, messages, and other bounds', async () => {
    server.willAnswer(says('"score": 2'));
    const ask = judge({ prompt: 'Q {prompt} A {completion}', minScore: 1, maxScore: 5 });
    const messages = { id: 'm', prompt: [{ role: 'user' as const, content: 'hi' }] };
    expect(await ask('yes', messages)).toBe(0.25);
    expect(server.asked[0]!.body.messages).toEqual([{ role: 'user', content: 'Q user: hi A yes' }]);
    expect(server.asked[0]!.authorization).toBeUndefined();
  });

  it.each<[string, Answer[], number[]]>([
    ['429, for as long as it asks for', [status(429, { 'retry-after': '7' }), says('6')], [7_000]],
    ['500 and 503, longer each time', [status(500), status(503), says('6')], [500, 1_000]],
    ['a connection that breaks', [(response) => response.destroy(), says('6')], [500]],
    [
      'an answer that breaks off',
      [
        (response) => {
          response.writeHead(200, { 'content-length': '99' }).write('{"cho');
          setImmediate(() => response.destroy());
        },
        says('6'),
      ],
      [500],
    ],
    ['a page in place of an answer', [status(200, {}, '<html>'), says('6')], [500]],
    ['an answer without a choice', [status(200, {}, '{"choices": []}'), says('6')], [500]],
    ['an answer without end', [status(200, {}, ' '.repeat(2 ** 21)), says('6')], [500]],
  ])('asks again after %s', async (_, answers, delays) => {
    server.willAnswer(...answers);
    expect(await judge()('x')).toBe(0.6);
    expect(waited).toEqual(delays);
  });

  it('asks again when there is no answer in time', async () => {
    server.willAnswer(() => undefined, says('6'));
    expect(await judge({ timeoutMs: 300 })('x')).toBe(0.6);
    server.willAnswer((response) => void response.writeHead(200).write('{'), says('7'));
    expect(await judge({ timeoutMs: 300 })('x')).toBe(0.7);
  });

  it.each<[string, Answer, string]>([
    ['says 429', status(429), 'answers 429, after 3 attempts'],
    ['breaks off', (response) => response.destroy(), 'does not answer ('],
    ['asks for an hour', status(503, { 'retry-after': '3600' }), 'answers 503, after 1 attempt;'],
  ])('has no reward, not 0, from a judge that always %s', async (_, answer, message) => {
    server.willAnswer(answer);
    const all = combineRewards([
      { reward: { name: 'judge', score: (s, text) => judge()(text, s) }, weight: 1 },
    ]);
    await expect(all.score(sample, completion)).rejects.toMatchObject({
      code: 'TRANSIENT_JUDGE_UNREACHABLE',
      retryClass: 'transient',
      message: expect.stringContaining(message) as string,
    });
  });

  it('goes through the proxy that the environment names, but not to the hosts of NO_PROXY', async () => {
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
    const { port } = proxy.address() as AddressInfo;
    Object.assign(process.env, { HTTP_PROXY: `http://127.0.0.1:${port}`, NO_PROXY: '127.0.0.1' });
    try {
      server.willAnswer(says('Score: 10'));
      expect(await judge({ url: 'http://judge.invalid/v1' })('x')).toBe(1);
      expect(proxied).toEqual(['judge.invalid:80']);
      expect(await judge()('x')).toBe(1);
      expect(proxied).toHaveLength(1);
    } finally {
      process.env = before;
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    }
  });

  it('has none from a judge that is not there', async () => {
    const { url } = server;
    await server.stop();
    server = await TestJudge.start();
    await expect(judge({ url })('x')).rejects.toMatchObject({
      code: 'TRANSIENT_JUDGE_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
  });

  it.each<[string, Answer, string, string]>([
    ['its key', status(401, {}, 'bad key sec***'), 'CONTRACT_UNAUTHORIZED', 'does not take the key in A_KEY'],
    ['its model', status(404, {}, 'no model m'), 'CONFIG_INVALID', 'answers 404: no model m; correct url'],
    ['its request', status(400, {}, 'max_tokens'), 'CONFIG_INVALID', 'answers 400: max_tokens'],
    ['its address', status(302, { location: 'http://127.0.0.1:1/' }), 'CONFIG_INVALID', 'answers 302'],
  ])('says at once that %s is refused', async (_, answer, code, message) => {
    server.willAnswer(answer);
    const error = await judge({ apiKeyEnv: 'A_KEY' }, 'secret')('x').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
    expect((error as Error).message).not.toContain('sec***');
    expect([server.asked.length, waited]).toEqual([1, []]);
  });

  it.each([['no idea'], [''], [null], ['Score: 11'], ['Score: -1'], ['7 or 8'], ['Score: high']])(
    'refuses the reply %p, unless it says what that is worth',
    async (reply) => {
      server.willAnswer(says(reply));
      await expect(judge()('x')).rejects.toMatchObject({
        code: 'CONTRACT_JUDGE_UNREADABLE',
        retryClass: 'fatal',
        details: { sampleId: 's' },
      });
      expect(await judge({ unreadableReward: 0.25 })('x')).toBe(0.25);
    },
  );

  it.each([
    ['Score: 3 at first. **Score:** 4/10', 0.4],
    ['{"why": "ok", "score": 4.0}', 0.4],
    ['score = `4`', 0.4],
    [' 10\n', 1],
  ])('reads %p', async (reply, reward) => {
    server.willAnswer(says(reply));
    expect(await judge()('x')).toBe(reward);
  });

  it('asks the same once, also while it is under way, and what failed again', async () => {
    const ask = judge({ attempts: 1 });
    server.willAnswer(status(500), says('6'));
    await expect(ask('x')).rejects.toMatchObject({ code: 'TRANSIENT_JUDGE_UNREACHABLE' });
    expect(await Promise.all([ask('x'), ask('x'), ask('y')])).toEqual([0.6, 0.6, 0.6]);
    expect(await ask('x')).toBe(0.6);
    expect(server.asked.length).toBe(3);
  });

  it('keeps so many replies and no more', async () => {
    const ask = judge({ cacheEntries: 2 });
    for (const text of ['a', 'b', 'a', 'c', 'a', 'b']) await ask(text);
    expect(server.asked.length).toBe(4);
    const forgetful = judge({ cacheEntries: 0 });
    for (const text of ['d', 'd']) await forgetful(text);
    expect(server.asked.length).toBe(6);
  });
});
