import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutRunFiles } from './cut-run-files';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-cut-'));
  write('metrics.jsonl', '{"step":1,"loss":1}\n{"step":2,"loss":2}\n{"step":3,"loss":3}\n{"step":4,"lo');
  write('samples.jsonl', '{"index":0}\n{"index":9}\n{"index":8}\n{"inde');
  write('summary.json', '{}');
});
afterEach(() => rmSync(dir, { recursive: true }));

function write(name: string, text: string): void {
  writeFileSync(join(dir, name), text);
}
const read = (name: string): string => readFileSync(join(dir, name), 'utf8');

describe('cutRunFiles', () => {
  it('takes out what will be done again, and what was cut short', () => {
    expect(cutRunFiles(dir, { step: 2, nextIndex: 9, metrics: {} })).toEqual([]);
    expect(read('metrics.jsonl')).toBe('{"step":1,"loss":1}\n{"step":2,"loss":2}\n');
    expect(read('samples.jsonl')).toBe('{"index":0}\n{"index":8}\n');
    expect(existsSync(join(dir, 'summary.json'))).toBe(false);
  });

  it('keeps every sample of a run that goes on where it was', () => {
    cutRunFiles(dir, { step: 3, nextIndex: null, metrics: {} });
    expect(read('samples.jsonl')).toBe('{"index":0}\n{"index":9}\n{"index":8}\n');
  });

  it('adds the row that was still open, and names what can not be had any more', () => {
    expect(cutRunFiles(dir, { step: 5, nextIndex: 9, metrics: { loss: 5 } })).toEqual([4]);
    expect(read('metrics.jsonl').split('\n').at(-2)).toBe('{"step":5,"loss":5}');
  });

  it('makes empty files where there are none', () => {
    rmSync(join(dir, 'metrics.jsonl'));
    expect(cutRunFiles(dir, { step: 0, nextIndex: 0, metrics: {} })).toEqual([]);
    expect(read('metrics.jsonl')).toBe('');
  });
});
