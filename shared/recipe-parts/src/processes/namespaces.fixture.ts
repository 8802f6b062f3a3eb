import { spawnSync } from 'node:child_process';

const PROBE = ['--user', '--map-root-user', '--net', 'ip', 'link', 'set', 'lo', 'up'];

/** Whether the system gives network namespaces; not where unshare is refused, or there is no iproute2. */
export const hasNamespaces = spawnSync('unshare', PROBE).status === 0;
