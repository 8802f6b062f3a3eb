import { readdirSync } from 'node:fs';
import { visibleGpus } from '@forge/config';
import type { ActorProcess } from './actor-process';
import { forkActorProcess } from './forked-process';
import { LocalProcess } from './local-process';
import { spawnProcMesh, type ProcMesh, type SpawnProcsOptions } from './proc-mesh';
import type { Dimensions } from './extent';
import { GpuPool } from './provisioner';

/** A place that starts actor processes and has GPUs to hand out. */
export interface Host {
  readonly name: string;
  readonly gpus: GpuPool;
  /** Starts a process that sees the given GPUs of this host; null: whatever the host itself sees. */
  startProcess(gpus: readonly number[] | null): Promise<ActorProcess>;
  /** As many processes as the dimensions multiply to, each an operating-system process of its own. */
  spawnProcs<D extends string>(dimensions: Dimensions<D>, options?: SpawnProcsOptions): Promise<ProcMesh<D>>;
}

abstract class AnyHost implements Host {
  constructor(
    readonly name: string,
    readonly gpus: GpuPool,
  ) {}

  abstract startProcess(gpus: readonly number[] | null): Promise<ActorProcess>;

  spawnProcs<D extends string>(
    dimensions: Dimensions<D>,
    options: SpawnProcsOptions = {},
  ): Promise<ProcMesh<D>> {
    return spawnProcMesh(this, dimensions, options);
  }
}

class LocalHost extends AnyHost {
  startProcess(gpus: readonly number[] | null): Promise<ActorProcess> {
    return forkActorProcess(gpus);
  }
}

class InProcessHost extends AnyHost {
  startProcess(): Promise<ActorProcess> {
    return Promise.resolve(new LocalProcess());
  }
}

let localHost: Host | null = null;

/** This machine, with the GPUs `CUDA_VISIBLE_DEVICES` leaves to it. */
export function thisHost(): Host {
  localHost ??= new LocalHost('local', new GpuPool(visibleGpus() ?? installedGpus()));
  return localHost;
}

/** A host whose "processes" all live in this process: for tests, and for many small actors. */
export function inProcessHost(): Host {
  return new InProcessHost('in-process', new GpuPool([]));
}

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
