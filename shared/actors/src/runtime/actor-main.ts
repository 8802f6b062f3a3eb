import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { enterActorProcess, refusedSpawn } from '../actor/call-context';
import { listenAt } from '../transports/connections';
import { ActorRuntime, AGENT } from './actor-runtime';
import { FailureLog } from './failure-log';
import { ProcessAgent } from './process-agent';

/**
 * Main module of an actor process. Its arguments are the address at which it listens and the id of the process that owns
 * it, with which it ends.
 */
async function main(address: string, parent: number): Promise<void> {
  enterActorProcess();
  const socketDir = address.startsWith('unix:') ? dirname(address.slice('unix:'.length)) : null;
  const failures = new FailureLog();
  const runtime = new ActorRuntime((failure) => {
    failures.add(failure);
  });
  process.once('disconnect', () => {
    if (socketDir !== null) rmSync(socketDir, { recursive: true, force: true });
    process.exit(1);
  });
  new Worker(join(__dirname, 'parent-watch.js'), { workerData: { parent, socketDir }, execArgv: [] }).unref();
  // Ctrl-C goes to the whole group; the parent stops its children in order, or takes them along.
  process.on('SIGINT', () => undefined);
  process.on('unhandledRejection', (reason) => {
    if (reason !== refusedSpawn()) throw reason;
  });
  const birth = { name: AGENT, point: { rank: 0, coordinates: {} } };
  await runtime.spawn(AGENT, ProcessAgent, birth, [runtime, failures]);
  const listener = await listenAt(address, runtime);
  process.once('message', (drainMs: number) => {
    void runtime
      .stop(drainMs)
      .catch(() => undefined)
      .then(() => listener.close())
      .finally(() => process.exit(0));
  });
  // Without a callback, a parent that has just died would be an uncaught error here.
  process.send?.(listener.address, () => undefined);
}

void main(process.argv[2] ?? '', Number(process.argv[3]));
