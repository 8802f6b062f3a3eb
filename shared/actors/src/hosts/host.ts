import { readdirSync } from 'node:fs';
import { visibleGpus } from '@forge/config';
import { ForgeError } from '@forge/errors';
import type { Dimensions } from '../actor/extent';
import { spawnProcMesh, type ProcMesh, type SpawnProcsOptions } from '../mesh/proc-mesh';
import type { ActorProcess, ProcessSource } from '../process/actor-process';
import { forkActorProcess } from '../process/forked-process';
import { LocalProcess } from '../process/local-process';
import { GpuPool } from './gpu-pool';

/** A place that starts actor processes and has GPUs to hand out. */
export abstract class Host implements ProcessSource {
  abstract readonly name: string;

  abstract start(count: number, gpusPerProcess: number): Promise<ActorProcess[]>;

  /**
   * Spawns as many processes as the dimensions multiply to, each an operating-system process of its own.
   *
   * @throws {ForgeError} as `start`; CONFIG_INVALID for a size that is no positive integer.
   */
  spawnProcs<D extends string>(
    dimensions: Dimensions<D>,
    options: SpawnProcsOptions = {},
  ): Promise<ProcMesh<D>> {
    return spawnProcMesh(this, dimensions, options);
  }
}

/** The machine this process runs on. */
export class LocalHost extends Host {
  readonly name = 'local';

  constructor(readonly gpus: GpuPool) {
    super();
  }

  start(count: number, gpusPerProcess: number): Promise<ActorProcess[]> {
    const gpus = this.gpus.allocate(count * gpusPerProcess);
    return allOrNone(
      Array.from({ length: count }, (_, index) => {
        if (gpusPerProcess === 0) return forkActorProcess(null, () => undefined);
        const own = gpus.slice(index * gpusPerProcess, (index + 1) * gpusPerProcess);
        return forkActorProcess(own, () => {
          this.gpus.release(own);
        });
      }),
    );
  }
}

/** A host whose "processes" all live in this one. */
class InProcessHost extends Host {
  readonly name = 'in-process';

  start(count: number): Promise<ActorProcess[]> {
    return Promise.resolve(Array.from({ length: count }, () => new LocalProcess()));
  }
}

let localHost: LocalHost | null = null;

/** This machine, with the GPUs `CUDA_VISIBLE_DEVICES` leaves to it. */
export function thisHost(): LocalHost {
  localHost ??= new LocalHost(new GpuPool(visibleGpus() ?? installedGpus()));
  return localHost;
}

/** A host whose "processes" all live in this process: for tests, and for many small actors. */
export function inProcessHost(): Host {
  return new InProcessHost();
}

/** All processes, or none: when one does not start, the others are ended again. */
export async function allOrNone(
  starting: readonly Promise<ActorProcess | ActorProcess[]>[],
): Promise<ActorProcess[]> {
  const outcomes = await Promise.allSettled(starting);
  const started = outcomes.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  const failed = outcomes.find((one) => one.status === 'rejected');
  if (failed === undefined) return started;
  await Promise.all(started.map((process) => process.kill()));
  throw ForgeError.from(failed.reason);
}

/** The GPUs of this machine, by their device files. */
function installedGpus(): number[] {
  try {
    return readdirSync('/dev').flatMap((name) => {
      const index = /^nvidia(\d+)$/.exec(name)?.[1];
      return index === undefined ? [] : [Number(index)];
    });
  } catch {
    return [];
  }
}
