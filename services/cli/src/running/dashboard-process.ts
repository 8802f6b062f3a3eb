import { dashboardChildEnvironment } from '@forge/config';
import { startServiceProcess, type ServiceProcess } from './service-process';

export interface DashboardOptions {
  runsDir: string;
  host?: string;
  /** Left out: its usual one, or another one where that is taken. */
  port?: number;
  /** The file that gets what it says; this terminal without one. */
  logFile?: string;
}

/** Starts a dashboard; its address has the token. */
export function startDashboard({ logFile, ...options }: DashboardOptions): ServiceProcess {
  return startServiceProcess('dashboard', dashboardChildEnvironment(options), logFile);
}
