import { ForgeError } from '@forge/errors';

/** How far a download is. */
export interface DownloadProgress {
  /** Bytes that are there by now, those of earlier attempts included. */
  doneBytes: number;
  totalBytes: number;
}

/** Listener of a download, which it may stop. */
export interface DownloadWatch {
  /** A line for people: what is downloaded, what is waited for. */
  say?: (message: string) => void;
  onProgress?: (progress: DownloadProgress) => void;
  /** Asked before more than `bytes` are fetched; false ends it. */
  confirm?: (bytes: number) => Promise<boolean>;
  /** Ends a download where it is; the next one goes on there. */
  signal?: AbortSignal | undefined;
}

/** The error of a download that its signal, or its user, has ended. */
export function cancelled(): ForgeError {
  return new ForgeError(
    'CANCELLED',
    'the download was stopped; what has arrived is kept, and the same command goes on from there',
  );
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** A number of bytes for people, in powers of ten as disks and the hub count: `269 MB`. */
export function bytesInWords(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** power;
  return `${power > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${UNITS[power]}`;
}
