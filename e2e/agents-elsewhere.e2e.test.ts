import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry, connectRedis, type Redis } from '@forge/broker';
import { recipeSchema, type Recipe } from '@forge/config';
import { decode, groupSchema, runPaths, type Group } from '@forge/contracts';
import { TrainingRecord } from '@forge/rl-actors';
import { seededRandom, waitFor } from '@forge/testing';
import { transpileModule, ModuleKind } from 'typescript';
import { parse } from 'yaml';
import { AgentTeam } from './agent-team';
import { ForgeRun } from './chaos/forge-run';
import { sendRequests } from './fuzz/http-target';
import { growth } from './fuzz/tally';

jest.setTimeout(300_000);

const root = join(__dirname, '..');
const AGENTS = 4;
const HOSTILE = 400;
const PATHS = [
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

const page = readFileSync(join(root, 'docs/agents.md'), 'utf8');

/** A file of docs/agents.md. */
function fileOfPage(name: string): string {
  return new RegExp(`^\`\`\`\\w+\\n(?://|#) ${name}\\n(.*?)^\`\`\`$`, 'ms').exec(page)![1]!;
}

/** The run of the page whose rollouts agents elsewhere make, of a model that calls a calculator at times. */
function recipeOf(dir: string): Recipe {
  return recipeSchema.parse({
    ...(parse(fileOfPage('elsewhere.yaml')) as object),
    ...{ seed: 5, model: join(root, 'models/agent'), steps: 10_000 },
    task: { kind: 'dataset', path: join(dir, 'products.jsonl'), answerField: 'answer' },
    rollout: { sessions: true, timeLimitMs: 30_000 },
    algorithm: { name: 'grpo', groupSize: 2 },
    batch: { groups: 4 },
    sampling: { temperature: 1, maxTokens: 16 },
    rewards: [{ name: 'exact' }],
    reference: { replicas: 0 },
    policy: { replicas: 2, chunk: 2 },
    limits: { restartsPerMinute: 60 },
    output: { dir: join(dir, 'runs'), record: true },
  });
}

describe('agents that run elsewhere', () => {
  let dir: string;
  let run: ForgeRun;
  let redis: Redis;
  let registry: Registry;
  let address: string;
  let token: string;
  let team: AgentTeam;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'forge-elsewhere-'));
    const products = Array.from(
      { length: 200 },
      (_, i) => [100 + ((i * 37) % 900), 10 + ((i * 7) % 90)] as const,
    );
    const line = ([a, b]: readonly [number, number]) =>
      JSON.stringify({ question: `${a}*${b}=`, answer: String(a * b) });
    writeFileSync(join(dir, 'products.jsonl'), products.map(line).join('\n'));
    run = await ForgeRun.start(dir, recipeOf(dir));
    redis = await connectRedis(run.redisUrl, { name: 'test', giveUpAfterMs: 5_000 });
    await waitFor('every service', () => run.isUp(), 60_000);
    registry = new Registry(redis, run.runId);
    address = (await registry.gatewayAddress())!;
    const file = runPaths(run.runDir).gatewayToken;
    expect(statSync(file).mode & 0o777).toBe(0o600);
    token = readFileSync(file, 'utf8').trim();
    team = new AgentTeam(address, token);
  });
  afterAll(() => {
    redis.disconnect();
    run.kill();
    rmSync(dir, { recursive: true, force: true });
  });

  const stepsMore = async (steps: number): Promise<void> => {
    const from = await run.runState.version();
    await waitFor(`${steps} more steps`, async () => (await run.runState.version()) >= from + steps, 120_000);
  };
  /** Kills one process of a kind while calls are under way. */
  const killAmidCalls = async (kind: 'gateway' | 'policy'): Promise<void> => {
    await waitFor('calls under way', () => team.underWay > 0, 30_000);
    const [victim] = await run.parts(kind);
    process.kill(victim!.pid, 'SIGKILL');
  };

  it('take a group, call and are rewarded as docs/agents.md shows it', async () => {
    const text = fileOfPage('elsewhere.ts').replace('http://127.0.0.1:8000', address);
    const { outputText } = transpileModule(text, { compilerOptions: { module: ModuleKind.ESNext } });
    // Packages are found from there.
    const file = join(root, '.forge', `elsewhere-${process.pid}.mjs`);
    mkdirSync(join(root, '.forge'), { recursive: true });
    writeFileSync(file, outputText);
    await waitFor('a group that waits', async () => (await redis.zcard(run.runState.keys.sessionOffers)) > 0);
    const env = { ...process.env, FORGE_GATEWAY_TOKEN: token };
    const child = spawn(process.execPath, [file], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    const [status] = (await once(child, 'close')) as [number];
    rmSync(file);
    expect(status).toBe(0);
    await waitFor('its group', async () => (await run.runState.ledger()).buffered > 0, 30_000);
  });

  it('train a model by their calls and rewards', async () => {
    team.start(AGENTS);
    await stepsMore(3);
    expect(team.failures).toEqual([]);
    // Three batches of four groups of two, but for the group of the page.
    await waitFor('the sessions of three batches', () => team.ended >= 22);
  });

  it('do not notice the death of a gateway or a policy amid their calls', async () => {
    for (const kind of ['gateway', 'policy', 'gateway', 'policy'] as const) {
      await killAmidCalls(kind);
      await stepsMore(2);
    }
    expect(team.failures).toEqual([]);
    expect(team.overtaken).toBe(0);
    expect(await registry.gatewayAddress()).toBe(address);
  });

  it('are not disturbed by requests that make no sense, each of which is counted', async () => {
    const refused = () => run.runState.rejections.totals();
    const before = await refused();
    const sent = await sendRequests('gateway', address, seededRandom(7), HOSTILE, PATHS);
    const counted = async () =>
      Object.entries(growth(before, await refused()))
        .filter(([name]) => name.startsWith('gateway/'))
        .reduce((sum, [, count]) => sum + count, 0);
    await waitFor('all to be counted', async () => (await counted()) >= sent.refused, 30_000);
    expect(sent.refused).toBeGreaterThan(HOSTILE / 2);
    expect(await counted()).toBeLessThanOrEqual(sent.refused + sent.unknown);
    await stepsMore(2);
    expect(team.failures).toEqual([]);
  });

  it('find each answer trained once, as the tokens they were told, in a ledger that adds up', async () => {
    const stopped = team.stop();
    expect(await run.stop()).toBe(130);
    await stopped;
    const forge = join(root, 'services/cli/bin/forge.cjs');
    const args = [forge, 'ledger', run.runId, '--verify'];
    const verified = spawnSync(process.execPath, args, { cwd: run.workDir, encoding: 'utf8' });
    expect(verified).toMatchObject({ status: 0 });

    const groups = await trainedGroups(run.runDir);
    expect(groups.length).toBeGreaterThan(20);
    expect(new Set(groups.map(({ index }) => index)).size).toBe(groups.length);
    for (const { index, episodes } of groups)
      for (const rollout of [0, 1]) {
        const parts = episodes.filter((episode) => episode.rollout === rollout);
        const chosen = parts.flatMap(({ tokenIds, mask }) => [...tokenIds].filter((_, t) => mask[t] === 1));
        const told = team.answers.get(`${index}-${rollout}`);
        // The first group was the one of the page.
        if (told === undefined) expect(index).toBe(0);
        else expect({ index, rollout, chosen }).toEqual({ index, rollout, chosen: told.flat() });
      }
  });
});

/** The groups of all steps, as they were trained. */
async function trainedGroups(runDir: string): Promise<Group[]> {
  const record = await TrainingRecord.open(runPaths(runDir).trainingRecord);
  const groups: Group[] = [];
  for (let version = 1; version <= record.lastVersion; version++) {
    const { payloads } = await record.step(version);
    groups.push(...payloads.map((payload) => decode(groupSchema, payload, 'group', Infinity)));
  }
  return groups;
}
