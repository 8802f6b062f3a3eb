import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { waitFor } from '@forge/testing';
import { failure, request, type ConformanceSetup } from './conformance-setup.conformance';
import type { PeerSpec } from './peer.fixture';
import type { Address } from './transport';

/** A transport whose peers are processes of their own. */
export interface ProcessSetup extends ConformanceSetup {
  /** How such a process listens. */
  peer: PeerSpec;
  /** Within how many milliseconds a killed peer is noticed. */
  killedWithinMs: number;
  /** The same for one that was stopped. */
  stoppedWithinMs: number;
}

/** A process that listens. */
export async function startPeer(spec: PeerSpec): Promise<{ child: ChildProcess; address: Address }> {
  const script = join(__dirname, '../../dist/transports/peer.fixture.js');
  const child = fork(script, [JSON.stringify(spec)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [address] = (await once(child, 'message')) as [Address];
  return { child, address };
}

export async function endPeer(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Conduct of every transport between processes when one of them is lost. */
export function lostPeerConformance(name: string, make: () => Promise<ProcessSetup>): void {
  describe(`${name}: a peer in another process`, () => {
    let setup: ProcessSetup;
    beforeAll(async () => {
      setup = await make();
    });
    afterAll(() => setup.stop?.());

    it.each([
      ['killed', 'SIGKILL', 'killedWithinMs'],
      ['stopped', 'SIGSTOP', 'stoppedWithinMs'],
    ] as const)('that is %s is noticed in time, and its calls are told', async (_what, signal, within) => {
      const { child, address } = await startPeer(setup.peer);
      const channel = await setup.transport.connect(address);
      try {
        const seen: unknown[] = [];
        const iteration = (async () => {
          for await (const item of channel.stream(request('count', 5))) seen.push(item);
        })();
        await waitFor('the items', () => seen.length === 5);
        const call = channel.call(request('hang'));
        await once(child, 'message');
        const startedAt = performance.now();
        child.kill(signal);
        const [callError, streamError] = await Promise.all([failure(call), failure(iteration)]);
        expect(performance.now() - startedAt).toBeLessThan(setup[within]);
        expect(callError).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
        expect(streamError).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST', details: { items: 5 } });
        expect(await channel.lost).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
      } finally {
        await channel.close();
        await endPeer(child);
      }
    });
  });
}
