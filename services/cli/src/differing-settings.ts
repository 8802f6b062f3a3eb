/** The dotted names of the settings that two values do not have alike, in the order of `a`. */
export function differingSettings(a: unknown, b: unknown, path: readonly string[] = []): string[] {
  if (isRecord(a) && isRecord(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return keys.flatMap((key) => differingSettings(a[key], b[key], [...path, key]));
  }
  return Object.is(a, b) ? [] : [path.join('.')];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
