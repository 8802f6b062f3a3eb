import { runMain } from './actor/call-context';
import { endpoint } from './actor/endpoint';
import { Parent } from './family.fixture';
import { ForgeActor } from './forge-actor';
import { thisHost } from './hosts/host';

/** A script that defines an actor and runs: argument 1 says whether one of its actors blocks. */
export class Greeter extends ForgeActor {
  @endpoint()
  greet(name: string): string {
    return `hello ${name}`;
  }
}

runMain(async () => {
  const procs = await thisHost().spawnProcs({ procs: 1 });
  const greeter = await procs.spawn('greeter', Greeter);
  const family = await (await thisHost().spawnProcs({ procs: 1 })).spawn('parent', Parent, 'handle');
  const greeting = await greeter.greet.callOne('Ada');
  const pids = [...procs.pids, ...(await family.pids.callOne())];
  if (process.argv[2] === 'block') family.block.broadcast();
  process.send?.({ greeting, pids });
  await new Promise(() => undefined);
});
