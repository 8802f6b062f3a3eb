import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForgeError } from '@forge/errors';
import { sendFile, type FileFault } from '@forge/testing';
import { downloadFile, type RemoteFile } from './download-file';
import { patientFetch, type DownloadSource } from './patient-fetch';

const BYTES = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 251));
const SOURCE: DownloadSource = {
  unreachable: 'TRANSIENT_INDEX_UNREACHABLE',
  wayOut: 'set MIRROR',
  directoryVariable: 'CACHE',
  refusal: ({ status }) => Promise.resolve(new ForgeError('CONTRACT_UNAUTHORIZED', `answers ${status}`)),
};

let server: Server;
let file: RemoteFile;
let dir: string;
let path: string;
let ranges: (string | undefined)[];
let said: string[];
let counts: number[];
let fault: FileFault & { status?: number };
beforeEach(async () => {
  [fault, ranges, said, counts] = [{}, [], [], []];
  server = createServer(({ headers }, response) => {
    ranges.push(headers.range);
    if (fault.status !== undefined) response.writeHead(fault.status).end();
    else sendFile(response, BYTES, headers.range, fault);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  file = {
    name: 'f',
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/f`,
    sizeBytes: BYTES.length,
    algorithm: 'sha256',
    digest: createHash('sha256').update(BYTES).digest('hex'),
  };
  dir = mkdtempSync(join(tmpdir(), 'forge-download-'));
  path = join(dir, 'f');
});
afterEach(async () => {
  rmSync(dir, { recursive: true });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const partial = (): string => `${path}.forge-incomplete`;
const fetched = (): Promise<void> => {
  const watch = { say: (message: string) => said.push(message) };
  const fetch = patientFetch(SOURCE, watch, () => Promise.resolve());
  return downloadFile(path, {
    file,
    source: SOURCE,
    fetch,
    watch,
    onBytes: (bytes) => counts.push(bytes),
  });
};

describe('downloadFile', () => {
  it('brings a file, counts its bytes, and asks for nothing where it is there', async () => {
    await fetched();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect([counts[0], counts.at(-1)]).toEqual([0, BYTES.length]);
    await fetched();
    expect(ranges).toEqual([undefined]);
  });

  it('goes on where a connection broke', async () => {
    fault.cutAfterBytes = 40_000;
    await fetched();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(ranges).toEqual([undefined, 'bytes=40000-', 'bytes=80000-']);
    expect(said[0]).toMatch(/the connection broke at 40 kB of f \(.+\); going on from there/);
    expect(Math.max(...counts)).toBe(BYTES.length);
  });

  it('goes on where an earlier process ended', async () => {
    writeFileSync(partial(), BYTES.subarray(0, 99_000));
    await fetched();
    expect(ranges).toEqual(['bytes=99000-']);
    expect(counts[0]).toBe(99_000);
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(existsSync(partial())).toBe(false);
  });

  it('begins anew where what was left is damaged, or the server knows no ranges', async () => {
    writeFileSync(partial(), Buffer.alloc(50_000));
    await fetched();
    expect(ranges).toEqual(['bytes=50000-', undefined]);
    rmSync(path);
    writeFileSync(partial(), Buffer.alloc(50_000));
    fault.ignoresRange = true;
    await fetched();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('removes a file with another hash', async () => {
    fault.isCorrupt = true;
    await expect(fetched()).rejects.toMatchObject({
      code: 'CONTRACT_DOWNLOAD_CORRUPT',
      message: expect.stringContaining(`expected ${file.digest}; what arrived is removed`) as string,
    });
    expect([existsSync(path), existsSync(partial())]).toEqual([false, false]);
  });

  it('gives up after five attempts that bring nothing, and keeps what there is', async () => {
    writeFileSync(partial(), BYTES.subarray(0, 10));
    fault.status = 503;
    await expect(fetched()).rejects.toMatchObject({
      code: 'TRANSIENT_INDEX_UNREACHABLE',
      message: `${new URL(file.address).origin} answers 503, after 5 attempts; try again later, behind a proxy set HTTPS_PROXY, set MIRROR`,
    });
    expect(ranges).toHaveLength(5);
    expect(readFileSync(partial())).toHaveLength(10);
  });

  it('does not ask again for what is refused', async () => {
    fault.status = 403;
    await expect(fetched()).rejects.toMatchObject({ code: 'CONTRACT_UNAUTHORIZED' });
    expect(ranges).toHaveLength(1);
  });
});
