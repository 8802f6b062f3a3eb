/** The day of `at` where this process runs, as YYYY-MM-DD. */
export function dayOf(at: Date): string {
  const [year, month, day] = [at.getFullYear(), at.getMonth() + 1, at.getDate()];
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}

/** `recipe` with the day it is started at, unless it names one. */
export function dated<T extends { date?: string | undefined }>(recipe: T, at: Date): T {
  return { ...recipe, date: recipe.date ?? dayOf(at) };
}
