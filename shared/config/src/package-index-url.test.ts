import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageIndexUrl } from './package-index-url';

const before = { ...process.env };
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-pip-'));
  process.env = { HOME: join(dir, 'home'), XDG_CONFIG_DIRS: join(dir, 'machine') };
});
afterEach(() => {
  process.env = before;
  rmSync(dir, { recursive: true });
});

function write(file: string, ...lines: string[]): void {
  mkdirSync(join(dir, file, '..'), { recursive: true });
  writeFileSync(join(dir, file), lines.join('\n'));
}

describe('packageIndexUrl', () => {
  it('is the public one unless something names another', () => {
    write('machine/pip/pip.conf', '[global]', 'timeout = 60', '# index-url = https://comment/simple');
    expect(packageIndexUrl()).toBe('https://pypi.org/simple');
  });

  it('prefers the user to the machine, and the environment to both', () => {
    write('machine/pip/pip.conf', '[global]', 'index-url = https://machine/simple/');
    expect(packageIndexUrl()).toBe('https://machine/simple');
    write('home/.pip/pip.conf', '[global]', 'index_url=https://old/simple');
    expect(packageIndexUrl()).toBe('https://old/simple');
    write(
      'home/.config/pip/pip.conf',
      '[install]',
      'index-url = https://other/simple',
      '[global]',
      'timeout = 1',
    );
    expect(packageIndexUrl()).toBe('https://old/simple');
    write(
      'home/.config/pip/pip.conf',
      '[download]',
      'index-url: https://u:p@new/simple',
      '[global]',
      'index-url: x',
    );
    expect(packageIndexUrl()).toBe('https://u:p@new/simple');
    write('named.conf', '[global]', 'index-url = https://named/simple');
    process.env.PIP_CONFIG_FILE = join(dir, 'named.conf');
    expect(packageIndexUrl()).toBe('https://named/simple');
    process.env.PIP_INDEX_URL = 'https://environment/simple/';
    expect(packageIndexUrl()).toBe('https://environment/simple');
  });

  it('reads no file where PIP_CONFIG_FILE says so', () => {
    write('machine/pip/pip.conf', '[global]', 'index-url = https://machine/simple');
    process.env.PIP_CONFIG_FILE = '/dev/null';
    expect(packageIndexUrl()).toBe('https://pypi.org/simple');
  });
});
