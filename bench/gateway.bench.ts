import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { connectRedis, Registry } from '@forge/broker';
import { runPaths } from '@forge/contracts';
import { Policy } from '@forge/rl-actors';
import { createLogger } from '@forge/telemetry';
import { waitFor } from '@forge/testing';
import { recipeElsewhere } from '../e2e/agents-elsewhere';
import { ForgeRun } from '../e2e/chaos/forge-run';
import { ServedPolicy } from '../services/gateway/src/serving/served-policy';
import { serveModel } from '../services/gateway/src/serving/serve-model';

const model = join(__dirname, '../models/arithmetic');
const CALLS = 512;
const AGENTS = 64;
const ROUNDS = 5;
const MAX_TOKENS = 48;
const connections = new Agent({ keepAlive: true, maxSockets: AGENTS });

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

/** Median time of a call in milliseconds, of so many agents that make one after the other. */
async function timeOf(
  agents: number,
  call: (prompt: string, number: number) => Promise<unknown>,
): Promise<number> {
  const times: number[] = [];
  let next = 0;
  const agent = async (): Promise<void> => {
    while (next < CALLS) {
      const number = next++;
      const prompt = `${10 + (number % 90)}+${10 + ((number + 1) % 90)}=`;
      const startedAt = performance.now();
      await call(prompt, number);
      times.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: agents }, agent));
  return median(times);
}

/** Sends by what costs a client least: its share of the time is counted, too. */
function post(url: string, body: object, key = ''): Promise<void> {
  const text = JSON.stringify(body);
  const headers = {
    'content-type': 'application/json',
    'content-length': text.length,
    authorization: `Bearer ${key}`,
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent: connections, headers }, (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`the gateway answers ${response.statusCode}`));
      });
    });
    sent.once('error', reject).end(text);
  });
}

/** A way to make a call. */
type Call = (prompt: string, number: number) => Promise<unknown>;

/** Median time of calls made one way and the other, by turns. */
async function compare(name: string, direct: Call, through: Call): Promise<void> {
  for (const agents of [1, AGENTS]) {
    const [throughs, directs]: [number[], number[]] = [[], []];
    for (let round = 0; round <= ROUNDS; round++) {
      const one = await timeOf(agents, direct);
      const other = await timeOf(agents, through);
      // The first round warms both up.
      if (round === 0) continue;
      directs.push(one);
      throughs.push(other);
    }
    const [d, t] = [median(directs), median(throughs)];
    console.log(
      `${agents} agents: ${name} ${t.toFixed(2)} ms, generate ${d.toFixed(2)} ms (p50): ${(t / d).toFixed(2)}x` +
        (agents === AGENTS ? ' (target: at most 1.15x)' : ''),
    );
  }
}

/** Calls of a served model: clients, gateway and baseline share this process. */
async function servedCalls(): Promise<void> {
  const worker = { model, threads: 1 };
  const direct = await thisProc().spawn('direct', Policy, { worker });
  const policy = await ServedPolicy.open(worker);
  const logger = createLogger({ service: 'gateway', level: 'silent' });
  const gateway = await serveModel({
    policy,
    names: ['m'],
    host: '127.0.0.1',
    port: 0,
    apiKey: null,
    logger,
  });
  // A high temperature hardly ever draws an end: answers are long.
  const sampling = { temperature: 10, maxTokens: MAX_TOKENS };
  await compare(
    'gateway',
    (prompt) => direct.generate.callOne(prompt, sampling),
    (prompt) =>
      post(`${gateway.url}/v1/completions`, { model: 'm', prompt, temperature: 10, max_tokens: MAX_TOKENS }),
  );
  await Promise.all([gateway.close(), policy.close(), direct.stop()]);
}

/** Calls of sessions of a run, with all its processes: each is kept in Redis before it is answered. */
async function sessionCalls(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-bench-'));
  const recipe = recipeElsewhere(dir, {
    algorithm: { name: 'grpo', groupSize: AGENTS },
    rollout: { sessions: true, maxTurns: 10_000 },
    sampling: { temperature: 10, maxTokens: MAX_TOKENS },
    policy: { replicas: 1, threads: 1 },
  });
  const direct = await thisProc().spawn('direct', Policy, { worker: { model: recipe.model, threads: 1 } });
  const run = await ForgeRun.start(dir, recipe);
  const redis = await connectRedis(run.redisUrl, { name: 'bench', giveUpAfterMs: 5_000 });
  try {
    await waitFor('every service', () => run.isUp(), 60_000);
    const [url] = (await new Registry(redis, run.runId).gatewayAddresses()) as [string];
    const token = readFileSync(runPaths(run.runDir).gatewayToken, 'utf8').trim();
    const taken = await fetch(`${url}/rl/start_session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{}',
    });
    const { sessions } = (await taken.json()) as { sessions: { session_api_key: string }[] };
    const messagesOf = (prompt: string) => [{ role: 'user' as const, content: prompt }];
    await compare(
      'session',
      (prompt) => direct.generate.callOne(messagesOf(prompt), recipe.sampling),
      (prompt, number) =>
        post(
          `${url}/v1/chat/completions`,
          { model: 'm', messages: messagesOf(prompt) },
          sessions[number % AGENTS]!.session_api_key,
        ),
    );
  } finally {
    redis.disconnect();
    run.kill();
    await direct.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Calls through a gateway against calls of `generate`. */
export async function run(): Promise<void> {
  await servedCalls();
  await sessionCalls();
  connections.destroy();
}
