import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HubEnvironment } from '@forge/config';
import type { DownloadWatch } from '@forge/downloads';
import { HubServer, type HubRequest } from '@forge/testing';
import type { HubName } from './hub-name';
import { HubRepository } from './hub-repository';

const WEIGHTS = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
const FILES = {
  'config.json': '{"model_type":"llama"}',
  'tokenizer.json': '{}',
  'model.safetensors': WEIGHTS,
  'pytorch_model.bin': WEIGHTS.subarray(1),
  'data/deep/notes.json': '{"a":1}',
};
const NAME: HubName = { name: 'me/tiny', revision: null };

let server: HubServer;
let dir: string;
let environment: HubEnvironment;
beforeEach(async () => {
  server = await HubServer.start([
    { name: 'me/tiny', files: FILES, branches: { old: { 'config.json': '{"old":true}' } } },
    { name: 'me/tinier', files: FILES },
  ]);
  dir = mkdtempSync(join(tmpdir(), 'forge-hub-'));
  environment = { endpoint: server.endpoint, cacheDir: join(dir, 'hub'), token: null, isOffline: false };
});
afterEach(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});

const open = (watch: DownloadWatch = {}, changes: Partial<HubEnvironment> = {}, name = NAME) =>
  HubRepository.open('model', name, watch, { ...environment, ...changes });
const root = (): string => join(dir, 'hub', 'models--me--tiny');
const blobs = (): string[] => readdirSync(join(root(), 'blobs')).sort();
const isOfStore = ({ isOfStore }: HubRequest): boolean => isOfStore;
const weightsIn = (folder: string): Buffer => readFileSync(join(folder, 'model.safetensors'));

