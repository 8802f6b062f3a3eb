import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hubEnvironment } from './hub-environment';

const before = { ...process.env };
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-hub-environment-'));
  for (const name of Object.keys(process.env))
    if (/^(HF_|HUGGING|TRANSFORMERS|XDG)/.test(name)) delete process.env[name];
  process.env.HOME = dir;
});
afterEach(() => {
  process.env = { ...before };
  rmSync(dir, { recursive: true });
});

describe('hubEnvironment', () => {
  it("has the defaults of the hub's own tools", () => {
    expect(hubEnvironment()).toEqual({
      endpoint: 'https://huggingface.co',
      cacheDir: join(dir, '.cache/huggingface/hub'),
      token: null,
      isOffline: false,
    });
  });

  it.each([
    [{ XDG_CACHE_HOME: '/xdg' }, '/xdg/huggingface/hub'],
    [{ HF_HOME: '/home', XDG_CACHE_HOME: '/xdg' }, '/home/hub'],
    [{ HF_HOME: '/home', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
    [{ HF_HOME: '/home', HF_HUB_CACHE: '/cache', HUGGINGFACE_HUB_CACHE: '/old' }, '/cache'],
  ])('keeps what it fetches by %j in %s', (variables, cacheDir) => {
    Object.assign(process.env, variables);
    expect(hubEnvironment().cacheDir).toBe(cacheDir);
  });

  it('takes the token of the environment, else that of a login', () => {
    process.env.HF_HOME = dir;
    writeFileSync(join(dir, 'token'), 'kept\n');
    expect(hubEnvironment().token).toEqual({ value: 'kept', source: join(dir, 'token') });
    writeFileSync(join(dir, 'secret'), 'filed\n');
    process.env.HF_TOKEN_FILE = join(dir, 'secret');
    expect(hubEnvironment().token).toEqual({ value: 'filed', source: 'HF_TOKEN_FILE' });
    delete process.env.HF_TOKEN_FILE;
    process.env.HF_TOKEN = 'given';
    expect(hubEnvironment().token).toEqual({ value: 'given', source: 'HF_TOKEN' });
  });

  it.each([
    ['1', true],
    ['ON', true],
    ['0', false],
    ['', false],
  ])('is offline by HF_HUB_OFFLINE=%s: %s', (value, isOffline) => {
    process.env.HF_HUB_OFFLINE = value;
    expect(hubEnvironment().isOffline).toBe(isOffline);
  });

  it('refuses an endpoint that is no address', () => {
    process.env.HF_ENDPOINT = 'http://mirror/';
    expect(hubEnvironment().endpoint).toBe('http://mirror');
    process.env.HF_ENDPOINT = 'mirror:80';
    expect(() => hubEnvironment()).toThrow('HF_ENDPOINT: found mirror:80, expected an address');
  });
});
