import { spawn } from 'node:child_process';

export interface ProgramResult {
  /** Null when it could not be started, as when it is not there. */
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export function runProgram(
  command: string,
  args: readonly string[],
  { env, timeoutMs }: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(env && { env }),
      timeout: timeoutMs,
    });
    const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    const end = (status: number | null, reason: string): void => {
      resolve({
        status,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString() || reason,
      });
    };
    child.once('error', (error) => {
      end(null, error.message);
    });
    child.once('close', (code, signal) => {
      end(code ?? 1, signal === null ? '' : `ended by ${signal}`);
    });
  });
}
