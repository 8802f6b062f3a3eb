import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { absentAs, absentAsSync, replaceDirectory, replaceFile, replaceFileSync } from './index';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-files-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});
const files = (): string[] => readdirSync(dir).sort();

describe('replaceFile', () => {
  it('leaves the new content and no other file', async () => {
    const path = join(dir, 'a.json');
    writeFileSync(path, 'older and longer');
    await replaceFile(path, 'new');
    expect(readFileSync(path, 'utf8')).toBe('new');
    replaceFileSync(path, 'newer');
    expect(readFileSync(path, 'utf8')).toBe('newer');
    await replaceFile(path, async (file) => {
      await file.write('by ');
      await file.write('parts');
    });
    expect(readFileSync(path, 'utf8')).toBe('by parts');
    expect(files()).toEqual(['a.json']);
  });

  it('keeps the older file whole when the writer throws', async () => {
    const path = join(dir, 'a.json');
    writeFileSync(path, 'old');
    const failing = replaceFile(path, async (file) => {
      await file.write('half of the ne');
      throw new Error('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(files()).toEqual(['a.json']);
  });

  it('lets the last of several writers win, each of whom writes a whole file', async () => {
    const path = join(dir, 'a.json');
    const texts = [...Array(8).keys()].map((n) => String(n).repeat(100_000));
    await Promise.all(texts.map((text) => replaceFile(path, text)));
    expect(texts).toContain(readFileSync(path, 'utf8'));
    expect(files()).toEqual(['a.json']);
  });
});

describe('replaceDirectory', () => {
  it('takes the place of a directory that is not empty, or of none', async () => {
    for (const name of ['first', 'second']) {
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, name, 'file'), name);
      await replaceDirectory(join(dir, name), join(dir, 'model'));
      expect(readFileSync(join(dir, 'model', 'file'), 'utf8')).toBe(name);
      expect(files()).toEqual(['model']);
    }
  });
});

describe('absentAs', () => {
  it('gives the fallback for what is not there, and throws what else goes wrong', async () => {
    expect(absentAsSync('', () => readFileSync(join(dir, 'none'), 'utf8'))).toBe('');
    expect(() => absentAsSync('', () => readFileSync(dir, 'utf8'))).toThrow('EISDIR');
    const failing = absentAs(null, () => Promise.reject(new Error('other')));
    await expect(failing).rejects.toThrow('other');
  });
});
