/** The items of all sources as they come; when one throws, the others are ended. */
export async function* inCompletionOrder<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const next = async (at: number): Promise<[number, IteratorResult<T>]> => [at, await iterators[at]!.next()];
  const pending = new Map(iterators.map((_, at) => [at, next(at)]));
  try {
    while (pending.size > 0) {
      const [at, item] = await Promise.race(pending.values());
      pending.delete(at);
      if (item.done === true) continue;
      pending.set(at, next(at));
      yield item.value;
    }
  } finally {
    for (const [at, item] of pending) {
      item.catch(() => undefined);
      iterators[at]!.return?.()?.catch(() => undefined);
    }
  }
}

/** One result as a source of one item. */
export async function* single<T>(result: Promise<T>): AsyncGenerator<T> {
  yield await result;
}
