import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const FORGE = join(__dirname, '../../bin/forge.cjs');
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'forge-engine-'))));
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function forge(
  words: string,
  variables: NodeJS.ProcessEnv = {},
): { status: number | null; stdout: string; stderr: string } {
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, XDG_CACHE_HOME: dir, ...variables };
  return spawnSync(process.execPath, [FORGE, 'engine', ...words.split(' ')], { env, encoding: 'utf8' });
}

/** A directory with the files of TensorFlow, whose binding is `binding`. */
function ownTensorflow(binding: (path: string) => void): NodeJS.ProcessEnv {
  for (const file of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'])
    writeFileSync(join(dir, file), '');
  binding(join(dir, 'tfjs_binding.node'));
  return { FORGE_LIBTENSORFLOW: dir };
}

interface Checked {
  engines: {
    engine: string;
    version: string | null;
    devices: { device: string; gflops: Record<string, number | null>; problem: string | null }[];
  }[];
}

describe('forge engine', () => {
  it('lists what is installed, and how to install what is not', () => {
    const { status, stdout } = forge('list');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^onnx +1\.\d+\.\d+ +cpu, webgpu.* MB {2}.*onnxruntime-node\n/);
    expect(stdout).toContain('tensorflow is not installed: npx forge engine install tensorflow [--gpu]');
    const [onnx, ...others] = JSON.parse(forge('list --json').stdout) as { sizeBytes: number }[];
    expect([onnx!.sizeBytes > 1e6, others]).toEqual([true, []]);
  });

  it('lets onnxruntime compute', () => {
    const { status, stdout } = forge('check onnx --json');
    const { engines } = JSON.parse(stdout) as Checked;
    expect([status, engines.map(({ engine }) => engine)]).toEqual([0, ['onnx']]);
    const cpu = engines[0]!.devices.find(({ device }) => device === 'cpu')!;
    expect(cpu.problem).toBeNull();
    expect(cpu.gflops['float32']).toBeGreaterThan(0.1);
  });

  it('names an engine that is not installed, and one that does not exist', () => {
    const missing = forge('check tensorflow');
    expect(missing.status).toBe(2);
    expect(missing.stderr).toMatch(/run `npx forge engine install tensorflow` \[ENGINE_NOT_INSTALLED\]/);
    expect(forge('check torch').stderr).toMatch(
      /found torch, expected one of onnx, tensorflow \[CONFIG_INVALID\]/,
    );
  });

  it('passes on why a binding does not load', () => {
    const broken = forge(
      'check tensorflow',
      ownTensorflow((path) => writeFileSync(path, 'no library')),
    );
    expect(broken.status).toBe(1);
    expect(broken.stdout).toMatch(
      /^tensorflow {2}- +cpu +TensorFlow in .* does not load: .*(too short|invalid ELF)/,
    );
  });

  it('names the library that the system does not find', () => {
    const manifest = require.resolve('onnxruntime-node/package.json');
    const place = join('linux', process.arch, 'onnxruntime_binding.node');
    const other = readdirSync(dirname(manifest), { recursive: true })
      .map(String)
      .find((name) => name.endsWith(place));
    const own = ownTensorflow((path) => copyFileSync(join(dirname(manifest), other!), path));
    const { status, stdout } = forge('check tensorflow --json', own);
    const { engines } = JSON.parse(stdout) as Checked;
    expect(status).toBe(1);
    expect(engines[0]!.devices[0]!.problem).toMatch(
      /the system finds no libonnxruntime\.so\.1: install it, or name its directory in LD_LIBRARY_PATH/,
    );
  });

  it('installs into a directory of the user only what is missing there', () => {
    const own = ownTensorflow((path) => writeFileSync(path, ''));
    rmSync(join(dir, 'tfjs_binding.node'));
    rmSync(join(dir, 'libtensorflow_cc.so.2'));
    const { status, stderr } = forge('install tensorflow', own);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /which FORGE_LIBTENSORFLOW names, lacks libtensorflow_cc\.so\.2, include\/tensorflow\/c\/c_api\.h/,
    );
  });
});
