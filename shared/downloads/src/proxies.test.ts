import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { ForgeError } from '@forge/errors';
import { patientFetch, type DownloadSource } from './patient-fetch';

const SOURCE: DownloadSource = {
  unreachable: 'TRANSIENT_HUB_UNREACHABLE',
  wayOut: 'name a directory',
  directoryVariable: 'HF_HOME',
  refusal: ({ status }) => Promise.resolve(new ForgeError('CONFIG_INVALID', `answers ${status}`)),
};
const { HTTP_PROXY, NO_PROXY } = process.env;

let [origin, proxy]: Server[] = [];
let proxied: string[];
beforeAll(async () => {
  [origin, proxy] = [createServer(), createServer()];
  origin.on('request', ({ url }, response) => response.end(`the origin's ${url}`));
  // Every host of this test's is the origin.
  proxy.on('connect', ({ url }, socket) => {
    proxied.push(url!);
    const upstream = connect(portOf(origin!), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    for (const end of [upstream, socket]) end.on('error', () => undefined);
  });
  proxy.on('request', ({ url }, response) => {
    proxied.push(new URL(url!).host);
    response.end(`the origin's ${new URL(url!).pathname}`);
  });
  for (const one of [origin, proxy])
    await new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve));
  Object.assign(process.env, { HTTP_PROXY: `http://127.0.0.1:${portOf(proxy)}`, NO_PROXY: '127.0.0.1' });
});
beforeEach(() => (proxied = []));
afterAll(async () => {
  for (const [name, value] of Object.entries({ HTTP_PROXY, NO_PROXY }))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  for (const one of [origin!, proxy!]) {
    one.closeAllConnections();
    await new Promise((resolve) => one.close(resolve));
  }
});

const portOf = (server: Server): number => (server.address() as AddressInfo).port;
const text = async (url: string): Promise<string> => (await patientFetch(SOURCE, {})(url)).text();

describe('patientFetch', () => {
  it('goes through the proxy that the environment names', async () => {
    expect(await text('http://hub.invalid/file')).toBe("the origin's /file");
    expect(proxied).toEqual([expect.stringMatching(/^hub\.invalid/)]);
  });

  it('goes straight to the hosts that NO_PROXY names', async () => {
    expect(await text(`http://127.0.0.1:${portOf(origin!)}/file`)).toBe("the origin's /file");
    expect(proxied).toEqual([]);
  });
});
