import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { hasTlsRedis, startGuardedRedis, type GuardedRedis } from '@forge/testing';

const DIST = JSON.stringify(join(__dirname, '../../dist'));
const PASSWORD = 'p@ss/w:rd?1';

/** Every class that talks to Redis does what it is for; Redis is restarted in between. */
const USE_ALL = `
  const { connectRedis, expireRun, Mailbox, redisMemory, Registry, removeOrphans, removeRun, openRolloutQueue, RunState } = require(${DIST});
  (async () => {
    const url = process.env.URL;
    const redis = await connectRedis(url, { name: 'test', giveUpAfterMs: 20000, onWait: console.error });
    await redisMemory(redis);
    await removeOrphans(redis);
    const run = new RunState(redis, 'run');
    await run.create({ some: 'recipe' }, { maxStaleness: 0, candidatesPerBatch: 2, steps: 3 });
    const registry = new Registry(redis, 'run');
    await registry.heartbeat({ service: 's', replica: '0', url: 'u', pid: 1, isReady: true, answers: null, callsMade: [] });
    const reading = run.readGroups('buffer', 1, 20000);
    const waiting = run.waitForSignal('0', 20000);
    const queue = await openRolloutQueue(url, 'run');
    const done = new Promise((resolve, reject) =>
      queue.work({ name: 'w', concurrency: 1, handler: async (job) => resolve(job.index), onFailed: async (f) => reject(new Error(f.message)), onError: () => undefined }));
    process.once('message', async () => {
      const [admitted] = await run.admit(1);
      await queue.add([{ kind: 'rollout', schemaVersion: 1, index: admitted.index, minVersion: 0, sample: { id: 's', prompt: 'p' } }]);
      await run.publishGroup(await done, Buffer.from('payload'));
      const [group] = await reading;
      await run.setPhase('stopping');
      await waiting;
      await run.deadLetters.keep('j-1', 'job', { code: 'CANCELLED', message: 'm', attempts: 1, payload: '' });
      const answer = { payload: group.payload.toString(), letters: (await run.deadLetters.counts()).kept, jobs: typeof (await queue.counts()).waiting, ledger: (await run.ledger()).isBalanced, snapshot: (await run.ledgerSnapshot()) !== null };
      await run.expire(1000);
      await queue.close();
      await removeRun(redis, 'run');
      console.log(JSON.stringify(answer));
      process.exit();
    });
    process.send('ready');
  })().catch((error) => { console.log(error.code, error.message); process.exit(1); });`;

const CONNECT = `
  const { connectRedis } = require(${DIST});
  connectRedis(process.env.URL, { name: 'test', giveUpAfterMs: 20000, onWait: console.error })
    .then(() => console.log('connected'), (error) => console.log(error.code, error.message, JSON.stringify(error.details)))
    .then(() => process.exit());`;

(hasTlsRedis ? describe : describe.skip)(
  'a Redis with TLS and users (needs redis-server and openssl)',
  () => {
    let server: GuardedRedis;
    beforeAll(async () => {
      server = await startGuardedRedis('worker', PASSWORD);
    });
    afterAll(() => server.stop());

    function client(script: string, url: string, caFile?: string) {
      const child = spawn(process.execPath, ['-e', script], {
        env: { ...process.env, URL: url, NODE_EXTRA_CA_CERTS: caFile },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      });
      let said = '';
      for (const stream of [child.stdout!, child.stderr!])
        stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
      const ended = new Promise<string>((resolve) => child.once('close', () => resolve(said)));
      return { child, ended };
    }

    it('serves all that talks to Redis, also after a lost connection, to a user with few rights', async () => {
      const { child, ended } = client(USE_ALL, server.url, server.caFile);
      await Promise.race([new Promise((resolve) => child.once('message', resolve)), ended]);
      await server.restart();
      if (child.connected) child.send('go');
      const said = await ended;
      expect([said.startsWith('{') ? JSON.parse(said) : said]).toEqual([
        { payload: 'payload', letters: 1, jobs: 'number', ledger: true, snapshot: true },
      ]);
    });

    it.each([
      [
        'another password',
        (url: string) => url.replace(encodeURIComponent(PASSWORD), 'wrong'),
        true,
        /is not for us: WRONGPASS .* set user and password by REDIS_URL/,
      ],
      ['no password', (url: string) => url.replace(/\/\/.*@/, '//'), true, /is not for us: NOAUTH/],
      [
        'an authority it does not know',
        (url: string) => url,
        false,
        /is not for us: self-signed certificate; .*NODE_EXTRA_CA_CERTS/,
      ],
      [
        'a name that is not in the certificate',
        (url: string) => url.replace('localhost', '127.0.0.1'),
        true,
        /altnames/,
      ],
    ])('is refused to %s with one word, at once', async (_, change, knowsCa, message) => {
      const url = change(server.url);
      const { ended } = client(CONNECT, url, knowsCa ? server.caFile : undefined);
      const startedAt = performance.now();
      const said = await ended;
      expect(said).toMatch(/^CONTRACT_UNAUTHORIZED Redis at rediss:\/\/\S+:\d+ /);
      expect(said).toMatch(message);
      expect(said.trim().split('\n')).toHaveLength(1);
      expect(said).not.toMatch(/worker|wrong["\s]|p@ss|p%40ss/);
      // Far from the 20 s that a Redis which is away gets.
      expect(performance.now() - startedAt).toBeLessThan(15_000);
    });
  },
);
