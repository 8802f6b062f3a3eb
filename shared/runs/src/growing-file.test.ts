import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findLine, GrowingFile, linesInParts, newestLines } from './growing-file';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-lines-'));
  path = join(dir, 'metrics.jsonl');
});
afterEach(() => rmSync(dir, { recursive: true }));

/** Rows longer together than what is read at once, so that lines lie across chunks. */
const wide = (step: number) => ({ step, text: 'ä'.repeat(60_000) });
const write = (...rows: object[]) =>
  appendFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

describe('GrowingFile', () => {
  it('hands out each line once, and one that is not whole only when it is', async () => {
    const file = new GrowingFile(path);
    expect(await file.read()).toEqual({ lines: [], isAnew: false });
    write({ step: 1 });
    appendFileSync(path, '{"step":');
    expect(await file.read()).toEqual({ lines: [{ step: 1 }], isAnew: false });
    expect(await file.read()).toEqual({ lines: [], isAnew: false });
    appendFileSync(path, '2}\nnot JSON\n{"step":3}\n');
    expect(await file.read()).toEqual({ lines: [{ step: 2 }, { step: 3 }], isAnew: false });
  });

  it('begins anew when the file was replaced, as a resumed run does, or is gone', async () => {
    const file = new GrowingFile(path);
    write({ step: 1 }, { step: 2 });
    await file.read();
    writeFileSync(`${path}.tmp`, '{"step":1}\n{"step":2}\n{"step":3}\n');
    renameSync(`${path}.tmp`, path);
    expect(await file.read()).toEqual({ lines: [{ step: 1 }, { step: 2 }, { step: 3 }], isAnew: true });
    rmSync(path);
    expect(await file.read()).toEqual({ lines: [], isAnew: true });
    write({ step: 9 });
    expect(await file.read()).toEqual({ lines: [{ step: 9 }], isAnew: false });
  });

  it('passes over what is there, but not over a line that is not whole', async () => {
    write(wide(1), wide(2), wide(3));
    appendFileSync(path, `{"text":"${'x'.repeat(600_000)}`);
    const file = new GrowingFile(path);
    await file.skip();
    expect(await file.read()).toEqual({ lines: [], isAnew: false });
    appendFileSync(path, '"}\n{"step":4}\n');
    const { lines } = await file.read();
    expect(lines).toEqual([{ text: expect.any(String) as string }, { step: 4 }]);
  });

  it('reads lines that are longer than what is read at once', async () => {
    const rows = Array.from({ length: 7 }, (_, step) => wide(step));
    write(...rows, { step: 7, text: 'x'.repeat(700_000) });
    expect((await new GrowingFile(path).read()).lines).toMatchObject([...rows, { step: 7 }]);
  });
});

describe('newestLines', () => {
  it.each([
    [0, []],
    [2, [8, 9]],
    [10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [99, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
  ])('gives the last %d', async (count, steps) => {
    write(...Array.from({ length: 10 }, (_, step) => wide(step)));
    appendFileSync(path, '{"step":');
    const lines = (await newestLines(path, count)) as { step: number }[];
    expect(lines.map(({ step }) => step)).toEqual(steps);
  });

  it('gives none where there is no file', async () => {
    expect(await newestLines(path, 3)).toEqual([]);
  });
});

describe('findLine', () => {
  const isStep =
    (wanted: number) =>
    (line: unknown): line is { step: number } =>
      (line as { step: number }).step === wanted;

  it('finds a line wherever it is, or none', async () => {
    write(...Array.from({ length: 10 }, (_, step) => wide(step)));
    expect(await findLine(path, isStep(0))).toEqual(wide(0));
    expect(await findLine(path, isStep(9))).toEqual(wide(9));
    expect(await findLine(path, isStep(10))).toBeNull();
  });
});

describe('linesInParts', () => {
  it('hands out all lines in their order, never all of a large file at once', async () => {
    write(...Array.from({ length: 10 }, (_, step) => wide(step)));
    const parts: unknown[][] = [];
    for await (const lines of linesInParts(path)) parts.push(lines);
    expect(parts.flat()).toEqual(Array.from({ length: 10 }, (_, step) => wide(step)));
    expect(parts.length).toBeGreaterThan(2);
  });

  it('has none of a file that is not there', async () => {
    for await (const lines of linesInParts(path)) throw new Error(`${lines.length} lines`);
  });
});
