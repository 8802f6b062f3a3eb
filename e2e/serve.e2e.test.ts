import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import OpenAI from 'openai';

const root = join(__dirname, '..');
const FORGE = join(root, 'services/cli/bin/forge.cjs');
const MODEL = join(root, 'models/arithmetic');

interface Served {
  child: ChildProcess;
  /** The address it prints; rejects with all that it said when it ends before. */
  url: Promise<string>;
  ended: Promise<{ status: number | null; said: string }>;
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function serve(args: string[], variables: NodeJS.ProcessEnv = {}): Served {
  const child = spawn(process.execPath, [FORGE, 'serve', ...args], { env: { ...process.env, ...variables } });
  children.push(child);
  let said = '';
  let tell: (url: string) => void = () => undefined;
  const hear = (text: Buffer): void => {
    said += String(text);
    const [, url] = /: (http:\S+)\/v1 /.exec(said) ?? [];
    if (url !== undefined) tell(url);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise<{ status: number | null; said: string }>((resolve) => {
    child.once('close', (status) => resolve({ status, said }));
  });
  const url = new Promise<string>((resolve, reject) => {
    tell = resolve;
    void ended.then(() => reject(new Error(said)));
  });
  url.catch(() => undefined);
  return { child, url, ended };
}

describe('forge serve', () => {
  it('serves a model to who has the key, and ends at Ctrl-C once it has answered', async () => {
    const { child, url, ended } = serve(
      [MODEL, '--port', '0', '--name', 'sums', 'other', '--api-key-env', 'SUMS_KEY', '--threads', '1'],
      { SUMS_KEY: 'sk-sums' },
    );
    const client = new OpenAI({ baseURL: `${await url}/v1`, apiKey: 'sk-sums', maxRetries: 0 });
    const greedy = { prompt: '82-1=', temperature: 0 };
    const answer = await client.completions.create({ model: 'other', ...greedy });
    expect(answer).toMatchObject({ model: 'sums', choices: [{ text: '<11>11', finish_reason: 'stop' }] });
    const stranger = new OpenAI({ baseURL: `${await url}/v1`, apiKey: 'sk-other', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toMatchObject({ status: 401 });

    const stream = await client.completions.create({
      ...{ model: 'sums', prompt: '12+7=', n: 100, temperature: 5, max_tokens: 50, stream: true },
    });
    child.kill('SIGINT');
    const finished = new Set<number>();
    for await (const { choices } of stream)
      for (const { index, finish_reason } of choices) if (finish_reason !== null) finished.add(index);
    expect(finished.size).toBe(100);
    expect((await ended).status).toBe(0);
  });

  it.each<[string, string[], string]>([
    ['a folder that is no model', [root], 'config.json'],
    [
      'a key that is not set',
      [MODEL, '--api-key-env', 'NO_KEY'],
      'environment variable NO_KEY: not set, but --api-key-env names it',
    ],
    ['a name with a comma', [MODEL, '--name', 'a,b'], '--name: found a,b, expected names without commas'],
    ['a host that is not here', [MODEL, '--host', '192.0.2.1'], "the gateway can't listen at 192.0.2.1"],
  ])('says what is wrong with %s', async (_, args, message) => {
    const { status, said } = await serve(args).ended;
    expect(said).toContain(message);
    expect(status).toBe(2);
  });
});
