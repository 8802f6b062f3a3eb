import { runService } from './run-service';

/** Service that tells its recipe, says by IPC that it drains, and ends with the next message; `block` makes it hang. */
runService({
  name: 'fixture',
  start: ({ recipe }) => {
    let busyMs = 0;
    let finish: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (finish = resolve));
    process.on('message', (message) => {
      while (message === 'block');
      finish();
    });
    return Promise.resolve({
      ready: () => true,
      totals: () => ({ busyMs: (busyMs += 5) }),
      gauges: () => Promise.resolve({ steps: recipe.steps }),
      drain: () => {
        if (process.connected) process.send?.('draining');
        return released;
      },
    });
  },
});
