import { endpoint } from './actor/endpoint';
import { describeFailure, type Failure } from './actor/supervision';
import { Counter } from './counter.fixture';
import { ForgeActor } from './forge-actor';
import { thisHost } from './hosts/host';
import type { ActorMesh } from './mesh/actor-mesh';

/** An actor with two children in processes of their own. */
export class Parent extends ForgeActor {
  private readonly heard: string[] = [];
  private children: ActorMesh<Counter> | null = null;

  constructor(private readonly answer: 'handle' | 'pass' | 'throw') {
    super();
  }

  override async setup(): Promise<void> {
    const procs = await thisHost().spawnProcs({ procs: 2 });
    this.children = await procs.spawn('children', Counter);
  }

  override supervise(failure: Failure): boolean {
    this.heard.push(describeFailure(failure));
    if (this.answer === 'throw') throw new Error('I can not go on', { cause: failure.error });
    return this.answer === 'handle';
  }

  @endpoint()
  async pids(): Promise<number[]> {
    const places = (await this.children?.where.call())?.values ?? [];
    return [process.pid, ...places.map(({ pid }) => pid)];
  }

  @endpoint({ concurrent: true })
  failures(): string[] {
    return this.heard;
  }

  @endpoint()
  failChild(): void {
    this.children?.slice({ procs: 1 }).fail.broadcast();
  }

  /** Never gives the event loop back. */
  @endpoint()
  block(): void {
    process.send?.('blocked');
    for (;;);
  }
}
