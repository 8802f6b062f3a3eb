import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Files that onnxruntime leaves in the home directory when `program` makes a session in a process of its own. */
function traces(program: string): string[] {
  const home = mkdtempSync(join(tmpdir(), 'forge-home-'));
  // On a machine that it takes for a CI's it reports nothing anyway.
  const unset = { CI: undefined, ORT_DISABLE_TELEMETRY: undefined };
  const env = { ...process.env, ...unset, HOME: home, XDG_CACHE_HOME: home };
  const { status } = spawnSync(process.execPath, ['-e', program], {
    env,
    cwd: join(__dirname, '../..'),
  });
  const found = readdirSync(home, { recursive: true }).map(String);
  rmSync(home, { recursive: true });
  expect(status).toBe(0);
  return found;
}

const session = `const { createEngine } = require('./dist/index.js');
  const { Graph } = require('@forge/graph');
  createEngine({ threads: 1 }).compile({ one: new Graph().scalar(1) });`;
const inThread = `require('./dist/index.js');
  new (require('node:worker_threads').Worker)(${JSON.stringify(session)}, { eval: true });`;

describe('onnxruntime', () => {
  it.each([
    ['this thread', session],
    ['a worker thread', inThread],
  ])('keeps no identity of this machine and reports to nobody, from %s', (_, program) => {
    expect(traces(program)).toEqual([]);
  });
});