describe('a download', () => {
  it("lies in the cache as the hub's own tools lay it out", async () => {
    const repository = await open();
    await repository.download(['config.json', 'model.safetensors', 'data/deep/notes.json'], ['merges.txt']);
    const commit = server.commit('models/me/tiny');
    expect(repository.pinned).toBe(`me/tiny@${commit}`);
    expect(repository.dir).toBe(join(root(), 'snapshots', commit));
    expect(weightsIn(repository.dir).equals(WEIGHTS)).toBe(true);
    expect(readFileSync(join(root(), 'refs', 'main'), 'utf8')).toBe(commit);
    expect(readdirSync(join(root(), '.no_exist', commit))).toEqual(['merges.txt']);
    // printf 'blob 22\0{"model_type":"llama"}' | sha1sum
    expect(readlinkSync(join(repository.dir, 'config.json'))).toBe(
      '../../blobs/0972e95c1405cc1507c19dcbe784f7a36c930907',
    );
    expect(readlinkSync(join(repository.dir, 'model.safetensors'))).toMatch(
      /^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/,
    );
    expect(readlinkSync(join(repository.dir, 'data/deep/notes.json'))).toMatch(/^(\.\.\/){4}blobs\//);
    expect(blobs()).toHaveLength(3);
    expect(existsSync(join(root(), '.forge-lock'))).toBe(false);
  });

  it('asks nothing for what is there at a commit, and fetches nothing twice for another one', async () => {
    const first = await open();
    await first.download(['config.json', 'model.safetensors']);
    server.requests.length = 0;
    const again = await open({}, {}, { name: 'me/tiny', revision: first.commit });
    await again.download(['config.json', 'model.safetensors']);
    expect(await again.isSettled(['config.json', 'model.safetensors'])).toBe(true);
    expect(await again.isSettled(['config.json', 'tokenizer.json'])).toBe(false);
    expect(server.requests).toEqual([]);
    server.put({ name: 'me/tiny', files: { ...FILES, 'config.json': '{"new":true}' } });
    const second = await open();
    await second.download(['config.json', 'model.safetensors']);
    expect(second.commit).not.toBe(first.commit);
    expect(readFileSync(join(second.dir, 'config.json'), 'utf8')).toBe('{"new":true}');
    expect(readFileSync(join(first.dir, 'config.json'), 'utf8')).toBe(FILES['config.json']);
    expect(server.requests.filter(isOfStore)).toEqual([]);
  });

  it('takes the branch that is named', async () => {
    const repository = await open({}, {}, { name: 'me/tiny', revision: 'old' });
    expect(await repository.text('config.json')).toBe('{"old":true}');
    expect(readFileSync(join(root(), 'refs', 'old'), 'utf8')).toBe(repository.commit);
  });

  it('shows the token to the hub, and not to where the hub redirects', async () => {
    const token = { value: 'secret', source: 'HF_TOKEN' };
    await (await open({}, { token })).download(['config.json', 'model.safetensors']);
    const [stored, own] = [server.requests.filter(isOfStore), server.requests.filter((r) => !r.isOfStore)];
    expect(new Set(own.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer secret']));
    expect(stored.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it('says the size before, and how far it is', async () => {
    const said: string[] = [];
    const progress: number[] = [];
    const repository = await open({
      say: (message) => said.push(message),
      onProgress: ({ doneBytes, totalBytes }) => progress.push(doneBytes / totalBytes),
    });
    await repository.download(['config.json', 'model.safetensors']);
    expect(said).toEqual([
      `downloading me/tiny (main, commit ${repository.commit.slice(0, 12)}) to ${root()}: 2 files, 300 kB`,
    ]);
    expect(progress.at(-1)).toBe(1);
    expect([...progress].sort((a, b) => a - b)).toEqual(progress);
  });

  it('is not begun where the answer is no, or the disk has no room', async () => {
    const asked: number[] = [];
    const refusing = await open({ confirm: (bytes) => Promise.resolve(asked.push(bytes) === 0) });
    await expect(refusing.download(['model.safetensors'])).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked).toEqual([300_000]);
    server.listedBytes = () => 2e15;
    await expect((await open()).download(['model.safetensors'])).rejects.toMatchObject({
      code: 'CAPACITY_DISK_FULL',
      message: /^model me\/tiny takes 2\.0 PB in .*, where .* are free; .*HF_HOME/,
    });
    expect(server.requests.filter(isOfStore)).toEqual([]);
  });
});

describe('a connection that breaks', () => {
  it('goes on where it broke', async () => {
    server.fault = ({ isOfStore, range }) =>
      isOfStore ? (range === undefined ? { cutAfterBytes: 100_000 } : { cutAfterBytes: 150_000 }) : null;
    const said: string[] = [];
    const repository = await open({ say: (message) => said.push(message) });
    await repository.download(['model.safetensors']);
    expect(weightsIn(repository.dir).equals(WEIGHTS)).toBe(true);
    // How much of what was sent still arrives is up to the system.
    const starts = server.requests.filter(isOfStore).map(({ range }) => Number(/\d+/.exec(range ?? '0')![0]));
    expect(starts.length).toBeGreaterThan(2);
    expect(starts[0]).toBe(0);
    expect(starts[1]).toBeGreaterThan(0);
    expect(starts[1]).toBeLessThanOrEqual(100_000);
    expect(new Set(starts).size).toBe(starts.length);
    expect([...starts].sort((a, b) => a - b)).toEqual(starts);
    expect(said[1]).toMatch(/the connection broke at \d+ kB of model\.safetensors .*going on from there/);
  });

  it('goes on where an earlier process was killed, also where the server knows no ranges', async () => {
    const stop = new AbortController();
    server.fault = ({ isOfStore }) => (isOfStore ? { stallsAfterBytes: 120_000 } : null);
    const first = await open({
      signal: stop.signal,
      onProgress: ({ doneBytes }) => {
        if (doneBytes >= 120_000) stop.abort();
      },
    });
    await expect(first.download(['model.safetensors'])).rejects.toMatchObject({
      code: 'CANCELLED',
      message: /what has arrived is kept/,
    });
    expect(existsSync(join(root(), '.forge-lock'))).toBe(false);
    expect(blobs()).toHaveLength(1);
    server.fault = ({ isOfStore }) => (isOfStore ? { ignoresRange: true } : null);
    const said: string[] = [];
    const second = await open({ say: (message) => said.push(message) });
    await second.download(['model.safetensors']);
    expect(said[0]).toMatch(/1 file, 300 kB, of which 120 kB are here$/);
    expect(server.requests.at(-1)!.range).toBe('bytes=120000-');
    expect(weightsIn(second.dir).equals(WEIGHTS)).toBe(true);
  });

  it('is given up when it breaks again and again without a byte', async () => {
    server.fault = ({ isOfStore }) => (isOfStore ? { cutAfterBytes: 0 } : null);
    await expect((await open()).download(['model.safetensors'])).rejects.toMatchObject({
      code: 'TRANSIENT_HUB_UNREACHABLE',
      message: /broke 5 times in a row .*what has arrived of model\.safetensors is kept/,
    });
  });
});

describe('bytes with another hash', () => {
  it.each(['model.safetensors', 'config.json'])('are refused and removed: %s', async (path) => {
    server.fault = ({ isOfStore, url }) =>
      isOfStore || url.endsWith('config.json') ? { isCorrupt: true } : null;
    const repository = await open();
    await expect(repository.download([path])).rejects.toMatchObject({
      code: 'CONTRACT_DOWNLOAD_CORRUPT',
      message: new RegExp(`${path}: found .*, expected [0-9a-f]+; what arrived is removed`),
    });
    expect(blobs()).toEqual([]);
    expect(existsSync(join(repository.dir, path))).toBe(false);
  });

  it('that an earlier attempt left are fetched again', async () => {
    const repository = await open();
    const tree = await fetch(`${server.endpoint}/api/models/me/tiny/tree/main?recursive=true`);
    const large = ((await tree.json()) as { path: string; lfs?: { oid: string } }[]).find(({ lfs }) => lfs)!;
    mkdirSync(join(root(), 'blobs'), { recursive: true });
    writeFileSync(join(root(), 'blobs', `${large.lfs!.oid}.forge-incomplete`), Buffer.alloc(1000));
    await repository.download([large.path]);
    expect(weightsIn(repository.dir).equals(WEIGHTS)).toBe(true);
    expect(server.requests.filter(isOfStore).map(({ range }) => range)).toEqual(['bytes=1000-', undefined]);
  });
});

describe('a hub that refuses', () => {
  it.each([401, 403])('names the page to ask at for a gated repository (%d)', async (status) => {
    server.fault = ({ url }) =>
      url.includes('/resolve/')
        ? { status, headers: { 'x-error-code': 'GatedRepo', 'x-error-message': 'Access is restricted.' } }
        : null;
    await expect((await open()).download(['config.json'])).rejects.toMatchObject({
      code: 'CONTRACT_UNAUTHORIZED',
      message: `model me/tiny needs permission, and no token is set; ask for it at ${server.endpoint}/me/tiny, and set HF_TOKEN to a token of your account (${server.endpoint}/settings/tokens)`,
    });
  });

  it('names where a token comes from that does not count', async () => {
    const token = { value: 'secret', source: '/home/me/token' };
    server.fault = () => ({
      status: 401,
      headers: { 'x-error-message': 'Invalid credentials in Authorization header' },
    });
    const failing = open({}, { token });
    await expect(failing).rejects.toMatchObject({
      code: 'CONTRACT_UNAUTHORIZED',
      message: /does not accept the token of \/home\/me\/token \(Invalid credentials/,
    });
    await expect(failing).rejects.not.toThrow('secret');
  });

  it('names the nearest repository for one that is not there', async () => {
    await expect(open({}, {}, { name: 'me/tinny', revision: null })).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: `${server.endpoint} has no model me/tinny; did you mean me/tiny?`,
    });
    await expect(open({}, {}, { name: 'nobody/entirely-else', revision: null })).rejects.toMatchObject({
      message: `${server.endpoint} has no model nobody/entirely-else; one that is private needs HF_TOKEN`,
    });
  });

  it('says so of a revision', async () => {
    await expect(open({}, {}, { name: 'me/tiny', revision: 'v9' })).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: /me\/tiny@v9: .* has no such revision; leave it out for the newest/,
    });
  });

  it('is asked again after the time it names, and not when that is too long', async () => {
    let asked = 0;
    server.fault = () => ((asked += 1) === 1 ? { status: 429, headers: { 'retry-after': '1' } } : null);
    const said: string[] = [];
    const startedAtMs = performance.now();
    await open({ say: (message) => said.push(message) });
    expect(performance.now() - startedAtMs).toBeGreaterThan(990);
    expect(said).toEqual([expect.stringMatching(/answers 429; asking again in 1 s$/)]);
    server.fault = () => ({ status: 429, headers: { 'retry-after': '4000' } });
    await expect(open()).rejects.toMatchObject({
      code: 'TRANSIENT_HUB_UNREACHABLE',
      message: /answers 429, after 1 attempt; it asks to come back in 4000 s, set HF_HUB_OFFLINE=1/,
    });
  });

  it('is no hub: an address that answers with a page', async () => {
    server.fault = () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' });
    await expect(open()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /correct HF_ENDPOINT/ });
  });
});

it('says after some attempts that a hub is down, and what works without one', async () => {
  await server.stop();
  const said: string[] = [];
  await expect(open({ say: (message) => said.push(message) })).rejects.toMatchObject({
    code: 'TRANSIENT_HUB_UNREACHABLE',
    message: `${environment.endpoint} does not answer (ECONNREFUSED), after 5 attempts; try again later, behind a proxy set HTTPS_PROXY, set HF_HUB_OFFLINE=1 to use what ${environment.cacheDir} has, or name a directory`,
  });
  expect(said).toHaveLength(4);
});

describe('offline', () => {
  it('the cache is all there is, and the hub is not asked', async () => {
    const { commit } = await open();
    await (await open()).download(['config.json']);
    server.requests.length = 0;
    const repository = await open({}, { isOffline: true });
    expect(repository.commit).toBe(commit);
    expect(await repository.paths()).toEqual(['config.json']);
    await repository.download(['config.json']);
    await expect(repository.download(['config.json', 'model.safetensors'])).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: `model me/tiny@${commit}: HF_HUB_OFFLINE is set, and ${repository.dir} lacks model.safetensors; unset it and run forge download me/tiny@${commit} once`,
    });
    await expect(open({}, { isOffline: true }, { name: 'me/tinier', revision: null })).rejects.toThrow(
      'it is not in',
    );
    expect(server.requests).toEqual([]);
  });
});

