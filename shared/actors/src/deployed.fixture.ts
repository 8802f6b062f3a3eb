import { Counter } from './counter.fixture';
import { thisProc } from './mesh/proc-mesh';
import { serveActor } from './mesh/serve-actor';

/** A process that deploys one counter and tells its parent where. */
async function main(): Promise<void> {
  const counter = await thisProc().spawn('counter', Counter, Number(process.argv[2]));
  const { address, actor } = await serveActor(counter, 'unix');
  process.send?.({ name: `counter-${process.pid}`, pid: process.pid, address, actor, isAlive: true });
}

process.once('disconnect', () => process.exit());
void main();
