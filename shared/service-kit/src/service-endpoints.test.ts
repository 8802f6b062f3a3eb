import { openEndpoints, type Vitals } from './service-endpoints';

const vitals = (): Vitals => ({
  service: 'policy',
  replica: '0',
  waitsFor: 'Redis',
  isReady: () => false,
  metering: null,
  refused: () => undefined,
});
const anywhere = { host: '127.0.0.1', port: 0 };

describe('openEndpoints', () => {
  it('is healthy from the start, says what it waits for, and is ready when it is', async () => {
    const its = vitals();
    const refused: string[] = [];
    its.refused = (reason) => void refused.push(reason);
    const { url, close } = await openEndpoints(anywhere, its);
    const get = async (path: string) => {
      const answer = await fetch(`${url}${path}`);
      return [answer.status, (await answer.json()) as unknown];
    };
    const who = { status: 'ok', service: 'policy', replica: '0' };
    expect(await get('/healthz')).toEqual([200, { ...who, waitsFor: 'Redis' }]);
    expect(await get('/readyz')).toEqual([503, { ready: false }]);
    expect((await get('/metrics'))[0]).toBe(503);
    its.waitsFor = null;
    its.isReady = () => true;
    expect(await get('/healthz')).toEqual([200, who]);
    expect(await get('/readyz')).toEqual([200, { ready: true }]);
    expect((await get('/other'))[0]).toBe(404);
    expect(refused).toEqual(['404']);
    await close();
    await expect(fetch(url)).rejects.toThrow();
  });

  it('names the variable when the port is taken', async () => {
    const { url, close } = await openEndpoints(anywhere, vitals());
    const port = Number(new URL(url).port);
    await expect(openEndpoints({ ...anywhere, port }, vitals())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('FORGE_HTTP_PORT') as string,
    });
    await close();
  });
});
