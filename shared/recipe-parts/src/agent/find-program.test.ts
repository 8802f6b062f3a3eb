import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from './find-program';

const dir = mkdtempSync(join(tmpdir(), 'forge-programs-'));
mkdirSync(join(dir, 'folder'));
for (const [name, mode] of [
  ['agent', 0o755],
  ['notes', 0o644],
] as const) {
  writeFileSync(join(dir, name), '#!/bin/sh\n');
  chmodSync(join(dir, name), mode);
}
afterAll(() => rmSync(dir, { recursive: true }));

describe('findProgram', () => {
  it('finds one by its path, or in PATH', () => {
    expect(findProgram(join(dir, 'agent'))).toBe(join(dir, 'agent'));
    expect(findProgram('agent', `/nowhere:${dir}`)).toBe(join(dir, 'agent'));
    expect(findProgram('sh', '/usr/bin:/bin')).toMatch(/\/sh$/);
  });

  it.each(['missing', './missing', 'notes', 'folder'])('says that %s is none', (program) => {
    expect(() => findProgram(program, dir)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_PATH_UNUSABLE',
        message: expect.stringContaining(`rollout.command: found no program ${program}, expected `) as string,
      }),
    );
  });
});
