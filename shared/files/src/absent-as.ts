/** The result of `read`, or `fallback` where there is no such file or directory. */
export async function absentAs<T, F>(fallback: F, read: () => Promise<T>): Promise<T | F> {
  try {
    return await read();
  } catch (error) {
    if (isAbsence(error)) return fallback;
    throw error;
  }
}

/** `absentAs` for code that can't wait. */
export function absentAsSync<T, F>(fallback: F, read: () => T): T | F {
  try {
    return read();
  } catch (error) {
    if (isAbsence(error)) return fallback;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
