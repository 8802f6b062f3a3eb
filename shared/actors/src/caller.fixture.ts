import { runMain } from './actor/call-context';
import { Counter } from './counter.fixture';
import { Parent } from './family.fixture';
import { connectHost } from './hosts/remote-host';

/** A program with processes at the agent that is argument 1, one of which never gives its event loop back. */
runMain(async () => {
  const host = await connectHost(process.argv[2] ?? '');
  const family = await (await host.spawnProcs({ procs: 1 })).spawn('parent', Parent, 'handle');
  const counters = await (await host.spawnProcs({ procs: 2 }, { withGpus: true })).spawn('c', Counter);
  const pids = [...counters.procs.pids, ...(await family.pids.callOne())];
  family.block.broadcast();
  process.send?.(pids);
  await new Promise(() => undefined);
});
