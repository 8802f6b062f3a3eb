import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gatewayToken, serveChildEnvironment, serveEnvironment, servesModel } from './serve-environment';

const before = { ...process.env };
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'forge-serve-'))));
afterEach(() => {
  process.env = { ...before };
  rmSync(dir, { recursive: true });
});

describe('serveEnvironment', () => {
  it('has defaults for all but the model and its names', () => {
    process.env = { FORGE_SERVE_MODEL: '/m', FORGE_SERVE_NAMES: 'm' };
    expect(serveEnvironment()).toEqual({
      ...{ model: '/m', names: ['m'], date: undefined, engine: 'auto', device: 'cpu', threads: undefined },
      ...{ host: '127.0.0.1', port: null, apiKey: null, logLevel: 'info' },
    });
  });

  it.each([
    [{ FORGE_SERVE_MODEL: undefined }, 'FORGE_SERVE_MODEL'],
    [{ FORGE_SERVE_THREADS: '0' }, 'FORGE_SERVE_THREADS'],
    [{ FORGE_SERVE_ENGINE: 'abacus' }, 'FORGE_SERVE_ENGINE'],
    [{ FORGE_HTTP_PORT: '70000' }, 'FORGE_HTTP_PORT'],
  ])('names the variable that is missing or wrong (%#)', (environment, name) => {
    process.env = { FORGE_SERVE_MODEL: '/m', FORGE_SERVE_NAMES: 'm', ...environment };
    expect(serveEnvironment).toThrow(`environment variable ${name}`);
  });

  it('comes out of a child as it was given, the key of the caller before that of a file', () => {
    writeFileSync(join(dir, 'key'), 'of the file\n');
    process.env = { FORGE_API_KEY_FILE: join(dir, 'key') };
    const settings = { model: '/m', names: ['a/b', 'c'], date: '2026-01-02', port: 8001, threads: 3 };
    process.env = serveChildEnvironment(settings);
    expect(serveEnvironment()).toMatchObject({ ...settings, apiKey: 'of the file' });
    process.env = serveChildEnvironment({ ...settings, apiKey: 'given', engine: 'onnx', device: 'webgpu' });
    expect(serveEnvironment()).toMatchObject({ apiKey: 'given', engine: 'onnx', device: 'webgpu' });
  });
});

describe('the gateway of a run', () => {
  it('takes the token of its owner from the environment, and none that can be guessed', () => {
    process.env = {};
    expect([servesModel(), gatewayToken()]).toEqual([false, null]);
    process.env = { FORGE_GATEWAY_TOKEN: 'sixteen letters!' };
    expect(gatewayToken()).toBe('sixteen letters!');
    process.env = { FORGE_GATEWAY_TOKEN: 'short' };
    expect(gatewayToken).toThrow('FORGE_GATEWAY_TOKEN: found 5 characters, expected at least 16');
    process.env = serveChildEnvironment({ model: '/m', names: ['m'] });
    expect(servesModel()).toBe(true);
  });
});
