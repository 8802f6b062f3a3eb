import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyLedger } from '@forge/broker';
import { waitFor } from '@forge/testing';
import { createModelDirectory, smallRecipe, TINY } from '../service-processes';
import { HostNetwork, type Cable } from './host-network';
import { HostedRedis, HostedRun, type Placed } from './hosted-run';

jest.setTimeout(180_000);

const dir = mkdtempSync(join(tmpdir(), 'forge-hosts-'));
let network: HostNetwork;
let redis: HostedRedis;
let run: HostedRun;
let runs = 0;

beforeAll(() => createModelDirectory(dir, TINY));
afterEach(async () => {
  await run.end();
  redis.stop();
  network.close();
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

/** The hosts of what a run has once: `train`, and for Redis `data`. */
const CORE: readonly Placed[] = (
  ['coordinator', 'trainer', 'replay-buffer', 'reward', 'reference'] as const
).map((service) => ({ host: 'train', service, replica: '0' }));
const policyOn = (host: string): Placed => ({ host, service: 'policy' });

interface Setting {
  placed: readonly Placed[];
  steps?: number;
  cable?: Cable;
  /** Hosts that nothing is placed on yet. */
  spare?: readonly string[];
}

async function startRun({ placed, steps = 6, cable, spare = [] }: Setting): Promise<void> {
  network = new HostNetwork();
  const hosts = [...new Set([...placed.map(({ host }) => host), ...spare, 'data'])];
  for (const host of hosts) await network.add(host, cable);
  redis = await HostedRedis.start(network, 'data', hosts);
  const recipe = smallRecipe(dir, { steps });
  run = new HostedRun(network, redis, join(dir, `${runs}`), `run-${runs++}`, recipe);
  await run.start(placed);
}

/** All that the ledger counts is where it must be; the groups trained by the replica that rolled them out. */
async function verified(): Promise<Map<string, number>> {
  const snapshot = await run.runState.ledgerSnapshot();
  expect(verifyLedger(snapshot)).toEqual([]);
  const trained = new Map<string, number>();
  for (const { state, origin } of snapshot.groups.values())
    if (state === 'trained') trained.set(origin!.replica, (trained.get(origin!.replica) ?? 0) + 1);
  return trained;
}

const filesOf = (host: string, directory: string): string[] => {
  const path = join(run.runsOf(host), run.runId, directory);
  return existsSync(path) ? readdirSync(path) : [];
};
const blobsOf = (host: string): string[] =>
  filesOf(host, 'fetched-weights').filter((name) => /^[0-9a-f]{64}\.safetensors$/.test(name));

describe('hosts that share nothing but the network', () => {
  it('make a run: Redis, trainer and policies on four, with TLS, weights over the network', async () => {
    await startRun({ placed: [...CORE, policyOn('left'), policyOn('right')] });
    await run.finished();
    const trained = await verified();
    expect(['left', 'right']).toEqual(expect.arrayContaining([...trained.keys()]));
    for (const host of ['left', 'right']) expect(blobsOf(host).length).toBeGreaterThan(0);
    expect(blobsOf('train')).toEqual([]);
    expect(filesOf('left', 'weights')).toEqual([]);
  });

  it('make a run over 20 ms from host to host, with one frame of a hundred lost', async () => {
    // A way from host to host is two cables.
    await startRun({ placed: [...CORE, policyOn('left')], cable: { delayMs: 10, loss: 0.005 } });
    await run.finished();
    await verified();
    expect(blobsOf('left').length).toBeGreaterThan(0);
  });

  it('wait for the host of all policies, which loses its network for 30 s', async () => {
    await startRun({ placed: [...CORE, policyOn('left')], steps: 8 });
    await run.reached(2);
    network.cut('left');
    await sleep(30_000);
    const before = await run.runState.version();
    expect(before).toBeLessThan(8);
    network.mend('left');
    const mendedAt = performance.now();
    await run.reached(before + 1);
    const waitedMs = performance.now() - mendedAt;
    await run.finished();
    await verified();
    expect(waitedMs).toBeLessThan(15_000);
  });

  it('go on without a host that loses its network for good', async () => {
    await startRun({ placed: [...CORE, policyOn('left'), policyOn('right')], steps: 10 });
    await run.reached(2);
    network.cut('left');
    await run.finished();
    expect((await verified()).get('right')).toBeGreaterThan(0);
  });

  it('let no trainer commit that was cut off and replaced', async () => {
    const trainer = { host: 'one', service: 'trainer', replica: '0' } as const;
    const core = CORE.filter(({ service }) => service !== 'trainer');
    await startRun({ placed: [...core, trainer, policyOn('left')], steps: 10, spare: ['two'] });
    await run.reached(2);
    network.cut('one');
    // The hosts of trainers mount one directory of runs, from which the new one goes on.
    run.launch({ ...trainer, host: 'two' }, 'one');
    await run.reached(5);
    expect(run.exitOf(trainer)).toBeNull();
    network.mend('one');
    await waitFor('the end of the trainer that was cut off', () => run.exitOf(trainer) !== null, 60_000);
    await run.finished();
    await verified();
    const { versions } = await run.runState.ledgerSnapshot();
    expect(versions.get(10)?.epoch).toBe(2);
  });
});
