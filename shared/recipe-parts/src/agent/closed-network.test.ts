import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolloutSchema } from '@forge/config';
import { isRunning, waitFor } from '@forge/testing';
import { loadAgent } from '../load-agent';
import { hasNamespaces } from '../processes/namespaces.fixture';

const withNamespaces = hasNamespaces ? it : it.skip;
const dir = mkdtempSync(join(tmpdir(), 'forge-network-'));
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(dir, { recursive: true });
});

/** A server of this machine that says its name, and what it was sent. */
async function serverNamed(name: string): Promise<{ port: number; asked: () => number }> {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    response.write(`${name} `);
    request.pipe(response);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  return { port: (server.address() as AddressInfo).port, asked: () => asked };
}

const sample = { id: 's1', prompt: 'p' };
/** A running agent of a program of Node; `closed` unless told otherwise. */
function agentOf(code: string, network: 'open' | 'closed' = 'closed') {
  const file = join(dir, `agent-${readdirSync(dir).length}.mjs`);
  writeFileSync(file, code);
  return loadAgent({ rollout: rolloutSchema.parse({ command: [process.execPath, file], network }) })!;
}
/** Text of a program that says what each of the addresses answers. */
const asking = (...urls: string[]) => `
  const say = (url) => fetch(url, { method: 'POST', body: 'hello', signal: AbortSignal.timeout(20_000) })
    .then((response) => response.text(), (error) => error.cause?.code ?? error.name);
  for (const url of [process.env.OPENAI_BASE_URL, ${urls.map((url) => JSON.stringify(url)).join()}]) console.error(await say(url));`;
const address = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === 'IPv4' && !each.internal)?.address;

describe('a closed network', () => {
  withNamespaces('leads agents to the gateway, and to nothing else of this machine or beyond', async () => {
    const gateway = await serverNamed('gateway');
    const other = await serverNamed('other');
    const urls = [
      `http://127.0.0.1:${other.port}/`,
      `http://${address ?? '10.0.0.1'}:${other.port}/`,
      'http://192.0.2.1/',
    ];
    const call = { sample, baseUrl: `http://127.0.0.1:${gateway.port}`, key: 'k' };
    const closed = await agentOf(asking(...urls)).run(call);
    const [said, ...refused] = closed.stderr.trim().split('\n');
    expect(said).toBe('gateway hello');
    expect(refused).toEqual(['ECONNREFUSED', 'ENETUNREACH', 'ENETUNREACH']);
    expect(other.asked()).toBe(0);
    const open = await agentOf(asking(urls[0]!), 'open').run(call);
    expect(open.stderr.trim().split('\n')).toEqual(['gateway hello', 'other hello']);
  });

  withNamespaces(
    'carries many calls and large ones, follows a gateway that moves, and is made again when it has ended',
    async () => {
      const [first, second] = await Promise.all([serverNamed('first'), serverNamed('second')]);
      const agent = agentOf(`
      const { readlinkSync } = await import('node:fs');
      const body = 'x'.repeat(3_000_000);
      const answers = await Promise.all(Array.from({ length: 8 }, async () =>
        (await (await fetch(process.env.OPENAI_BASE_URL, { method: 'POST', body })).text())));
      console.error([...new Set(answers.map((text) => text.slice(0, 7) + text.length))].join(), readlinkSync('/proc/self/ns/net'));`);
      const at = async (port: number): Promise<string[]> =>
        (await agent.run({ sample, baseUrl: `http://127.0.0.1:${port}`, key: 'k' })).stderr
          .trim()
          .split('\n');
      const own = readlinkSync('/proc/self/ns/net');
      const outcomes = await Promise.all([at(first.port), at(first.port)]);
      const network = outcomes[0]![0]!.split(' ').at(-1)!;
      expect(outcomes).toEqual([[`first x3000006 ${network}`], [`first x3000006 ${network}`]]);
      expect(network).not.toBe(own);
      expect(await at(second.port)).toEqual([`second 3000007 ${network}`]);
      for (const pid of processesIn(network)) process.kill(pid, 'SIGKILL');
      await waitFor('end of the network', () => processesIn(network).length === 0);
      const [again] = await at(first.port);
      expect(again).toMatch(/^first x3000006 net:/);
      expect(again).not.toContain(network);
    },
  );

  withNamespaces('ends with the process that has it, also when that is killed', async () => {
    const gateway = await serverNamed('gateway');
    const parent = join(dir, 'parent.cjs');
    const code = `console.error('ready'); setInterval(() => undefined, 1e6);`;
    const file = join(dir, 'waiting.mjs');
    writeFileSync(file, code);
    writeFileSync(
      parent,
      `const { loadAgent } = require(${JSON.stringify(join(__dirname, '../../dist/index.js'))});
       const rollout = { command: [process.execPath, ${JSON.stringify(file)}], env: {}, network: 'closed' };
       void loadAgent({ rollout }).run({ sample: { id: 's', prompt: 'p' }, baseUrl: 'http://127.0.0.1:${gateway.port}', key: 'k' });`,
    );
    const owner = spawn(process.execPath, [parent], { stdio: 'inherit' });
    const childrenOf = (): number[] =>
      execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
        .filter(([, ppid]) => Number(ppid) === owner.pid)
        .map(([pid]) => Number(pid));
    const own = readlinkSync('/proc/self/ns/net');
    const inside = await waitFor(
      'an agent beside its network',
      () => {
        const apart = childrenOf().filter((pid) => ![own, null].includes(networkOf(pid)));
        return apart.length === 2 && apart;
      },
      30_000,
    );
    owner.kill('SIGKILL');
    await waitFor('end of the network and its agent', () => !inside.some(isRunning));
  });

  withNamespaces('is refused before anything starts where the system gives none, with the way out', () => {
    const program = `
      const { loadAgent } = require(${JSON.stringify(join(__dirname, '../../dist/index.js'))});
      try { loadAgent({ rollout: { command: ['sh'], env: {}, network: 'closed' } }); } catch (error) { console.log(error.code, error.message); }`;
    const none = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"';
    const said = execFileSync(
      'unshare',
      ['--user', '--map-root-user', 'sh', '-c', none, 'sh', process.execPath, '-e', program],
      { encoding: 'utf8' },
    );
    expect(said).toMatch(
      /^CONFIG_INVALID rollout\.network: found closed, expected open where this machine gives no network namespaces: unshare: .*; allow user namespaces \(.*\), or leave it open/,
    );
  });
});

/** The network namespace of a process; null: it has ended. */
function networkOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return null;
  }
}

function processesIn(network: string): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => isRunning(pid) && networkOf(pid) === network);
}
