/** Stops all items, one after the other, then throws the first error. */
export async function stopAll<T>(items: Iterable<T>, stop: (item: T) => Promise<void>): Promise<void> {
  const errors: unknown[] = [];
  for (const item of items) await stop(item).catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}
