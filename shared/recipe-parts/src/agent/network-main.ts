import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';

/** Holds a network of its own, and hands its only door to the policy: a port of the loopback interface. */
const [ip = 'ip'] = process.argv.slice(2);
const { status, stderr } = spawnSync(ip, ['link', 'set', 'lo', 'up'], { encoding: 'utf8' });
if (status !== 0) throw new Error(stderr);
process.on('disconnect', () => process.exit());
const door = createServer();
door.listen(0, '127.0.0.1', () => {
  // The policy has the socket from then on.
  process.send!({ address: door.address() }, door, {}, () => door.close());
});
