import { ForgeError } from '@forge/errors';

/**
 * One call for all items asked for in the same turn of the event loop: `call` takes an array of items and gives as many
 * results in the same order. `serial`: one call at a time; items asked for meanwhile go together in the next.
 */
export function batched<Item, Result>(
  call: (items: Item[]) => Promise<Result[]>,
  { maxBatch, serial = false }: { maxBatch: number; serial?: boolean },
): (item: Item) => Promise<Result> {
  interface Waiting {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  }
  const waiting: Waiting[] = [];
  let isSending = false;

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

  async function sendAll(): Promise<void> {
    while (waiting.length > 0) {
      const sent = send(waiting.splice(0, maxBatch));
      if (serial) await sent;
    }
    isSending = false;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (isSending) return;
      isSending = true;
      setImmediate(() => void sendAll());
    });
}
