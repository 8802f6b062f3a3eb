import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dashboardChildEnvironment, dashboardEnvironment } from './dashboard-environment';

const before = { ...process.env };
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'forge-dashboard-'))));
afterEach(() => {
  process.env = { ...before };
  rmSync(dir, { recursive: true });
});

describe('dashboardEnvironment', () => {
  it('has defaults for all', () => {
    process.env = {};
    expect(dashboardEnvironment()).toEqual({
      runsDir: 'runs',
      host: '127.0.0.1',
      port: null,
      token: null,
      logLevel: 'info',
    });
  });

  it('takes the token from the environment or a file', () => {
    process.env = { FORGE_DASHBOARD_TOKEN: 'sixteen letters!' };
    expect(dashboardEnvironment().token).toBe('sixteen letters!');
    writeFileSync(join(dir, 'token'), 'another sixteen!\n');
    process.env = { FORGE_DASHBOARD_TOKEN_FILE: join(dir, 'token') };
    expect(dashboardEnvironment().token).toBe('another sixteen!');
  });

  it.each([
    [{ FORGE_HTTP_PORT: '70000' }, 'FORGE_HTTP_PORT'],
    [{ FORGE_DASHBOARD_TOKEN: 'short' }, 'found 5 characters, expected at least 16'],
    [{ FORGE_DASHBOARD_TOKEN_FILE: '/nowhere/token' }, 'FORGE_DASHBOARD_TOKEN_FILE'],
  ])('says what is wrong (%#)', (environment, message) => {
    process.env = environment;
    expect(() => dashboardEnvironment()).toThrow(message);
  });

  it('comes out of a child as it was given', () => {
    process.env = dashboardChildEnvironment({ runsDir: '/r', host: '0.0.0.0', port: 7701 });
    expect(dashboardEnvironment()).toMatchObject({ runsDir: '/r', host: '0.0.0.0', port: 7701 });
  });
});
