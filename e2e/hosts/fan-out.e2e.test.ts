import { spawn, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@forge/testing';
import { HostNetwork } from './host-network';
import { HostedRedis } from './hosted-run';

jest.setTimeout(240_000);

/** Bandwidth of every host in each direction, and a blob that takes a second of it. */
const MEGABITS = 160;
const BYTES = 20_000_000;
const COUNTS = [1, 2, 4, 8];
const MOST = 8;
const POLICIES = Array.from({ length: MOST }, (_, i) => `h${i}`);

const dir = mkdtempSync(join(tmpdir(), 'forge-fan-out-'));
let network: HostNetwork;
let redis: HostedRedis;
const children: ChildProcess[] = [];
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await waitFor('all to end', () => children.every(({ signalCode }) => signalCode !== null));
  redis.stop();
  network.close();
  rmSync(dir, { recursive: true });
});

interface Said {
  isReady?: true;
  isFetched?: true;
  sent?: number;
}

/** A process of a host, and all that it said. */
async function start(
  host: string,
  name: string,
  runId: string,
): Promise<{ child: ChildProcess; said: Said[] }> {
  const own = join(dir, host);
  mkdirSync(own, { recursive: true });
  const script = join(__dirname, 'weights-host.cjs');
  const place = { own, seen: own };
  const [program, ...args] = network.commandOn(host, place, [process.execPath, script, runId, name, own]);
  const child = spawn(program, args, {
    env: { ...process.env, ...redis.environmentOn(host), FORGE_RUN_ID: runId },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  const said: Said[] = [];
  child.on('message', (message) => said.push(message as Said));
  await waitFor(`${name} to be ready`, () => said.some(({ isReady }) => isReady), 60_000);
  return { child, said };
}

describe('a version that goes to many hosts', () => {
  it('goes from host to host, in less time and of fewer copies than all from the trainer', async () => {
    network = new HostNetwork();
    for (const host of ['train', ...POLICIES]) await network.add(host, undefined, MEGABITS);
    await network.add('data');
    redis = await HostedRedis.start(network, 'data', ['train', ...POLICIES, 'data']);
    const trainer = await start('train', 'trainer/0', 'fan-out');
    const policies = await Promise.all(POLICIES.map((host) => start(host, `policy/${host}`, 'fan-out')));
    const table: Record<string, number>[] = [];
    for (const count of COUNTS) {
      const content = randomBytes(BYTES);
      const sha256 = createHash('sha256').update(content).digest('hex');
      writeFileSync(join(dir, 'train', `${sha256}.safetensors`), content);
      const announcement = {
        schemaVersion: 1,
        version: count,
        epoch: 1,
        path: '/elsewhere',
        sizeBytes: BYTES,
        sha256,
      };
      const sentBefore = trainer.said.at(-1)?.sent ?? 0;
      const startedAt = performance.now();
      for (const { child, said } of policies.slice(0, count)) {
        said.length = 0;
        child.send(announcement);
      }
      await waitFor(
        `${count} hosts to have it`,
        () => policies.slice(0, count).every(({ said }) => said.some(({ isFetched }) => isFetched)),
        60_000,
      );
      const seconds = (performance.now() - startedAt) / 1000;
      table.push({
        hosts: count,
        seconds: Number(seconds.toFixed(1)),
        sent: trainer.said.at(-1)!.sent! - sentBefore,
      });
      for (const host of POLICIES.slice(0, count)) {
        const copy = join(dir, host, 'fan-out', 'fetched-weights', `${sha256}.safetensors`);
        expect(readFileSync(copy).equals(content)).toBe(true);
      }
    }
    console.table(table);
    const last = table.at(-1)!;
    // The link of the trainer alone would take a second for each copy.
    expect(last['seconds']).toBeLessThan(0.85 * MOST);
    expect(last['sent']).toBeLessThan(MOST);
  });
});
