import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

/** A process of its own: memory that other tests give back late would be taken for the weights'. */
const FIXTURE = join(__dirname, '../../dist/policy/collect-garbage.fixture.js');

describe('collectGarbage', () => {
  it('leaves one copy of the weights that are inputs, and two while a version takes the place of another', () => {
    const { stdout, stderr } = spawnSync(process.execPath, [FIXTURE], { encoding: 'utf8' });
    expect(stderr).toBe('');
    const { coming, inUse } = JSON.parse(stdout) as Record<'coming' | 'inUse', number[]>;
    expect(coming).toHaveLength(4);
    for (const copies of coming) expect(copies).toBeLessThan(2.3);
    for (const copies of inUse) {
      expect(copies).toBeGreaterThan(0.9);
      expect(copies).toBeLessThan(1.3);
    }
  });
});
