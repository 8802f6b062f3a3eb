import { ForgeError } from '@forge/errors';

/**
 * One call for all items asked for in the same turn of the event loop: `call` takes an array of items and gives as many
 * results in the same order.
 */
export function batched<Item, Result>(
  call: (items: Item[]) => Promise<Result[]>,
  { maxBatch }: { maxBatch: number },
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  let waiting: Waiting[] = [];

  async function send(batch: Waiting[]): Promise<void> {
    try {
      const results = await call(batch.map(({ item }) => item));
      if (results.length !== batch.length) {
        throw new ForgeError(
          'SHAPE_MISMATCH',
          `a batched call: ${results.length} results for ${batch.length} items`,
        );
      }
      batch.forEach(({ resolve }, i) => {
        resolve(results[i]!);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length > 1) return;
      setImmediate(() => {
        const all = waiting;
        waiting = [];
        for (let i = 0; i < all.length; i += maxBatch) void send(all.slice(i, i + maxBatch));
      });
    });
}
