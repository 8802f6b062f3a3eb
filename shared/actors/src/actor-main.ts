import { ActorRuntime, AGENT } from './actor-runtime';
import { enterActorProcess, refusedSpawn } from './call-context';
import { listenAt } from './connections';
import { FailureLog } from './failure-log';
import { ProcessAgent } from './process-agent';

/** The main module of an actor process: argument 1 is where it listens; the channel to its parent holds its life. */
async function main(address: string): Promise<void> {
  enterActorProcess();
  const failures = new FailureLog();
  const runtime = new ActorRuntime((failure) => {
    failures.add(failure);
  });
  process.once('disconnect', () => process.exit(1));
  // Ctrl-C goes to the whole group; the parent stops its children in order, or takes them along.
  process.on('SIGINT', () => undefined);
  process.on('unhandledRejection', (reason) => {
    if (reason !== refusedSpawn()) throw reason;
  });
  process.on('message', ({ stop }: { stop: number }) => {
    void runtime.stop(stop).finally(() => process.exit(0));
  });
  const birth = { name: AGENT, point: { rank: 0, coordinates: {} } };
  await runtime.spawn(AGENT, ProcessAgent, birth, [runtime, failures]);
  const listener = await listenAt(address, runtime);
  process.send?.(listener.address);
}

void main(process.argv[2] ?? '');
