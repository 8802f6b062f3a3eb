import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ForgeError } from '@forge/errors';
import { patientFetch, type DownloadSource } from './patient-fetch';

let server: Server;
let url: string;
let statuses: number[] = [];
beforeEach(async () => {
  server = createServer((_, response) => response.writeHead(statuses.shift() ?? 200).end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(() => stop());

async function stop(): Promise<void> {
  if (!server.listening) return;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** A `fetch` whose pauses are noted and take no time. */
function patient(isGuess: boolean): { fetch: typeof fetch; waits: number[] } {
  const source: DownloadSource = {
    ...{ unreachable: 'TRANSIENT_HUB_UNREACHABLE', wayOut: 'or name a directory', directoryVariable: 'D' },
    ...{ isGuess, refusal: () => Promise.resolve(new ForgeError('CONFIG_MODEL_MISSING', 'no')) },
  };
  const waits: number[] = [];
  return { fetch: patientFetch(source, {}, (ms) => Promise.resolve(waits.push(ms))), waits };
}

describe('a server that can not be reached', () => {
  it('is asked five times', async () => {
    const { fetch, waits } = patient(false);
    await stop();
    await expect(fetch(url)).rejects.toThrow(/does not answer \(ECONNREFUSED\), after 5 attempts/);
    expect(waits).toEqual([500, 1000, 2000, 4000]);
  });

  it('is asked once where it is a guess, unless it has answered before', async () => {
    const { fetch, waits } = patient(true);
    statuses = [503];
    await fetch(url);
    expect(waits).toEqual([500]);
    await stop();
    await expect(fetch(url)).rejects.toThrow(/after 5 attempts/);
    const other = patient(true);
    await expect(other.fetch(url)).rejects.toThrow(
      /does not answer \(ECONNREFUSED\), after 1 attempt; .*, or name a directory$/,
    );
    expect(other.waits).toEqual([]);
  });
});
