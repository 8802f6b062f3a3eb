import { readdirSync, readFileSync } from 'node:fs';

/** Memory and files a process holds; there on Linux only. */
export interface VitalSigns {
  pid: number;
  residentBytes: number;
  openFiles: number;
}

export function vitalSigns(pid: number): VitalSigns {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]);
  return { pid, residentBytes: kilobytes * 1024, openFiles: readdirSync(`/proc/${pid}/fd`).length };
}

/** Problems of a process after it was sent so much, compared with before. */
export function changes(
  name: string,
  before: VitalSigns,
  after: VitalSigns,
  bounds: { residentBytes: number; openFiles: number },
): string[] {
  if (before.pid !== after.pid) return [`${name} died: process ${before.pid} is ${after.pid} now`];
  const grown = after.residentBytes - before.residentBytes;
  const opened = after.openFiles - before.openFiles;
  return [
    ...(grown > bounds.residentBytes ? [`${name} grew by ${megabytes(grown)}`] : []),
    ...(opened > bounds.openFiles ? [`${name} has ${opened} files more open`] : []),
  ];
}

export function megabytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}
