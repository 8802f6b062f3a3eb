/**
 * The value of `promise`, or, once `ms` have passed, what `onLate` gives or throws; a rejection that comes later is
 * dropped.
 */
export async function within<T, L = never>(ms: number, promise: Promise<T>, onLate: () => L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<L>((resolve, reject) => {
    timer = setTimeout(() => {
      try {
        resolve(onLate());
      } catch (error) {
        reject(error as Error);
      }
    }, ms);
  });
  try {
    // A race handles the rejections of both, also the later one.
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
