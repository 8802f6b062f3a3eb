import { ForgeError } from '@forge/errors';
import { metricCollector } from '@forge/telemetry';
import { waitFor } from '@forge/testing';
import type { Channel } from '../transports/transport';
import { GovernedProcess } from './governed-process';

/** A process whose agent tells what it is given, and then falls silent in that way. */
function governed(told: Record<string, unknown[]>, endOf: Record<string, () => Promise<void>> = {}) {
  const never = new Promise<never>(() => undefined);
  const kill = jest.fn();
  const channel: Channel = {
    address: 'inproc:test',
    call: () => never,
    stream: async function* ({ endpoint }) {
      yield* told[endpoint] ?? [];
      await (endOf[endpoint]?.() ?? never);
    },
    post: () => undefined,
    lost: never,
    close: async () => undefined,
  };
  const process = new GovernedProcess(channel, { pid: 7, exited: never, end: () => undefined, kill });
  return { process, kill };
}

const failing = async (): Promise<never> => {
  throw new ForgeError('CONTRACT_UNSERIALIZABLE', 'item.how is a function');
};
const report = (rank: string, total: number) => ({
  rank,
  states: { counted: { reduce: 'sum', total } },
  values: [],
});

describe('a process whose agent falls silent while it lives', () => {
  it.each([
    ['about failures, with an error', 'failures', failing, /process 7 .* failures: item.how is a function/],
    [
      'about failures, without one',
      'failures',
      async () => undefined,
      /process 7 .* failures: the stream ended/,
    ],
    ['about metrics', 'recorded', failing, /process 7 .* recorded: item.how is a function/],
  ])('is lost and killed: %s', async (_, endpoint, end, message) => {
    const { process, kill } = governed({}, { [endpoint]: end });
    void process.failures[Symbol.asyncIterator]().next();
    expect(await process.lost).toMatchObject({
      code: 'TRANSIENT_REPLICA_LOST',
      message,
      details: { pid: 7 },
    });
    expect(kill).toHaveBeenCalled();
  });

  it('is lost by a failure that nobody can read', async () => {
    const { process } = governed({ failures: [{ actor: 'counter', failure: null }] });
    expect(await process.failures[Symbol.asyncIterator]().next()).toEqual({ done: true });
    expect(await process.lost).toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
  });
});

describe('metrics recorded in a process', () => {
  it('go on after a report that is invalid, with a warning', async () => {
    const warned = jest.spyOn(process, 'emitWarning').mockImplementation();
    metricCollector().take();
    const infinite = { rank: '', states: { counted: { reduce: 'sum', total: Infinity } }, values: [] };
    governed({ recorded: [[infinite, report('a', 1)], 'no reports', [report('b', 2)]] });
    const ranks = await waitFor('the last report', () => {
      const taken = metricCollector().take();
      return taken.some(({ rank }) => rank === 'p7/b') && taken.map(({ rank }) => rank);
    });
    expect(ranks).toEqual(['p7/a', 'p7/b']);
    expect(warned.mock.calls.map(([message]) => message)).toEqual([
      expect.stringMatching(/^metrics of process 7 are left out: .*total/),
    ]);
    warned.mockRestore();
  });
});
