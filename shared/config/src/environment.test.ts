import {
  actorEnvironment,
  agentAddresses,
  childEnvironment,
  cliEnvironment,
  serviceEnvironment,
  visibleGpus,
} from './environment';

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
      callAddress: 'unix',
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

describe('visibleGpus', () => {
  it.each([
    ['0,2,5,7', [0, 2, 5, 7]],
    ['3,1,4,1', [1, 3, 4]],
    [' 2 , 0 ', [0, 2]],
    ['', null],
    [undefined, null],
  ])('takes CUDA_VISIBLE_DEVICES=%j for %j', (value, expected) => {
    process.env = value === undefined ? {} : { CUDA_VISIBLE_DEVICES: value };
    expect(visibleGpus()).toEqual(expected);
  });

  it('refuses what is no index', () => {
    process.env = { CUDA_VISIBLE_DEVICES: '0,GPU-8d' };
    expect(visibleGpus).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('expected indices as in 0,1, found 0,GPU-8d') as string,
      }),
    );
  });
});

describe('actorEnvironment', () => {
  it('shows a process its own GPUs only, or those there were', () => {
    process.env = { CUDA_VISIBLE_DEVICES: '0,1,2', HOME: '/h' };
    expect(actorEnvironment([2])).toEqual({ CUDA_VISIBLE_DEVICES: '2', HOME: '/h' });
    expect(actorEnvironment(null)).toEqual({ CUDA_VISIBLE_DEVICES: '0,1,2', HOME: '/h' });
  });
});

describe('agentAddresses', () => {
  it.each([
    [undefined, []],
    ['', []],
    ['tcp://a:1', ['tcp://a:1']],
    ['tcp://a:1, tls://b:2,', ['tcp://a:1', 'tls://b:2']],
  ])('reads FORGE_HOSTS=%j as %j', (text, addresses) => {
    process.env = text === undefined ? {} : { FORGE_HOSTS: text };
    expect(agentAddresses()).toEqual(addresses);
  });
});
