import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startIndexServer, waitFor, type IndexServer } from '@forge/testing';
import { storedZip } from './stored-zip.fixture';
import type { PinnedPackage, TensorflowRelease } from './tensorflow-release';

const INSTALLER = join(__dirname, '../../dist/engines/install.fixture.js');
/** Takes the place of a C++ compiler: the binding is the list of its arguments. */
const COMPILER = `#!/bin/sh
[ "$1" = --version ] && exit 0
for last in "$@"; do [ "$out" = next ] && out=$last; [ "$last" = -o ] && out=next; done
echo "$@" > "$out"
`;
const BROKEN_COMPILER = `#!/bin/sh
[ "$1" = --version ] && exit 0
echo "tfjs_backend.cc:1:10: fatal error: no such header" >&2
exit 1
`;
/** npm alone may take some seconds on a busy machine. */
const DEADLINE_MS = 50_000;
const ROOT = 'forge/engines/tensorflow-2.20.0-cpu';

let server: IndexServer;
let release: TensorflowRelease;
let dir: string;
const children: ChildProcess[] = [];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'forge-install-'));
  server = await startIndexServer();
  const wheel = storedZip({
    'tensorflow/libtensorflow_cc.so.2': { content: 'c'.repeat(200_000) },
    'tensorflow/libtensorflow_framework.so.2': { content: 'framework' },
    'tensorflow/include/tensorflow/c/c_api.h': { content: '// a header' },
    'tensorflow/python/large.py': { content: 'pass' },
    'nvidia/cublas/lib/libcublas.so.12': { content: 'cublas', mode: 0o755 },
    'nvidia/cublas/include/cublas.h': { content: '// not needed' },
  });
  release = {
    wheels: [server.addFile('tensorflow-cpu', 'tensorflow_cpu-2.20.0.whl', wheel)],
    packages: {
      sources: npmPackage('@tensorflow/tfjs-node-gpu', {
        'binding/tfjs_backend.cc': '',
        'binding/tfjs_binding.cc': '',
      }),
      nodeHeaders: npmPackage('node-api-headers', { 'include/node_api.h': '' }),
    },
    neededBytes: 1000,
  };
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await server.close();
  rmSync(dir, { recursive: true });
});

/** Puts a package into the registry of the server. */
function npmPackage(name: string, files: Record<string, string>): PinnedPackage {
  const root = mkdtempSync(join(dir, 'package-'));
  const all = { 'package.json': JSON.stringify({ name, version: '1.0.0' }), ...files };
  for (const [file, content] of Object.entries(all)) {
    mkdirSync(join(root, 'package', file, '..'), { recursive: true });
    writeFileSync(join(root, 'package', file), content);
  }
  const tarball = spawnSync('tar', ['-cz', '-C', root, 'package']).stdout;
  server.addPackage(name, '1.0.0', tarball);
  return { name, version: '1.0.0', sha512: createHash('sha512').update(tarball).digest('base64') };
}

function install({ compiler = COMPILER }: { compiler?: string | null } = {}): {
  child: ChildProcess;
  said: () => string;
  done: Promise<string>;
} {
  const program = join(dir, 'compiler');
  if (compiler !== null) writeFileSync(program, compiler, { mode: 0o755 });
  const { PATH, HOME } = process.env;
  const env = {
    PATH,
    HOME,
    XDG_CACHE_HOME: dir,
    PIP_INDEX_URL: server.url,
    npm_config_registry: server.registry,
    npm_config_cache: join(dir, 'npm'),
    CXX: program,
  };
  const child = spawn(process.execPath, [INSTALLER, JSON.stringify(release)], { env });
  children.push(child);
  let said = '';
  child.stdout.on('data', (text) => (said += String(text)));
  child.stderr.on('data', (text) => (said += String(text)));
  return { child, said: () => said, done: once(child, 'close').then(() => said) };
}

const inCache = (...path: string[]): string => join(dir, ...path);
const leftIn = (path: string): string[] => readdirSync(inCache(path)).sort();

