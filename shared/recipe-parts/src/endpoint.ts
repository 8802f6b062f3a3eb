/** The body of a response as text; null where it is larger than `maxBytes`. */
export async function boundedText(response: Response, maxBytes: number): Promise<string | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    parts.push(part);
    size += part.length;
    if (size > maxBytes) return null;
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Whether the same request may have another answer later. */
export function mayPass(status: number): boolean {
  return [408, 425, 429].includes(status) || status >= 500;
}

/** Reason of a request without an answer, in the fewest words. */
export function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing within ${timeoutMs} ms`;
  const { cause, code } = error as { cause?: { code?: string; message?: string }; code?: string };
  return cause?.code ?? cause?.message ?? code ?? (error instanceof Error ? error.message : String(error));
}
