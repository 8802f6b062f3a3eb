import { startDashboard, type DashboardOptions } from '../running/dashboard-process';
import { untilEnded } from '../running/service-process';

/** `forge dashboard`: shows the runs of a directory on a page, until Ctrl-C. */
export function dashboard({
  dir,
  host,
  port,
}: { dir: string } & Pick<DashboardOptions, 'host' | 'port'>): Promise<number> {
  const started = startDashboard({
    runsDir: dir,
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
  });
  return untilEnded(started, (address) => `dashboard: ${address}`);
}
