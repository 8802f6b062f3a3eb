import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadRecipe, parseResolvedRecipe, recipeToYaml } from '@forge/config';
import { dated, dayOf } from './start-day';

const dir = mkdtempSync(join(tmpdir(), 'forge-start-day-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const recipes = join(__dirname, '../../../infra/recipes');
const load = (path: string, overrides: readonly string[] = []) =>
  loadRecipe(path, overrides, { searchDirs: [recipes] });
const noon = (day: number) => new Date(2025, 2, day, 12);

describe('the day of a run', () => {
  it('is the one it starts on, where it starts', () => {
    expect(dayOf(new Date(2025, 2, 7))).toBe('2025-03-07');
    expect(dayOf(new Date(2025, 11, 31, 23, 59, 59))).toBe('2025-12-31');
  });

  it('is the one the recipe names', () => {
    expect(dated(load('gsm8k-grpo', ['date=2024-02-29']), noon(7)).date).toBe('2024-02-29');
  });

  it('stays when the run is resumed on another, from its file or its state', () => {
    const started = dated(load('gsm8k-grpo'), noon(7));
    const file = join(dir, 'config.yaml');
    writeFileSync(file, recipeToYaml(started));
    expect(dated(load(file), noon(9)).date).toBe('2025-03-07');
    expect(parseResolvedRecipe(JSON.parse(JSON.stringify(started))).date).toBe('2025-03-07');
  });

  it.each(['2025-02-30', 'tomorrow', '20250307'])('is no %s', (date) => {
    expect(() => load('gsm8k-grpo', [`date=${date}`])).toThrow(/date: /);
  });
});
