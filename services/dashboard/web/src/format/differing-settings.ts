/** A setting of two runs, as text; null where one does not have it. */
export interface SettingPair {
  path: string;
  a: string | null;
  b: string | null;
}

/** Settings by their dotted paths, as they are written on a command line. */
export function flatSettings(config: unknown): Map<string, string> {
  const flat = new Map<string, string>();
  const add = (path: string, value: unknown): void => {
    const isGroup = typeof value === 'object' && value !== null && !isPlainList(value);
    const entries = isGroup ? Object.entries(value) : [];
    if (entries.length === 0) flat.set(path, textOf(value));
    for (const [key, inner] of entries) add(path === '' ? key : `${path}.${key}`, inner);
  };
  if (config !== null && config !== undefined) add('', config);
  return flat;
}

/** The settings that differ, in the order of the first. */
export function differingSettings(a: unknown, b: unknown): SettingPair[] {
  const [ofA, ofB] = [flatSettings(a), flatSettings(b)];
  return [...new Set([...ofA.keys(), ...ofB.keys()])]
    .map((path) => ({ path, a: ofA.get(path) ?? null, b: ofB.get(path) ?? null }))
    .filter((pair) => pair.a !== pair.b);
}

/** A list of values that are no objects is one setting. */
const isPlainList = (value: object): boolean =>
  Array.isArray(value) && value.every((one) => typeof one !== 'object' || one === null);

/** Null stands for a value that JSON has no word for. */
const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
