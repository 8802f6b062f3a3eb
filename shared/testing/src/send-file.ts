import type { ServerResponse } from 'node:http';

/** How the answer with a file goes wrong. */
export interface FileFault {
  /** Ends the connection after so many bytes of the body. */
  cutAfterBytes?: number;
  /** Sends so many bytes and then nothing for good. */
  stallsAfterBytes?: number;
  /** Sends other bytes of the same number. */
  isCorrupt?: boolean;
  /** Sends all of the file whatever range is asked for. */
  ignoresRange?: boolean;
}

/** The time that what was sent has to arrive before the connection ends. */
const CUT_MS = 20;

/** Answers with a file, or with the rest of it that `range`, the header, asks for. */
export function sendFile(
  response: ServerResponse,
  bytes: Buffer,
  range: string | undefined,
  { cutAfterBytes, stallsAfterBytes, isCorrupt, ignoresRange }: FileFault = {},
): void {
  const begin = ignoresRange ? 0 : Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
  const body = Buffer.from(bytes.subarray(begin));
  if (isCorrupt) body[0]! ^= 1;
  response.writeHead(begin > 0 ? 206 : 200, {
    'content-length': body.length,
    ...(begin > 0 && { 'content-range': `bytes ${begin}-${bytes.length - 1}/${bytes.length}` }),
  });
  const most = cutAfterBytes ?? stallsAfterBytes ?? Infinity;
  if (body.length <= most) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, most), () => {
    if (cutAfterBytes !== undefined) setTimeout(() => response.destroy(), CUT_MS);
  });
}
