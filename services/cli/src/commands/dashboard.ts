import { startDashboard, type DashboardOptions } from '../running/dashboard-process';

/** `forge dashboard`: shows the runs of a directory on a page, until Ctrl-C. */
export async function dashboard({
  dir,
  host,
  port,
}: { dir: string } & Pick<DashboardOptions, 'host' | 'port'>): Promise<number> {
  const started = startDashboard({
    runsDir: dir,
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
  });
  let isAsked = false;
  const stop = (): void => {
    isAsked = true;
    started.stop();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  const address = await started.address;
  if (address !== null) process.stdout.write(`dashboard: ${address}\nCtrl-C ends it\n`);
  const { status } = await started.ended;
  return isAsked ? 0 : status;
}
