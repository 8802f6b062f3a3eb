import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { linesOf, readText } from './read-text';

describe('readText', () => {
  const dir = mkdtempSync(join(tmpdir(), 'forge-read-text-'));
  const path = join(dir, 'text');
  afterAll(() => rmSync(dir, { recursive: true }));
  const textOf = (bytes: string | Buffer) => {
    writeFileSync(path, bytes);
    return readText(path);
  };

  it('is what was written, byte order marks inside included', () => {
    expect(textOf('é € 😀 \ufffd \ufeff\r\n')).toBe('é € 😀 \ufffd \ufeff\r\n');
    expect(textOf('')).toBe('');
    expect(textOf('a')).toBe('a');
  });

  it('leaves out a byte order mark at the start', () => {
    expect(textOf('\ufeffname: a')).toBe('name: a');
  });

  it.each([
    ['with LF', 'a\nb\ncafé'],
    ['with CRLF', 'a\r\nb\r\ncafé'],
    ['with CR', 'a\rb\rcafé'],
  ])('names line and byte of what is Latin-1, lines ended %s', (_name, text) => {
    expect(() => textOf(Buffer.from(text, 'latin1'))).toThrow(
      expect.objectContaining({
        code: 'CONFIG_FILE_UNREADABLE',
        message: expect.stringContaining(`${path}:3: found byte E9 as byte 4 of the line`),
        details: { path, line: 3, byte: 4, value: 'E9' },
      }),
    );
  });

  it.each([
    ['a character cut off', [0x61, 0xe2, 0x82], 2],
    ['a surrogate', [0xed, 0xa0, 0x80], 1],
    ['an overlong form', [0xc3, 0xa9, 0xc0, 0xaf], 3],
    ['a continuation byte alone', [0x80], 1],
  ])('refuses %s', (_name, bytes, byte) => {
    expect(() => textOf(Buffer.from(bytes))).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ line: 1, byte }) }),
    );
  });

  it.each([
    ['little-endian with a mark', Buffer.from('\ufeff{"a":1}', 'utf16le')],
    ['big-endian with a mark', Buffer.from('\ufeff{"a":1}', 'utf16le').swap16()],
    ['without a mark', Buffer.from('{"a":1}', 'utf16le')],
  ])('says that a file is UTF-16, %s', (_name, bytes) => {
    writeFileSync(path, bytes);
    expect(() => readText(path, { code: 'CONFIG_DATASET_INVALID' })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_DATASET_INVALID',
        message: expect.stringContaining(`${path}: found UTF-16, expected UTF-8; save it as UTF-8`),
      }),
    );
  });

  it('names a file that is not there', () => {
    const missing = join(dir, 'missing');
    expect(() => readText(missing)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_FILE_UNREADABLE',
        message: expect.stringContaining(missing),
      }),
    );
  });
});

describe('linesOf', () => {
  it('ends lines by LF, CRLF and CR', () => {
    expect(linesOf('a\nb\r\nc\rd\n\ne\n')).toEqual(['a', 'b', 'c', 'd', '', 'e', '']);
  });
});
