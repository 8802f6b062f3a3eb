import { join } from 'node:path';
import { endpoint, ForgeActor } from '@forge/actors';
import type { WorkerHandle } from '@forge/threads';
import type { FrailApi } from './frail-worker.fixture';
import { openWorker } from './open-worker';

/** An actor whose thread dies. */
export class FrailActor extends ForgeActor {
  private worker!: WorkerHandle<FrailApi>;

  override async setup(): Promise<void> {
    this.worker = await openWorker<FrailApi>(join(__dirname, 'frail-worker.fixture'), null);
  }

  override async cleanup(): Promise<void> {
    await this.worker.terminate();
  }

  @endpoint({ concurrent: true })
  crash(): Promise<void> {
    return this.worker.call('crash', undefined);
  }

  @endpoint({ concurrent: true, idempotent: true })
  pid(): number {
    return process.pid;
  }
}
