import { thisProc, type DeployedActor, type ServableActor } from '@forge/actors';
import { WeightsShelf } from './weights-shelf';

export interface WeightsOfferOptions {
  /** Directory of the blobs. */
  dir: string;
  /** Lets other processes call an actor; where that is. */
  serve: (actor: ServableActor) => Promise<DeployedActor>;
  /** Tells others what is given, and where. */
  tell: (offered: Offered) => Promise<void>;
  /** Hears of an offer that could not be told. */
  onFailed: (error: unknown) => void;
}

interface Offered extends DeployedActor {
  /** Null: whatever the run keeps. */
  blobs: string[] | null;
  readers: number;
}

/** The blobs of a directory, as they are given to other hosts. */
export class WeightsOffer {
  private at: DeployedActor | null = null;
  private blobs: readonly string[] | null = [];
  private readers = 0;

  private constructor(private readonly options: WeightsOfferOptions) {}

  static async open(options: WeightsOfferOptions): Promise<WeightsOffer> {
    const offer = new WeightsOffer(options);
    const shelf = await thisProc().spawn('weights', WeightsShelf, {
      dir: options.dir,
      onReaders: (count: number) => {
        offer.readers = count;
        void offer.tell().catch(options.onFailed);
      },
      clock: () => performance.now(),
    });
    offer.at = await options.serve(shelf);
    return offer;
  }

  /** Gives these blobs from now on; null: whatever the run keeps. */
  hold(blobs: readonly string[] | null): Promise<void> {
    this.blobs = blobs;
    return this.tell();
  }

  private async tell(): Promise<void> {
    const { at, blobs, readers } = this;
    if (at !== null) await this.options.tell({ ...at, blobs: blobs && [...blobs], readers });
  }
}
