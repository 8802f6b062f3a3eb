import { serveHost } from './serve-host';

/** A host at the address in argument 1, for as long as its parent lives; drained by SIGTERM. */
async function main(at: string): Promise<void> {
  process.once('disconnect', () => process.exit(1));
  const host = await serveHost({
    at,
    name: `host-${process.pid}`,
    log: (message) => process.send?.(message),
  });
  process.once('SIGTERM', () => {
    void host.close(10_000).then(() => process.exit(0));
  });
  process.send?.(host.address);
}

void main(process.argv[2] ?? '');
