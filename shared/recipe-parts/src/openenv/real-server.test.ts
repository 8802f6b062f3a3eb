import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitFor } from '@forge/testing';
import { call, environmentAt, play } from './scripted.fixture';

/** A Python with openenv-core, which is no part of Forge: `pip install openenv-core`. */
const python = process.env.OPENENV_PYTHON ?? 'python3';
const isThere = spawnSync(python, ['-c', 'import openenv.core.env_server']).status === 0;
const title = isThere
  ? 'a real server'
  : `a real server (skipped: ${python} has no openenv-core; OPENENV_PYTHON names one)`;

let child: ChildProcess;
let address: string;

const environment = (name: string, options: Parameters<typeof environmentAt>[1] = {}) =>
  environmentAt(`${address}/${name}/`, options);

(isThere ? describe : describe.skip)(title, () => {
  beforeAll(async () => {
    child = spawn(python, [join(__dirname, 'servers.fixture.py')], { stdio: ['ignore', 'pipe', 'ignore'] });
    const [port] = (await once(createInterface(child.stdout!), 'line')) as [string];
    address = `http://127.0.0.1:${port}`;
    const isUp = () =>
      fetch(`${address}/guess/health`).then(
        ({ ok }) => ok,
        () => false,
      );
    await waitFor('the server', isUp, 120_000);
  }, 150_000);
  afterAll(() => child.kill('SIGKILL'));

  it('plays more episodes than it has sessions, and holds none after', async () => {
    const environments = environment('guess', { reset: { number: '{answer}' }, actionErrors: 'tell' });
    const script = (turn: number) => ['it is 7', '100', '13', '42'][turn]!;
    for (let group = 0; group < 2; group++) {
      const { played, episodes } = await play(environments, script, { groupSize: 5 });
      expect(episodes.map(({ rewards }) => rewards.openenv)).toEqual(Array(5).fill(0.875));
      expect(played[4]!.messages.map(({ content }) => content)).toEqual([
        'Find the number.\n\nGuess.',
        'it is 7',
        'higher',
        '100',
        'Error: invalid action: number: Input should be less than or equal to 99',
        '13',
        'Error: bad luck',
        '42',
      ]);
    }
  });

  it('draws the same world for all rollouts of a group', async () => {
    const { played } = await play(environment('guess'), (turn) => `${10 * turn + 5}`, { groupSize: 3 });
    const hints = played.map(({ messages }) => messages.map(({ content }) => content).join(' '));
    expect(new Set(hints).size).toBe(1);
  });

  it('takes the calls of one tool as actions', async () => {
    const { played, episodes } = await play(environment('door', { action: 'calls' }), (turn) => [
      call('act', turn === 0 ? { side: 'up' } : { side: 'left', times: 2 }),
    ]);
    expect(played[0]!.messages.at(2)!.content).toContain(
      "Error: invalid action: side: Input should be 'left' or 'right'",
    );
    expect(episodes[0]!.rewards).toEqual({ openenv: 1 });
  });

  it('takes the calls of MCP tools as actions', async () => {
    const { played, episodes } = await play(
      environment('shop'),
      (turn) => [call(turn === 0 ? 'price' : 'buy', { fruit: 'apple' })],
      { groupSize: 2 },
    );
    expect(played[1]!.tools).toEqual(['price', 'buy']);
    expect(played[1]!.messages.map(({ content }) => content)).toEqual([
      'Find the number.',
      ...['', '{"fruit":"apple","price":3}', '', 'thanks', ''],
    ]);
    expect(episodes.map(({ rewards }) => rewards.openenv)).toEqual([2, 2]);
  });

  it('fails when it dies in the middle of an episode', async () => {
    const playing = play(environment('guess'), async (turn) => {
      if (turn === 1) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      return '1';
    });
    await expect(playing).rejects.toMatchObject({ code: 'TRANSIENT_ENVIRONMENT_FAILED' });
  });
});
