import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const FORGE = join(__dirname, '../services/cli/bin/forge.cjs');
/** Set where TensorFlow is installed, or may be: it takes a network, a compiler and two minutes. */
const isWanted = Boolean(process.env['FORGE_TEST_ENGINES']);
const forge = (...words: string[]): string =>
  execFileSync(process.execPath, [FORGE, 'engine', ...words], { encoding: 'utf8' });

interface Checked {
  engines: {
    version: string;
    devices: { device: string; gflops: Record<string, number>; problem: string | null }[];
  }[];
}

(isWanted ? describe : describe.skip)(
  `TensorFlow${isWanted ? '' : ' (FORGE_TEST_ENGINES is not set)'}`,
  () => {
    it('is installed out of the package indexes, and computes', () => {
      const { engines } = JSON.parse(forge('install', 'tensorflow', '--json')) as Checked;
      const [{ version, devices }] = engines as [Checked['engines'][number]];
      expect([version, devices[0]!.problem]).toEqual(['2.20.0', null]);
      expect(devices[0]!.gflops['float32']).toBeGreaterThan(0.1);
      const listed = JSON.parse(forge('list', '--json')) as { engine: string; missing: string[] }[];
      expect(listed).toContainEqual(expect.objectContaining({ engine: 'tensorflow', missing: [] }));
    }, 600_000);
  },
);