describe('two that download at once', () => {
  it('share one download', async () => {
    const said: string[] = [];
    const watch = { say: (message: string) => said.push(message) };
    const both = await Promise.all([open(watch), open(watch)]);
    await Promise.all(both.map((one) => one.download(['config.json', 'model.safetensors'])));
    expect(server.requests.filter(isOfStore)).toHaveLength(1);
    expect(said.filter((line) => line.includes('downloads me/tiny already; waiting'))).toHaveLength(1);
    expect(weightsIn(both[0].dir).equals(WEIGHTS)).toBe(true);
  });

  it('do not wait for one that was killed', async () => {
    const lock = join(root(), '.forge-lock');
    mkdirSync(lock, { recursive: true });
    writeFileSync(join(lock, '1@elsewhere@gone'), '');
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(join(lock, '1@elsewhere@gone'), longAgo, longAgo);
    const repository = await open();
    await repository.download(['config.json']);
    expect(readFileSync(join(repository.dir, 'config.json'), 'utf8')).toBe(FILES['config.json']);
    expect(existsSync(lock)).toBe(false);
  });
});

it('takes no path that leads out of the cache', async () => {
  server.put({ name: 'me/evil', files: { '../../escaped.json': '{}', 'config.json': '{}' } });
  const repository = await open({}, {}, { name: 'me/evil', revision: null });
  expect(await repository.paths()).toEqual(['config.json']);
  await expect(repository.download(['../../escaped.json'])).rejects.toThrow('has no file ../../escaped.json');
});
