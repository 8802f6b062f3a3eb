const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const repeated = (times: number, bytes: string): Buffer =>
  Buffer.alloc(times * hex(bytes).length, hex(bytes));

/** Bytes that every reader of msgpack refuses as a value, each with the reason; one suite for all of them. */
export const HOSTILE_MSGPACK: readonly (readonly [what: string, bytes: Buffer])[] = [
  ['an array that is longer than the message', hex('dd ffffffff')],
  ['an object that is longer than the message', hex('df ffffffff')],
  ['a string that is longer than the message', hex('db ffffffff 61')],
  ['bytes that are longer than the message', hex('c6 7fffffff')],
  ['an extension that is longer than the message', hex('c9 ffffffff 05')],
  ['a length that is cut off', hex('dc 00')],
  ['a number that is cut off', hex('cb 01')],
  ['the tag that is never used', hex('c1')],
  ['a value behind the value', hex('c0 c0')],
  ['no value at all', hex('')],
  ['an object with a number as key', hex('81 01 01')],
  ['an object with an array as key', hex('81 90 01')],
  ['a record definition of msgpackr, which becomes code there', hex('d4 72 40 91 a161 01')],
  ['a regular expression of msgpackr', hex('c7 05 78 92 a161 a167')],
  ['an error of msgpackr', hex('d4 65 00 93 a5 4572726f72 a161 c0')],
  ['a set of msgpackr', hex('d4 73 00 91 01')],
  ['a timestamp of msgpack', hex('d6 ff 00000000')],
  ['a typed array of no known type', hex('c7 05 05 0c 01020304')],
  ['a typed array without a type', hex('c7 00 05')],
  ['a typed array of a torn length', hex('c7 04 05 08 010203')],
  ['floats of a torn length', hex('c7 06 05 08 0102030405')],
  ['a value beside the bytes, of another process', hex('d4 06 00')],
  ['a nesting of 100,000 arrays', Buffer.concat([repeated(100_000, '91'), hex('c0')])],
  ['a nesting of 100,000 objects', Buffer.concat([repeated(100_000, '81 a161'), hex('c0')])],
  ['8 million empty arrays side by side', Buffer.concat([hex('dd 00800000'), repeated(2 ** 23, '90')])],
];
