import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FORGE = join(__dirname, '../bin/forge.cjs');
const docs = readFileSync(join(__dirname, '../../../docs/cli.md'), 'utf8');

/** Names below `Commands:` of a help text. */
function commandsIn(help: string): string[] {
  const list = help.split(/^Commands:$/m)[1] ?? '';
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name]) => name!);
}

const helpOf = (...words: string[]): string =>
  execFileSync(process.execPath, [FORGE, ...words, '--help'], { encoding: 'utf8' });

describe('docs/cli.md', () => {
  it('says what every command does, and of none that is not there', () => {
    const commands = commandsIn(helpOf()).filter((name) => name !== 'help');
    expect(commands.length).toBeGreaterThan(15);
    const rows = [...docs.matchAll(/^\| `npx forge ([a-z-]+)/gm)].map(([, name]) => name!);
    // A row may speak of two: pausing names what ends it.
    const documented = new Set([
      ...rows,
      ...[...docs.matchAll(/`forge ([a-z-]+) RUN`/g)].map(([, name]) => name!),
    ]);
    expect([...documented].sort()).toEqual(commands.sort());
  });

  it('names the commands below a command', () => {
    for (const parent of ['dead-letter', 'weights', 'runs', 'engine']) {
      const row = docs.split('\n').find((line) => line.startsWith(`| \`npx forge ${parent}`)) ?? '';
      for (const name of commandsIn(helpOf(parent)).filter((one) => one !== 'help'))
        expect(row).toContain(name);
    }
  });
});
