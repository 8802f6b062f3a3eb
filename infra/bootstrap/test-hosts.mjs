// npm run test:hosts [-- jest arguments]: runs over several hosts, each a network namespace of this machine with an address and
// disk of its own. It wants Linux, iproute2, util-linux, openssl, a redis-server with TLS and python3, and namespaces: root, or a
// system that gives them to users.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

/** Root keeps its own user namespace, so that it may make devices everywhere. */
const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
const inNetwork = [
  ...user,
  '--net',
  '--mount',
  '--',
  'sh',
  '-c',
  'mount -t tmpfs tmpfs /run && exec "$@"',
  'sh',
];

const missing = whatIsMissing();
if (missing !== null) {
  console.log(`skipped: ${missing}`);
  process.exit(0);
}
prepare();
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
const command = [process.execPath, jest, '-c', 'jest.config.cjs', '--runInBand', ...process.argv.slice(2)];
const { status } = spawnSync('unshare', [...inNetwork, ...command], {
  cwd: root,
  env: { ...process.env, FORGE_TEST_HOSTS: '1' },
  stdio: 'inherit',
});
process.exit(status ?? 1);

function whatIsMissing() {
  if (process.platform !== 'linux') return `there are no network namespaces on ${process.platform}`;
  for (const program of ['ip', 'openssl', 'redis-server', 'python3'])
    if (spawnSync(program, ['--version']).error !== undefined) return `there is no ${program}`;
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun, of which imperfect cables are made';
  // Short names are taken for words of ip.
  const probe = [
    'ip netns add host',
    'ip link add forge0 type bridge',
    'ip link add plug type veth peer eth netns host',
  ];
  const { status: refused, stderr } = spawnSync('unshare', [...inNetwork, 'sh', '-c', probe.join(' && ')], {
    encoding: 'utf8',
  });
  return refused === 0 ? null : `the system gives no network namespaces: ${stderr.trim().split('\n').at(-1)}`;
}
