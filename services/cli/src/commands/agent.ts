import { serveHost } from '@forge/actors';

/** Time that calls under way may still take once the agent is told to end. */
const DRAIN_MS = 10_000;

/** `forge agent`: makes this machine a host on which others spawn, until it is told to end. */
export async function agent({ listen, name }: { listen: string; name?: string }): Promise<number> {
  const say = (message: string): void => {
    process.stderr.write(`forge: ${message}\n`);
  };
  const host = await serveHost({ at: listen, ...(name !== undefined && { name }), log: say });
  const gpus = host.gpus.length === 0 ? 'no GPUs' : `GPUs ${host.gpus.join(', ')}`;
  say(`host ${host.name} listens at ${host.address} and hands out ${gpus}`);
  await told();
  say('ending: what has come is answered first (Ctrl-C again to end at once)');
  return Promise.race([host.close(DRAIN_MS).then(() => 0), told().then(() => 130)]);
}

/** Resolves when SIGINT or SIGTERM comes. */
function told(): Promise<void> {
  return new Promise((resolve) => {
    const signals = ['SIGINT', 'SIGTERM'] as const;
    const onSignal = (): void => {
      for (const signal of signals) process.off(signal, onSignal);
      resolve();
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
}
