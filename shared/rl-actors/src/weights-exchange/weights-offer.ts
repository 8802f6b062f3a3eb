import { thisProc, type ActorMesh, type DeployedActor, type ServableActor } from '@forge/actors';
import { WeightsShelf } from './weights-shelf';

/** The blobs that a process gives, and where. */
interface Offered extends DeployedActor {
  /** Hashes; null: whatever the run keeps. */
  blobs: string[] | null;
  /** Hosts that read now. */
  readers: number;
}

export interface WeightsOfferOptions {
  /** Directory of the blobs. */
  dir: string;
  /** Lets other processes call an actor; where that is. */
  serve: (actor: ServableActor) => Promise<DeployedActor>;
  /** Tells others what is given. */
  tell: (offered: Offered) => Promise<void>;
  withdraw: () => Promise<void>;
  /** Hears of an offer that could not be told. */
  onFailed: (error: unknown) => void;
  /** Pause between two tellings of an offer; default: 1,000. */
  repeatMs?: number;
}

/** The blobs of a directory, as they are given to other hosts. */
export class WeightsOffer {
  private blobs: readonly string[] | null = [];
  private readers = 0;
  private readonly repeating: NodeJS.Timeout;

  private constructor(
    private readonly options: WeightsOfferOptions,
    private readonly shelf: ActorMesh<WeightsShelf>,
    private readonly at: DeployedActor,
  ) {
    // A Redis that dies may lose what it was told last, and a predecessor that was cut off may have told later.
    this.repeating = setInterval(() => {
      this.retell();
    }, options.repeatMs ?? 1_000);
  }

  static async open(options: WeightsOfferOptions): Promise<WeightsOffer> {
    let offer: WeightsOffer | null = null;
    const shelf = await thisProc().spawn('weights', WeightsShelf, {
      dir: options.dir,
      onReaders: (count: number) => {
        if (offer === null) return;
        offer.readers = count;
        offer.retell();
      },
      clock: () => performance.now(),
    });
    const { address, actor } = await options.serve(shelf);
    offer = new WeightsOffer(options, shelf, { address, actor });
    return offer;
  }

  /** Gives these blobs from now on; null: whatever the run keeps. */
  hold(blobs: readonly string[] | null): Promise<void> {
    this.blobs = blobs;
    return this.tell();
  }

  async close(): Promise<void> {
    clearInterval(this.repeating);
    await this.shelf.stop({ drainMs: 0 });
    await this.options.withdraw();
  }

  private retell(): void {
    void this.tell().catch(this.options.onFailed);
  }

  private tell(): Promise<void> {
    const { at, blobs, readers } = this;
    return this.options.tell({ ...at, blobs: blobs && [...blobs], readers });
  }
}
