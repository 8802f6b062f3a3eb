import { patientFetch } from '@forge/downloads';
import { startIndexServer, type IndexServer } from '@forge/testing';
import { INDEX_SOURCE } from './index-source';
import { locate as locateIn } from './package-index';
import type { PinnedFile } from './tensorflow-release';

const NAME = 'tensorflow_cpu-2.20.0-cp311-cp311-manylinux_2_17_x86_64.whl';
const fetch = patientFetch(INDEX_SOURCE, {}, () => Promise.resolve());
const locate = (file: PinnedFile, url: string): Promise<URL> => locateIn(file, url, fetch);
let server: IndexServer;
let file: PinnedFile;
beforeEach(async () => {
  server = await startIndexServer();
  file = server.addFile('tensorflow-cpu', NAME, Buffer.from('a wheel'));
});
afterEach(() => server.close());

describe('locate', () => {
  it.each([false, true])('finds a file by its name, in JSON and in HTML (%s)', async (isHtml) => {
    server.faults.isHtml = isHtml;
    const { origin } = new URL(server.url);
    const query = isHtml ? '?a=1&b=2' : '';
    expect((await locate(file, server.url)).href).toBe(`${origin}/files/${NAME}${query}`);
    expect(server.requests).toEqual(['/simple/tensorflow-cpu/']);
  });

  it.each([false, true])(
    'refuses another hash than the pinned one before a byte is fetched (HTML: %s)',
    async (isHtml) => {
      Object.assign(server.faults, { isHtml, listedHash: 'f'.repeat(64) });
      await expect(locate(file, server.url)).rejects.toMatchObject({
        code: 'CONTRACT_DOWNLOAD_CORRUPT',
        message: expect.stringContaining(`expected ${file.sha256}`) as string,
      });
    },
  );

  it('names the index that has no such project or file, and the way out', async () => {
    const other = { ...file, project: 'tensorflow' };
    await expect(locate(other, server.url)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `${server.url}/tensorflow/ answers 404; name an index that has it by PIP_INDEX_URL`,
    });
    await expect(locate({ ...file, filename: 'other.whl' }, server.url)).rejects.toThrow(/has no other\.whl/);
  });

  it('shows user and password to the index and to nobody else', async () => {
    server.faults.credentials = 'me:p@ss';
    const withUser = server.url.replace('//', '//me:p%40ss@');
    const address = await locate(file, withUser);
    expect([address.username, address.password]).toEqual(['me', 'p%40ss']);
    const refusal = locate(file, withUser.replace('me', 'you'));
    await expect(refusal).rejects.toMatchObject({ code: 'CONTRACT_UNAUTHORIZED' });
    await expect(refusal).rejects.not.toThrow(/p%40ss|p@ss/);
  });

  it('says what can be done where there is no index', async () => {
    await server.close();
    await expect(locate(file, server.url)).rejects.toMatchObject({
      code: 'TRANSIENT_INDEX_UNREACHABLE',
      message: expect.stringMatching(
        /ECONNREFUSED.*HTTPS_PROXY.*PIP_INDEX_URL.*FORGE_LIBTENSORFLOW/,
      ) as string,
    });
    server = await startIndexServer();
  });
});
