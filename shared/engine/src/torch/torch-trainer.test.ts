import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireTorch, TORCH_PACKAGE } from './torch-trainer';

const before = { ...process.env };
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-torch-'));
});
afterEach(() => {
  process.env = { ...before };
  rmSync(dir, { recursive: true });
});

/** A Python that keeps what it is asked, and ends like this. */
function stub(code: number, said: string): void {
  const python = join(dir, 'python');
  const lines = [
    '#!/bin/sh',
    `cat > ${dir}/asked`,
    `echo "$PYTHONPATH $*" > ${dir}/called`,
    `echo '${said}' >&2`,
  ];
  writeFileSync(python, [...lines, `exit ${code}`, ''].join('\n'));
  chmodSync(python, 0o755);
  process.env.FORGE_TORCH_PYTHON = python;
}

const failure = (recipe: object): unknown => {
  try {
    requireTorch(recipe);
  } catch (error) {
    return error;
  }
  return null;
};

describe('requireTorch', () => {
  it('asks the package that comes with Forge about the recipe', () => {
    stub(0, '');
    process.env.PYTHONPATH = '/mine';
    requireTorch({ steps: 3 });
    expect(readFileSync(join(dir, 'asked'), 'utf8')).toBe('{"steps":3}');
    expect(readFileSync(join(dir, 'called'), 'utf8')).toBe(`${TORCH_PACKAGE}:/mine -m forge_torch check\n`);
    expect(existsSync(join(TORCH_PACKAGE, 'forge_torch', '__main__.py'))).toBe(true);
  });

  it('says which field it does not take', () => {
    stub(2, 'algorithm.name: found ppo; trainer.engine torch takes grpo');
    expect(failure({})).toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'algorithm.name: found ppo; trainer.engine torch takes grpo',
      details: { field: 'algorithm.name' },
    });
  });

  it('says what is missing, and the way out', () => {
    stub(1, 'lacks torch');
    const message = /^trainer\.engine: found torch; .*python: lacks torch; install .*FORGE_TORCH_PYTHON/;
    expect(failure({})).toMatchObject({
      code: 'ENGINE_NOT_INSTALLED',
      message: expect.stringMatching(message) as string,
    });
    process.env.FORGE_TORCH_PYTHON = join(dir, 'none');
    expect(failure({})).toMatchObject({
      code: 'ENGINE_NOT_INSTALLED',
      message: expect.stringContaining('ENOENT') as string,
    });
  });
});
