import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import { Policy } from '@forge/rl-actors';
import { createLogger } from '@forge/telemetry';
import { ServedPolicy } from '../services/gateway/src/serving/served-policy';
import { serveModel } from '../services/gateway/src/serving/serve-model';

const model = join(__dirname, '../models/arithmetic');
const CALLS = 512;
const ROUNDS = 5;
const MAX_TOKENS = 48;
const connections = new Agent({ keepAlive: true, maxSockets: 64 });

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

/** Median time of a call in milliseconds, of so many agents that make one after the other. */
async function timeOf(agents: number, call: (prompt: string) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  let next = 0;
  const agent = async (): Promise<void> => {
    while (next < CALLS) {
      const prompt = `${10 + (next++ % 90)}+${10 + (next % 90)}=`;
      const startedAt = performance.now();
      await call(prompt);
      times.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: agents }, agent));
  return median(times);
}

/** Sends by what costs a client least: its share of the time is counted, too. */
function post(url: string, body: object): Promise<void> {
  const text = JSON.stringify(body);
  const headers = { 'content-type': 'application/json', 'content-length': text.length };
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

/** Calls through the gateway against calls of `generate`: clients, gateway and baseline share this process. */
export async function run(): Promise<void> {
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
  // A high temperature never draws an end: all answers are long.
  const sampling = { temperature: 10, maxTokens: MAX_TOKENS };
  const throughGateway = (prompt: string): Promise<void> =>
    post(`${gateway.url}/v1/completions`, { model: 'm', prompt, temperature: 10, max_tokens: MAX_TOKENS });
  for (const agents of [1, 64]) {
    const [gateways, directs]: [number[], number[]] = [[], []];
    for (let round = 0; round <= ROUNDS; round++) {
      const one = await timeOf(agents, (prompt) => direct.generate.callOne(prompt, sampling));
      const other = await timeOf(agents, throughGateway);
      // The first round warms both up.
      if (round === 0) continue;
      directs.push(one);
      gateways.push(other);
    }
    const [d, g] = [median(directs), median(gateways)];
    console.log(
      `${agents} agents: gateway ${g.toFixed(2)} ms, generate ${d.toFixed(2)} ms (p50): ${(g / d).toFixed(2)}x` +
        (agents === 64 ? ' (target: at most 1.15x)' : ''),
    );
  }
  connections.destroy();
  await Promise.all([gateway.close(), policy.close(), direct.stop()]);
}
