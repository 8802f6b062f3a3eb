import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { download } from './download';
import { startIndexServer, type IndexServer } from './index-server.fixture';
import type { PinnedFile } from './tensorflow-release';

const BYTES = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 251));
let server: IndexServer;
let file: PinnedFile;
let dir: string;
let path: string;
let address: URL;
let said: string[];
let counts: number[];
beforeEach(async () => {
  server = await startIndexServer();
  file = server.addFile('p', 'f.whl', BYTES);
  address = new URL('/files/f.whl', server.url);
  dir = mkdtempSync(join(tmpdir(), 'forge-download-'));
  path = join(dir, 'f.whl');
  [said, counts] = [[], []];
});
afterEach(async () => {
  rmSync(dir, { recursive: true });
  await server.close();
});

const fetched = (): Promise<void> =>
  download(address, path, {
    ...file,
    onBytes: (bytes) => counts.push(bytes),
    say: (message) => said.push(message),
    sleep: () => Promise.resolve(),
  });

describe('download', () => {
  it('brings a file, counts its bytes, and asks for nothing where it is there', async () => {
    await fetched();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(counts.at(-1)).toBe(BYTES.length);
    await fetched();
    expect(server.requests).toEqual(['/files/f.whl']);
  });

  it('goes on where a connection broke', async () => {
    server.faults.breaksAfter = 40_000;
    await fetched();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(server.requests).toEqual([
      '/files/f.whl',
      '/files/f.whl bytes=40000-',
      '/files/f.whl bytes=80000-',
    ]);
    expect(said[0]).toMatch(/the connection broke \(.+\); going on from 40 %/);
    expect(Math.max(...counts)).toBe(BYTES.length);
  });

  it('goes on where an earlier process ended', async () => {
    writeFileSync(`${path}.part`, BYTES.subarray(0, 99_000));
    await fetched();
    expect(server.requests).toEqual(['/files/f.whl bytes=99000-']);
    expect(readFileSync(path).equals(BYTES)).toBe(true);
    expect(existsSync(`${path}.part`)).toBe(false);
  });

  it('begins anew where what was left is damaged, or the server knows no ranges', async () => {
    writeFileSync(`${path}.part`, Buffer.alloc(50_000));
    await fetched();
    expect(server.requests).toEqual(['/files/f.whl bytes=50000-', '/files/f.whl']);
    rmSync(path);
    writeFileSync(`${path}.part`, Buffer.alloc(50_000));
    server.faults.hasNoRanges = true;
    await fetched();
    expect(readFileSync(path).equals(BYTES)).toBe(true);
  });

  it('removes a file with another hash', async () => {
    server.faults.isSpoiled = true;
    await expect(fetched()).rejects.toMatchObject({
      code: 'CONTRACT_DOWNLOAD_CORRUPT',
      message: expect.stringContaining(`expected ${file.sha256}; what arrived is removed`) as string,
    });
    expect([existsSync(path), existsSync(`${path}.part`)]).toEqual([false, false]);
  });

  it('gives up after five attempts that bring nothing, and keeps what there is', async () => {
    writeFileSync(`${path}.part`, BYTES.subarray(0, 10));
    server.faults.status = 503;
    await expect(fetched()).rejects.toMatchObject({ code: 'TRANSIENT_INDEX_UNREACHABLE' });
    expect(server.requests).toHaveLength(5);
    expect(readFileSync(`${path}.part`)).toHaveLength(10);
  });

  it('does not ask again for what is refused', async () => {
    server.faults.status = 403;
    await expect(fetched()).rejects.toMatchObject({ code: 'CONTRACT_UNAUTHORIZED' });
    expect(server.requests).toHaveLength(1);
  });
});
