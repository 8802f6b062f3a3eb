import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry, connectRedis, type Redis } from '@forge/broker';
import { runPaths } from '@forge/contracts';
import { seededRandom, waitFor } from '@forge/testing';
import { transpileModule, ModuleKind } from 'typescript';
import { AgentTeam } from './agent-team';
import { fileOfPage, recipeElsewhere, toldAndTrained } from './agents-elsewhere';
import { ForgeRun } from './chaos/forge-run';
import { GATEWAY_PATHS, sendRequests } from './fuzz/http-target';
import { growth } from './fuzz/tally';

jest.setTimeout(300_000);

const root = join(__dirname, '..');
const AGENTS = 4;
const HOSTILE = 400;

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
    run = await ForgeRun.start(
      dir,
      recipeElsewhere(dir, { rollout: { sessions: true, timeLimitMs: 30_000 } }),
    );
    redis = await connectRedis(run.redisUrl, { name: 'test', giveUpAfterMs: 5_000 });
    await waitFor('every service', () => run.isUp(), 60_000);
    registry = new Registry(redis, run.runId);
    [address] = (await registry.gatewayAddresses()) as [string];
    const file = runPaths(run.runDir).gatewayToken;
    expect(statSync(file).mode & 0o777).toBe(0o600);
    token = readFileSync(file, 'utf8').trim();
    team = new AgentTeam([address], token);
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

  it('are told where to call, and where the token is, by the run itself', async () => {
    const said = () => readFileSync(join(run.runDir, '../../said.log'), 'utf8');
    await waitFor('a word', () =>
      said().includes(`agents call ${address}/v1; the token that hands out sessions is in`),
    );
  });

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
    expect(await registry.gatewayAddresses()).toEqual([address]);
  });

  it('are not disturbed by requests that make no sense, each of which is counted', async () => {
    const refused = () => run.runState.rejections.totals();
    const before = await refused();
    const sent = await sendRequests('gateway', address, seededRandom(7), HOSTILE, GATEWAY_PATHS);
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
    expect(run.verifyLedger()).toMatchObject({ isRight: true });
    const { trained, untold, problems } = await toldAndTrained(run.runDir, team.answers);
    expect(problems).toEqual([]);
    expect(trained).toBeGreaterThan(20);
    // The first group was the one of the page.
    expect(untold.filter((index) => index !== 0)).toEqual([]);
  });
});
