import { openHealthServer } from './health-server';

describe('openHealthServer', () => {
  it('is healthy and not ready until somebody else answers', async () => {
    let waitsFor = 'Redis';
    const server = await openHealthServer({ host: '127.0.0.1', port: 0 }, () => ({ waitsFor }));
    const get = async (path: string) => {
      const answer = await fetch(`${server.url}${path}`);
      return [answer.status, (await answer.json()) as unknown];
    };
    expect(await get('/healthz')).toEqual([200, { waitsFor: 'Redis' }]);
    waitsFor = 'run a';
    expect(await get('/readyz')).toEqual([503, { waitsFor: 'run a' }]);
    expect((await get('/other'))[0]).toBe(404);
    server.hand((_, response) => {
      response.end('{"by":"another"}');
    });
    expect(await get('/readyz')).toEqual([200, { by: 'another' }]);
    await server.close();
    await expect(fetch(server.url)).rejects.toThrow();
  });

  it('names the variable when the port is taken', async () => {
    const server = await openHealthServer({ host: '127.0.0.1', port: 0 }, () => ({}));
    const port = Number(new URL(server.url).port);
    await expect(openHealthServer({ host: '127.0.0.1', port }, () => ({}))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('FORGE_HTTP_PORT') as string,
    });
    await server.close();
  });
});
