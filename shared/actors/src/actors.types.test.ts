import { Counter } from './counter.fixture';
import { thisHost } from './hosts/host';
import type { ActorMesh } from './mesh/actor-mesh';
import { thisProc } from './mesh/proc-mesh';
import type { Service } from './service/service';
import { spawnService } from './service/spawn-service';

/** `value` is of type T, and not only assignable to it. */
function exactly<T>() {
  return <U>(_value: U & ([T] extends [U] ? ([U] extends [T] ? unknown : never) : never)): void => undefined;
}

/** Checked by the compiler (npm run typecheck); never run. */
export async function types(mesh: ActorMesh<Counter, 'gpus'>, service: Service<Counter>): Promise<void> {
  exactly<number>()(await mesh.value.callOne());
  exactly<readonly number[]>()((await mesh.value.call()).values);
  exactly<number>()(await mesh.add.choose(1, 2));
  exactly<number>()(await mesh.add.choose(1));
  for await (const [rank, item] of mesh.items.stream(3)) exactly<number>()(rank + item);
  exactly<number>()(
    await mesh
      .slice({ gpus: [0, 2] })
      .value.with({ timeoutMs: 5 })
      .choose(),
  );
  exactly<string>()(await service.wait.choose());
  exactly<number[]>()(await service.value.call());
  exactly<number[]>()(await service.value.allRanks.choose());
  exactly<number>()(await service.value.with({ session: 's' }).choose());
  for await (const item of service.items.stream(3)) exactly<number>()(item);

  // @ts-expect-error: no such endpoint
  await mesh.vaule.call();
  // @ts-expect-error: no such endpoint
  await service.vaule.choose();
  // @ts-expect-error: a string is no amount
  await mesh.add.call('1');
  // @ts-expect-error: the amount is missing
  await service.add.choose();
  // @ts-expect-error: one argument too many
  await service.value.choose(1);
  // @ts-expect-error: items come by stream only
  await service.items.choose(3);
  // @ts-expect-error: a private method is no endpoint
  await service.untilReleased.choose();
  // @ts-expect-error: what every actor has is no endpoint
  await mesh.setup.call();
  // @ts-expect-error: the mesh has no such dimension
  mesh.slice({ hosts: 0 });
  // @ts-expect-error: the constructor takes a number
  await thisProc().spawn('counter', Counter, 'zero');
  // @ts-expect-error: the constructor takes a number
  await spawnService({}, Counter, 'zero');
  // @ts-expect-error: a plain class is no actor
  await thisProc().spawn('plain', class {});
  // @ts-expect-error: the constructor takes a number
  await Counter.options({ procs: 1 }).asService('3');
  const procs = await thisHost().spawnProcs({ hosts: 1, gpus: 2 });
  // @ts-expect-error: the mesh has no such dimension
  procs.slice({ cpus: 0 });
}

it('has types', () => {
  expect(types).toBeInstanceOf(Function);
});
