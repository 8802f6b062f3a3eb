import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunPlan } from '../planning/run-plan';

const FORGE = join(__dirname, '../../bin/forge.cjs');
const MODEL = join(__dirname, '../../../../models/arithmetic');

const dir = mkdtempSync(join(tmpdir(), 'forge-plan-'));
afterAll(() => rmSync(dir, { recursive: true }));

const plan = (...args: string[]) =>
  spawnSync(process.execPath, [FORGE, 'plan', 'arithmetic-grpo', ...args], { encoding: 'utf8' });

describe('forge plan', () => {
  it('needs nothing of a model but its config.json', () => {
    copyFileSync(join(MODEL, 'config.json'), join(dir, 'config.json'));
    const { status, stdout } = plan(`model=${dir}`, '--json');
    const made = JSON.parse(stdout) as RunPlan & { note: string };
    expect(made).toMatchObject({ parameterCount: 494_720, memory: { fits: true }, promptTokens: 54 });
    expect(made.note).toContain('prompts of 54 tokens are assumed');
    expect(made.time.tokensPerSecond).toBeGreaterThan(1);
    expect(status).toBe(0);
  });

  it('counts the prompt where the tokenizer is there, and prints a table', () => {
    const { stdout } = plan(`model=${MODEL}`);
    expect(stdout).toMatch(/^parameters +494,720 .*\ntrainer +\d+ MiB/m);
    expect(stdout).toMatch(/^memory +\d+ MiB +fits/m);
    expect(stdout).not.toContain('assumed');
  });

  it('exits with 1 for a model that no machine holds, and says what was tried', () => {
    const config = JSON.parse(readFileSync(join(MODEL, 'config.json'), 'utf8')) as object;
    const huge = { ...config, hidden_size: 16_384, num_hidden_layers: 512, intermediate_size: 65_536 };
    writeFileSync(join(dir, 'config.json'), JSON.stringify(huge));
    const { status, stdout } = plan(`model=${dir}`);
    expect(status).toBe(1);
    expect(stdout).toMatch(/does not fit[^]*to make it fit: trainer\.recompute=true/);
  });
});
