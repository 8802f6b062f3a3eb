import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { startDashboard } from './dashboard-process';
import type { ServiceProcess } from './service-process';

/** Call once the directory of the run is there. */
export type Beside = (directory: string, say: (message: string) => void) => void;

/**
 * Does the work of a run with a dashboard beside it, if one is wanted. The run does not depend on it. On a terminal it
 * stays when the run has ended by itself, until Ctrl-C.
 */
export async function withDashboard(
  { isWanted, runsDir, isTerminal }: { isWanted: boolean; runsDir: string; isTerminal: boolean },
  work: (beside: Beside) => Promise<number>,
  interrupted: () => Promise<void> = untilInterrupted,
): Promise<number> {
  if (!isWanted) return work(() => undefined);
  let dashboard: ServiceProcess | null = null;
  let isOver = false;
  const beside: Beside = (directory, say) => {
    const logFile = join(runPaths(directory).logs, 'dashboard.log');
    dashboard = startDashboard({ runsDir, logFile });
    void dashboard.address.then((address) => {
      if (address !== null && !isOver) say(`dashboard: ${address}`);
    });
    void dashboard.ended.then(({ reason }) => {
      if (!isOver) say(`the dashboard ended (${reason}; see ${logFile}); the run goes on`);
    });
  };
  try {
    const status = await work(beside);
    isOver = true;
    await stay(dashboard, status, isTerminal, interrupted);
    return status;
  } finally {
    isOver = true;
    (dashboard as ServiceProcess | null)?.stop();
  }
}

const INTERRUPTED = 130;

async function stay(
  dashboard: ServiceProcess | null,
  status: number,
  isTerminal: boolean,
  interrupted: () => Promise<void>,
): Promise<void> {
  if (dashboard === null || !isTerminal || status === INTERRUPTED) return;
  const address = await dashboard.address;
  if (address === null) return;
  process.stdout.write(`the dashboard stays until Ctrl-C: ${address}\n`);
  await Promise.race([interrupted(), dashboard.ended]);
}

function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
