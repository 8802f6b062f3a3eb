import { runService } from './run-service';

/** A service whose drain says so by IPC, and is over when it gets a message. */
runService({
  name: 'fixture',
  start: ({ http, recipe, runId }) => {
    http.get('/run', () => ({ runId, maxStaleness: String(recipe.maxStaleness) }));
    http.get('/block', () => {
      for (;;);
    });
    let busyMs = 0;
    let finish: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (finish = resolve));
    process.on('message', finish);
    return Promise.resolve({
      ready: () => true,
      totals: () => ({ busyMs: (busyMs += 5) }),
      drain: () => {
        if (process.connected) process.send?.('draining');
        return released;
      },
    });
  },
});
