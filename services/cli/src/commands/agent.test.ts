import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { connectHost } from '@forge/actors';
import { waitFor } from '@forge/testing';
import { Waiter } from './waiter.fixture';

process.env.FORGE_CLUSTER_TOKEN = 'a token of the cluster';
const FORGE = join(__dirname, '../../bin/forge.cjs');

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

/** `forge agent`, what it says, and how it ends. */
function forge(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const env = { ...process.env, CUDA_VISIBLE_DEVICES: '4,6', ...environment };
  const child = spawn(process.execPath, [FORGE, 'agent', ...args], { env });
  running.push(child);
  const forged = { child, said: '', ended: once(child, 'exit') };
  child.stderr.on('data', (text: Buffer) => (forged.said += text.toString()));
  return forged;
}

const listening = ({ said }: { said: string }): string | undefined => / at (tcp:\S+)/.exec(said)?.[1];

describe('forge agent', () => {
  it('says where it listens and what it hands out, and ends when it is told to', async () => {
    const agent = forge(['--listen', 'tcp://127.0.0.1:0', '--name', 'box']);
    const address = await waitFor('the agent', () => listening(agent));
    expect(agent.said).toBe(`forge: host box listens at ${address} and hands out GPUs 4, 6\n`);
    expect((await connectHost(address)).name).toBe('box');
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toEqual([0, null]);
  });

  it('answers what has come first, unless it is told a second time', async () => {
    const agent = forge(['--listen', 'tcp://127.0.0.1:0']);
    const host = await connectHost(await waitFor('the agent', () => listening(agent)));
    const procs = await host.spawnProcs({ procs: 1 }, { withGpus: true, onFailure: () => true });
    const waiter = await procs.spawn('waiter', Waiter);
    const answer = waiter.wait.callOne();
    await waiter.isThere.callOne();
    agent.child.kill('SIGINT');
    await waitFor('the drain', () => agent.said.includes('what has come is answered first'));
    expect(agent.said).toMatch(/spawns process \d+ with GPU 4\n/);
    agent.child.kill('SIGINT');
    expect(await agent.ended).toEqual([130, null]);
    await expect(answer).rejects.toMatchObject({ code: 'TRANSIENT_REPLICA_LOST' });
    await procs.stop();
  });

  it.each([
    [['--listen', 'tcp://127.0.0.1:0'], { FORGE_CLUSTER_TOKEN: '' }, /set FORGE_CLUSTER_TOKEN to a secret/],
    [['--listen', 'tls://127.0.0.1:0'], {}, /a listener at tls: needs/],
    [['--listen', 'unix:/tmp/agent'], {}, /a host is at tcp:\/\/HOST:PORT or tls:\/\/HOST:PORT/],
  ])('exits with 2 for %j with %j', async (args, environment, message) => {
    const agent = forge(args, environment);
    expect(await agent.ended).toEqual([2, null]);
    expect(agent.said).toMatch(message);
  });
});
