import { childEnvironment, cliEnvironment, serviceEnvironment } from './environment';

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

describe('serviceEnvironment', () => {
  it('has defaults for all but Redis and the run', () => {
    process.env = { REDIS_URL: 'redis://r:1', FORGE_RUN_ID: 'run' };
    expect(serviceEnvironment()).toEqual({
      redisUrl: 'redis://r:1',
      runId: 'run',
      replica: '0',
      httpHost: '127.0.0.1',
      httpPort: 0,
      logLevel: 'info',
    });
  });

  it.each([
    [{ FORGE_RUN_ID: 'run' }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', FORGE_HTTP_PORT: 'eighty' }, 'FORGE_HTTP_PORT'],
    [{ REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', FORGE_HTTP_PORT: '65536' }, 'FORGE_HTTP_PORT'],
    [{ REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', LOG_LEVEL: 'loud' }, 'LOG_LEVEL'],
  ])('names the variable that is missing or wrong (%#)', (environment, name) => {
    process.env = environment;
    expect(serviceEnvironment).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) as string }),
    );
  });

  it('reads back what the starting process gives', () => {
    process.env = childEnvironment({ redisUrl: 'redis://r:2', runId: 'other', logLevel: 'debug' });
    expect(serviceEnvironment()).toMatchObject({
      redisUrl: 'redis://r:2',
      runId: 'other',
      logLevel: 'debug',
    });
  });
});

describe('cliEnvironment', () => {
  it('takes an empty REDIS_URL for none', () => {
    process.env = { REDIS_URL: '' };
    expect(cliEnvironment()).toEqual({ redisUrl: undefined, logLevel: 'info' });
  });
});
