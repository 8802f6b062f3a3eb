import { mkdtempSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  actorEnvironment,
  actorSecurity,
  agentAddresses,
  childEnvironment,
  cliEnvironment,
  commandEnvironment,
  serviceEnvironment,
  stackEnvironment,
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
      replica: hostname(),
      host: null,
      httpHost: '127.0.0.1',
      httpPort: 0,
      callAddress: 'unix',
      redisWaitSeconds: 60,
      logLevel: 'info',
    });
  });

  it.each([
    [{ FORGE_RUN_ID: 'run' }, 'REDIS_URL'],
    [{ REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', FORGE_HTTP_PORT: 'eighty' }, 'FORGE_HTTP_PORT'],
    [{ REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', FORGE_HTTP_PORT: '65536' }, 'FORGE_HTTP_PORT'],
    [{ REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', LOG_LEVEL: 'loud' }, 'LOG_LEVEL'],
    [
      { REDIS_URL: 'redis://r', FORGE_RUN_ID: 'run', FORGE_REDIS_WAIT_SECONDS: '0' },
      'FORGE_REDIS_WAIT_SECONDS',
    ],
  ])('names the variable that is missing or wrong (%#)', (environment, name) => {
    process.env = environment;
    expect(serviceEnvironment).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) as string }),
    );
  });

  it('reads back what the starting process gives', () => {
    const given = { redisUrl: 'redis://r:2', runId: 'other', logLevel: 'debug', redisWaitSeconds: 2.5 };
    process.env = childEnvironment(given);
    expect(serviceEnvironment()).toMatchObject(given);
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

describe('commandEnvironment', () => {
  it('has what any program needs, and no secret', () => {
    process.env = {
      PATH: '/bin',
      HOME: '/h',
      TZ: 'UTC',
      REDIS_URL: 'redis://:pw@r',
      HF_TOKEN: 'hf',
      NODE_OPTIONS: '-r x',
    };
    expect(commandEnvironment()).toEqual({ PATH: '/bin', HOME: '/h', TZ: 'UTC' });
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

describe('secrets in files', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'forge-secret-')), 'secret');
  beforeEach(() => {
    writeFileSync(file, ' p@ss/word\n');
  });

  it('puts the password of Redis into its address', () => {
    process.env = { REDIS_URL: 'rediss://user@r:1/2', FORGE_RUN_ID: 'run', REDIS_PASSWORD_FILE: file };
    const url = 'rediss://user:p%40ss%2Fword@r:1/2';
    expect(serviceEnvironment().redisUrl).toBe(url);
    expect(cliEnvironment().redisUrl).toBe(url);
  });

  it('leaves an address as it is that has a password: that of a run of its own', () => {
    process.env = { REDIS_URL: 'redis://:own@r:1', REDIS_PASSWORD_FILE: file };
    expect(cliEnvironment().redisUrl).toBe('redis://:own@r:1');
  });

  it('reads the cluster token', () => {
    process.env = { FORGE_CLUSTER_TOKEN_FILE: file };
    expect(actorSecurity()).toEqual({ token: 'p@ss/word' });
  });

  it.each([
    [{ FORGE_CLUSTER_TOKEN_FILE: `${file}-none` }, 'CONFIG_FILE_UNREADABLE', 'ENOENT'],
    [{ FORGE_CLUSTER_TOKEN_FILE: file, FORGE_CLUSTER_TOKEN: 't' }, 'CONFIG_INVALID', 'are both set'],
  ])('says what is wrong (%#)', (environment, code, message) => {
    process.env = environment;
    expect(actorSecurity).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) as string }),
    );
  });

  it('refuses one that is not UTF-8, and shows no byte of it', () => {
    writeFileSync(file, Buffer.from('p\xe4ss', 'latin1'));
    process.env = { FORGE_CLUSTER_TOKEN_FILE: file };
    expect(actorSecurity).toThrow(
      `environment variable FORGE_CLUSTER_TOKEN_FILE: ${file} is not UTF-8; save it as UTF-8`,
    );
  });

  it('refuses an empty one', () => {
    writeFileSync(file, '\n');
    process.env = { FORGE_CLUSTER_TOKEN_FILE: file };
    expect(actorSecurity).toThrow(`${file} is empty`);
  });
});

describe('stackEnvironment', () => {
  it('takes what is empty for not set, and splits the overrides', () => {
    process.env = { FORGE_RUN_ID: '', FORGE_RECIPE: 'r', FORGE_OVERRIDES: 'seed=2 maxStaleness=0' };
    expect(stackEnvironment()).toEqual({
      runId: undefined,
      recipe: 'r',
      overrides: ['seed=2', 'maxStaleness=0'],
    });
  });
});
