import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SocketTransport } from '@forge/actors';
import { bare, bullmq, compare, end, PAYLOAD, start, type Subject } from './transports/echoes';

async function transport(): Promise<Subject> {
  const { child, said: address } = await start('shared/actors/dist/transports/peer.fixture.js');
  const channel = await new SocketTransport().connect(address);
  const request = { actor: 'a', endpoint: 'echo', args: [PAYLOAD], timeoutMs: 30_000 };
  let calls = 0;
  return {
    name: 'SocketTransport',
    call: () => channel.call({ ...request, key: `k${++calls}` }),
    close: async () => {
      await channel.close();
      await end(child);
    },
  };
}

/**
 * An echo of 64 bytes to another process: SocketTransport over a unix socket, a bare unix socket with msgpackr and the
 * same corking, and BullMQ with waitUntilFinished. Targets: p50 at concurrency 1 at most twice the bare one, throughput
 * at 256 at least 40 % of it and ten times BullMQ's.
 */
export async function run(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'forge-bench-'));
  const subject = await transport();
  const baselines = { bare: await bare(dir), bullmq: await bullmq(dir) };
  await compare(subject, baselines);
  for (const { close } of [subject, baselines.bare, baselines.bullmq]) await close();
  rmSync(dir, { recursive: true, force: true });
}
