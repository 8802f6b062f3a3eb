import { ForgeError } from '@forge/errors';
import type { Dimensions } from '../actor/extent';
import { spawnProcMesh, type ProcMesh, type SpawnProcsOptions } from '../mesh/proc-mesh';
import type { ActorProcess, ProcessSource } from '../process/actor-process';
import { allOrNone, type Host } from './host';

/** Several hosts as one. */
export class HostMesh implements ProcessSource {
  constructor(private readonly hosts: readonly Host[]) {
    if (hosts.length === 0) throw new ForgeError('CONFIG_INVALID', 'a host mesh needs at least one host');
  }

  /** Spawns, on every host, as many processes as the dimensions multiply to; `hosts` is the outermost dimension. */
  async spawnProcs<D extends string>(
    dimensions: Dimensions<D>,
    options: SpawnProcsOptions = {},
  ): Promise<ProcMesh<D | 'hosts'>> {
    const hosts = this.hosts.length;
    const all = { hosts, ...dimensions } as Dimensions<D | 'hosts'>;
    if (all.hosts !== hosts)
      throw new ForgeError('CONFIG_INVALID', `hosts: ${all.hosts} are wanted, there are ${hosts}`, { hosts });
    return spawnProcMesh<D | 'hosts'>(this, all, options);
  }

  /** Shares processes out evenly, in the order of the hosts. @internal */
  start(count: number, gpusPerProcess: number): Promise<ActorProcess[]> {
    const each = count / this.hosts.length;
    return allOrNone(this.hosts.map((host) => host.start(each, gpusPerProcess)));
  }
}
