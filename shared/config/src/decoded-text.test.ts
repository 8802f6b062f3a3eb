import { decodedText } from './decoded-text';

const TEXT = 'name: größe\nsteps: 3 # 数';

function utf16be(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}

describe('decodedText', () => {
  it.each([
    ['UTF-8', Buffer.from(TEXT)],
    ['UTF-8 with a mark', Buffer.from(`\ufeff${TEXT}`)],
    ['UTF-16 of a Windows editor', Buffer.from(`\ufeff${TEXT}`, 'utf16le')],
    ['UTF-16, high byte first', utf16be(`\ufeff${TEXT}`)],
  ])('reads %s', (_, bytes) => {
    expect(decodedText(bytes)).toEqual({ text: TEXT });
  });

  it('keeps a replacement character that the author wrote', () => {
    expect(decodedText(Buffer.from('a\ufffdb'))).toEqual({ text: 'a\ufffdb' });
  });

  it.each([
    ['latin1', Buffer.from('a: 1\nname: gr\xf6\xdfe', 'latin1'), 'line 2, column 9: byte 0xf6 is not UTF-8'],
    ['a character that is cut off', Buffer.from('ä').subarray(0, 1), 'line 1, column 1: byte 0xc3'],
    ['a cut-off one behind whole ones', Buffer.from('äb\n数').subarray(0, 6), 'line 2, column 1: byte 0xe6'],
    ['a surrogate', Buffer.from([0x61, 0xed, 0xa0, 0x80]), 'line 1, column 2: byte 0xed'],
    ['half of a UTF-16 character', Buffer.from([0xff, 0xfe, 0x61]), 'its mark says utf-16le, but it is not'],
  ])('refuses %s with its position', (_, bytes, problem) => {
    expect(decodedText(bytes)).toEqual({ problem: expect.stringContaining(problem) as string });
  });
});
