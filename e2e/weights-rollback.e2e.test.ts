import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { waitFor } from '@forge/testing';

jest.setTimeout(180_000);

const root = join(__dirname, '..');
const forge = join(root, 'services/cli/bin/forge.cjs');

let dir: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-run-test-'));
  const recipe = [
    'name: back',
    `model: ${join(root, 'models/arithmetic')}`,
    'steps: 100000',
    'maxStaleness: 1',
    'task: { kind: arithmetic, heldOut: 20 }',
    'algorithm: { name: grpo, groupSize: 4 }',
    'batch: { groups: 2 }',
    'sampling: { maxTokens: 10 }',
    'rewards: [{ name: exact }]',
    'evaluation: { everySteps: 0 }',
    'trainer: { keepVersions: 1000 }',
  ];
  writeFileSync(join(dir, 'back.yaml'), recipe.join('\n'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function start(...args: string[]) {
  const env = { ...process.env };
  delete env['REDIS_URL'];
  const child = spawn(process.execPath, [forge, ...args], { cwd: dir, env });
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const exit = once(child, 'close').then(([code]) => code as number | null);
  return { child, said: () => said, exit };
}
async function command(...args: string[]): Promise<{ code: number | null; said: string }> {
  const { said, exit } = start(...args);
  return { code: await exit, said: said() };
}
const runDir = () => join(dir, 'runs', readdirSync(join(dir, 'runs'))[0]!);
const trainerPids = (): number[] =>
  [
    ...readFileSync(join(runDir(), 'logs/trainer-0.log'), 'utf8').matchAll(
      /"pid":(\d+)[^\n]*service started/g,
    ),
  ].map(([, pid]) => Number(pid));

interface Listed {
  version: number;
  sha256: string;
  rolledBackTo: number | null;
  parent: { version: number; sha256: string } | null;
  groups: number[];
  usedBy: string[];
}
async function listed(id: string): Promise<Listed[]> {
  const { said } = await command('weights', 'list', id, '--json');
  return (JSON.parse(said) as { weights: Listed[] }).weights;
}

it('goes back to an earlier version while it runs, also when the trainer dies before it has', async () => {
  const run = start('run', 'back.yaml');
  await waitFor('step 10', () => /step \d\d/.test(run.said()), 60_000);
  const id = basename(runDir());
  const first = await command('weights', 'rollback', id, '--to', '3');
  expect(first).toEqual({
    code: 0,
    said: expect.stringMatching(/^version \d+ has the weights of version 3\n$/),
  });

  const pid = trainerPids().at(-1)!;
  process.kill(pid, 'SIGSTOP');
  const second = start('weights', 'rollback', id, '--to', '5');
  await waitFor(
    'the request',
    async () => (await command('weights', 'rollback', id, '--to', '5', '--wait', '0')).code === 2,
  );
  process.kill(pid, 'SIGKILL');
  expect([await second.exit, second.said()]).toEqual([
    0,
    expect.stringMatching(/has the weights of version 5\n$/),
  ]);
  expect(trainerPids()).toHaveLength(2);

  const versions = await listed(id);
  const of = (version: number): Listed => versions.find((one) => one.version === version)!;
  const back = versions.filter(({ rolledBackTo }) => rolledBackTo !== null);
  expect(back.map(({ rolledBackTo }) => rolledBackTo)).toEqual([3, 5]);
  for (const one of back) {
    const to = of(one.rolledBackTo!);
    expect(one).toMatchObject({
      sha256: to.sha256,
      groups: [],
      parent: { version: to.version, sha256: to.sha256 },
    });
  }
  expect(of(1)).toMatchObject({
    parent: { version: 0, sha256: of(0).sha256 },
    groups: [expect.any(Number), expect.any(Number)],
  });
  expect(versions.flatMap(({ usedBy }) => usedBy)).toEqual(['policy/0']);
  expect(await command('weights', 'rollback', id, '--to', '99999')).toEqual({
    code: 2,
    said: expect.stringContaining('there is no version 99999 yet'),
  });

  run.child.kill('SIGINT');
  expect(await run.exit).toBe(130);
  expect(await command('ledger', id, '--verify')).toMatchObject({
    code: 0,
    said: expect.stringContaining('rolled-back'),
  });
  expect(await command('weights', 'verify', id)).toEqual({
    code: 0,
    said: expect.stringMatching(/^verified: \d+ versions agree\n$/),
  });
  const blob = join(runDir(), 'weights', `${of(4).sha256}.safetensors`);
  const bytes = readFileSync(blob);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(blob, bytes);
  expect(await command('weights', 'verify', id)).toEqual({
    code: 1,
    said: expect.stringMatching(/^WRONG {2}version 4 \(epoch 1\): found sha256 .*\n1 disagreements/),
  });
});

it('keeps the weights of steps whose loss is no number, and fails after so many in a row', async () => {
  writeFileSync(
    join(dir, 'nan.ts'),
    `import { mul } from '@forge/graph';
    import { defineAlgorithm, groupRelativeAdvantage, tokenMean } from '@forge/rl';
    export default () => defineAlgorithm({
      name: 'nan', advantage: groupRelativeAdvantage({ normalizeByStd: true }),
      loss: (terms) => tokenMean(mul(terms.logprobs, Number.NaN), terms),
    });`,
  );
  const overrides = ['algorithm={module: ./nan.ts, groupSize: 4}', 'trainer.rollback.maxInARow=3'];
  const { code, said } = await command('run', 'back.yaml', ...overrides);
  expect([code, said]).toEqual([
    1,
    expect.stringContaining('3 steps in a row were rolled back; the last: train step 2:'),
  ]);
  expect(said).toContain('step 1 goes back to version 0: train step 0:');
  const id = basename(runDir());
  const versions = await listed(id);
  expect(versions.map(({ version, rolledBackTo }) => [version, rolledBackTo])).toEqual([
    [0, null],
    [1, 0],
    [2, 1],
    [3, 2],
  ]);
  expect(new Set(versions.map(({ sha256 }) => sha256)).size).toBe(1);
  expect(trainerPids()).toHaveLength(1);
  expect(await command('ledger', id, '--verify')).toMatchObject({
    code: 0,
    said: expect.stringMatching(/trained +0\n.*rolled-back +6\n/s),
  });
});
