import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '@forge/testing';
import { withDashboard } from './beside-run';

let runsDir: string;
let written: string;
beforeEach(() => {
  runsDir = mkdtempSync(join(tmpdir(), 'forge-beside-'));
  mkdirSync(join(runsDir, 'run', 'logs'), { recursive: true });
  written = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written += String(text);
    return true;
  });
});
afterEach(() => {
  jest.restoreAllMocks();
  rmSync(runsDir, { recursive: true });
});

/** A run that ends once the dashboard is there. */
async function runWith(status: number, isTerminal: boolean, interrupted: () => Promise<void>) {
  const said: string[] = [];
  const code = await withDashboard(
    { isWanted: true, runsDir, isTerminal },
    async (beside) => {
      beside(join(runsDir, 'run'), (message) => said.push(message));
      await waitFor('the dashboard', () => said.length > 0);
      return status;
    },
    interrupted,
  );
  return { code, url: /^dashboard: (http:\S+)\/#token=/.exec(said[0]!)![1]! };
}
const isGone = (url: string) =>
  fetch(url).then(
    () => false,
    () => true,
  );
const never = () => new Promise<void>(() => undefined);

describe('withDashboard', () => {
  it('keeps it on a terminal when the run has ended, until Ctrl-C', async () => {
    const asked = jest.fn(async () => {
      const url = /the dashboard stays until Ctrl-C: (http:\S+)\/#token=/.exec(written)![1]!;
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
    });
    const { code, url } = await runWith(1, true, asked);
    expect([code, asked.mock.calls.length]).toEqual([1, 1]);
    await waitFor('its end', () => isGone(url));
  });

  it.each([
    [0, false],
    [130, true],
  ])('ends it with a run that ended with %d on a terminal: %p', async (status, isTerminal) => {
    const { code, url } = await runWith(status, isTerminal, never);
    expect(code).toBe(status);
    await waitFor('its end', () => isGone(url));
    expect(written).toBe('');
  });

  it('starts none that is not wanted', async () => {
    const code = await withDashboard({ isWanted: false, runsDir, isTerminal: true }, (beside) => {
      beside(join(runsDir, 'none'), () => undefined);
      return Promise.resolve(0);
    });
    expect(code).toBe(0);
  });
});