describe('installTensorflow', () => {
  it('puts libraries and binding in place, and leaves nothing else behind', async () => {
    const said = await install().done;
    expect(said).toContain('compiling the binding');
    expect(leftIn(`${ROOT}/tensorflow`)).toEqual([
      'libtensorflow_cc.so.2',
      'libtensorflow_framework.so.2',
      'tfjs_binding.node',
    ]);
    expect(readFileSync(inCache(ROOT, 'nvidia/cublas/lib/libcublas.so.12'), 'utf8')).toBe('cublas');
    expect(readdirSync(inCache(ROOT, 'nvidia/cublas'))).toEqual(['lib']);
    expect(readFileSync(inCache(ROOT, 'tensorflow/tfjs_binding.node'), 'utf8')).toMatch(
      /-std=c\+\+17.*node\/include.*binding\/tfjs_backend\.cc.*-rpath,\$ORIGIN/,
    );
    expect([leftIn('forge/engines'), leftIn('forge/engines/downloads')]).toEqual([
      ['downloads', 'tensorflow-2.20.0-cpu'],
      [],
    ]);
    expect(await install().done).toMatch(/is there already; to install it anew, remove /);
  });

  it('goes on with what arrived before it was killed', async () => {
    server.faults.stallsAfterBytes = 60_000;
    const killed = install();
    const part = inCache('forge/engines/downloads/tensorflow_cpu-2.20.0.whl.forge-incomplete');
    await waitFor(
      'a part of the wheel',
      () => existsSync(part) && readFileSync(part).length === 60_000,
      DEADLINE_MS,
    );
    killed.child.kill('SIGKILL');
    await killed.done;
    expect(existsSync(inCache(ROOT))).toBe(false);
    delete server.faults.stallsAfterBytes;
    await install().done;
    expect(server.requests).toContain('/files/tensorflow_cpu-2.20.0.whl bytes=60000-');
    expect(leftIn('forge/engines')).toEqual(['downloads', 'tensorflow-2.20.0-cpu']);
  });

  it('lets a second one wait for the first', async () => {
    server.faults.stallsAfterBytes = 60_000;
    const first = install();
    await waitFor(
      'the download',
      () => server.requests.some((path) => path.startsWith('/files/')),
      DEADLINE_MS,
    );
    const second = install();
    await waitFor('the second process', () => second.said() !== '', DEADLINE_MS);
    expect(second.said()).toBe(`process ${first.child.pid} is installing it already; waiting for it\n`);
    delete server.faults.stallsAfterBytes;
    first.child.kill('SIGKILL');
    expect(await second.done).toContain('compiling the binding');
    expect(leftIn(`${ROOT}/tensorflow`)).toHaveLength(3);
  });

  it('misses a compiler before anything large is fetched, and leaves no half of an engine', async () => {
    expect(await install({ compiler: null }).done).toMatch(
      /^ENGINE_BUILD_FAILED: .* needs a C\+\+ compiler, and CXX=.* does not start; install one .*apt-get install g\+\+/,
    );
    expect(server.requests).toEqual([]);
    expect(await install({ compiler: BROKEN_COMPILER }).done).toMatch(
      /ENGINE_BUILD_FAILED: .*can't compile the binding.*\n {2}tfjs_backend\.cc:1:10: fatal error: no such header/,
    );
    expect(existsSync(inCache(ROOT))).toBe(false);
  });

  it('refuses a package of npm with another hash, and says what npm says', async () => {
    release.packages.sources.sha512 = 'other';
    expect(await install().done).toMatch(
      /^CONTRACT_DOWNLOAD_CORRUPT: @tensorflow\/tfjs-node-gpu@1\.0\.0: found sha512/,
    );
    release.packages.sources.version = '1.0.1';
    expect(await install().done).toMatch(
      /^TRANSIENT_INDEX_UNREACHABLE: npm can't fetch .*@1\.0\.1: npm error code ETARGET/,
    );
  });

  it('refuses a disk without room', async () => {
    release.neededBytes = 1e18;
    expect(await install().done).toMatch(
      /^CAPACITY_DISK_FULL: the installation of tensorflow takes 1000 PB in .*, where .* are free; .*XDG_CACHE_HOME/,
    );
  });
});
