import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { waitFor } from '@forge/testing';
import { directoryWithModel, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
const ADDRESS = /dashboard: (http:\S+?)\/#token=(\S+)/;

interface View {
  run: { id: string; state: string; step: number };
  live: { isPaused: boolean; replicas: unknown[] } | null;
  verdict: { bound: string };
}
interface Sample {
  completions: { text: string; reward: number; rewards: object; tokens: { text: string }[] }[];
}
interface Started {
  child: ChildProcess;
  said: () => string;
  exit: Promise<number | null>;
}

let dir: string;
const children: ChildProcess[] = [];
beforeAll(async () => {
  dir = await directoryWithModel();
  const recipe = smallRecipe(dir, { name: 'shown', steps: 100_000, output: { sampleRollouts: 2 } });
  writeFileSync(join(dir, 'shown.yaml'), JSON.stringify(recipe));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function start(...args: string[]): Started {
  const env: NodeJS.ProcessEnv = { ...process.env, REDIS_URL: '' };
  const child = spawn(process.execPath, [forge, ...args], { cwd: dir, env });
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  return { child, said: () => said, exit: once(child, 'close').then(([code]) => code as number | null) };
}

const addressOf = ({ said }: Started): Promise<RegExpExecArray> =>
  waitFor('the address', () => ADDRESS.exec(said()), 60_000);
async function get<T>(url: string, path: string): Promise<T> {
  return (await (await fetch(`${url}/api${path}`)).json()) as T;
}
function post(url: string, path: string, token: string, body: object = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return fetch(`${url}/api${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
}
/** Processes whose program is the dashboard's, of those below this test. */
const dashboardsIn = (runsDir: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        return (
          environment.includes(`FORGE_RUNS_DIR=${runsDir}`) &&
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('dashboard/dist/main')
        );
      } catch {
        return false;
      }
    })
    .map(Number);

describe('forge run --dashboard', () => {
  it('shows the run and steers it, and neither needs the other', async () => {
    const run = start('run', 'shown.yaml', `output.dir=${join(dir, 'live')}`, '--dashboard');
    const [, url, token] = (await addressOf(run)) as unknown as [string, string, string];
    const [{ id }] = await waitFor('the run', async () => {
      const runs = await get<{ id: string }[]>(url, '/runs');
      return runs.length > 0 && (runs as [{ id: string }]);
    });
    const view = () => get<View>(url, `/runs/${id}`);
    const going = await waitFor(
      'two steps',
      async () => {
        const now = await view();
        return now.run.step >= 2 && now;
      },
      90_000,
    );
    expect(going).toMatchObject({ run: { state: 'running' }, live: { isPaused: false } });
    expect(going.live!.replicas).toHaveLength(6);
    const [sample] = await waitFor('a sample', async () => {
      const samples = await get<Sample[]>(url, `/runs/${id}/samples`);
      return samples.length > 0 && (samples as [Sample]);
    });
    for (const { text, rewards, tokens } of sample.completions) {
      expect(Object.keys(rewards)).not.toEqual([]);
      // The text is without tokens such as <eos>, which a policy may choose anywhere.
      const plain = tokens.filter((token) => !/^<\w+>$/.test(token.text));
      expect(plain.map((token) => token.text).join('')).toBe(text);
    }

    expect((await post(url, `/runs/${id}/pause`, 'not the token')).status).toBe(401);
    expect((await post(url, `/runs/${id}/pause`, token)).status).toBe(204);
    await waitFor('the pause', async () => (await view()).verdict.bound === 'paused');
    expect((await post(url, `/runs/${id}/unpause`, token)).status).toBe(204);

    const watch = start('status', id, '--dir', join(dir, 'live'), '--watch');
    await waitFor('the watch', () => /step \d+\/100000[\s\S]*learning +reward/.test(watch.said()));

    const [dashboard] = dashboardsIn(join(dir, 'live'));
    const { step } = (await view()).run;
    process.kill(dashboard!, 'SIGKILL');
    await waitFor('a word about it', () => run.said().includes('the dashboard ended (SIGKILL; see'));
    expect(run.said()).toContain('the run goes on');
    const other = start('dashboard', '--dir', join(dir, 'live'));
    const [, url2, token2] = (await addressOf(other)) as unknown as [string, string, string];
    const viewThere = () => get<View>(url2, `/runs/${id}`);
    await waitFor('more steps', async () => (await viewThere()).run.step > step, 60_000);

    const steps = (await viewThere()).run.step + 50;
    expect((await post(url2, `/runs/${id}/set`, token2, { steps })).status).toBe(204);
    expect(await run.exit).toBe(0);
    expect(await watch.exit).toBe(0);
    await waitFor('the end', async () => (await viewThere()).run.state === 'finished');
    expect(await viewThere()).toMatchObject({ live: null, verdict: { bound: 'over' } });
    const rollout = await get<{ history: { state: string } }>(url2, `/runs/${id}/rollouts/0`);
    expect(rollout.history.state).toBe('trained');
    expect(await get<unknown[]>(url2, `/runs/${id}/weights`)).not.toEqual([]);
    other.child.kill('SIGINT');
    expect(await other.exit).toBe(0);
  });

  it('ends with the run where nobody sits at a terminal', async () => {
    const output = join(dir, 'over');
    const run = start('run', 'shown.yaml', 'steps=2', `output.dir=${output}`, '--dashboard');
    await addressOf(run);
    expect(await run.exit).toBe(0);
    await waitFor('its end', () => dashboardsIn(output).length === 0);
  });

  it('is not there unless it is wanted', async () => {
    const run = start(
      'run',
      'shown.yaml',
      'steps=1',
      `output.dir=${join(dir, 'none')}`,
      '--dashboard',
      '--no-dashboard',
    );
    expect(await run.exit).toBe(0);
    expect(run.said()).not.toContain('dashboard');
  });
});

describe('forge dashboard', () => {
  it('says so when the port is taken, or takes another one', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const asked = start('dashboard', '--port', String(port));
    expect(await asked.exit).toBe(2);
    expect(asked.said()).toContain(`port ${port} of 127.0.0.1 is taken`);
    taken.close();
    const [first, second] = [start('dashboard'), start('dashboard')];
    const [, a] = await addressOf(first);
    const [, b] = await addressOf(second);
    expect(a).not.toBe(b);
    for (const one of [first, second]) one.child.kill('SIGKILL');
    const isGone = (url: string) =>
      fetch(url).then(
        () => false,
        () => true,
      );
    await waitFor('their end with who started them', async () => (await isGone(a!)) && (await isGone(b!)));
  });
});
