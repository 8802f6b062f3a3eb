import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNumber,
  formatShare,
  formatShareChange,
  formatTick,
  formatTime,
  formatValue,
} from './numbers';

/** Text with plain spaces, to be read. */
const plain = (text: string): string => text.replaceAll('\u202f', ' ');

it.each([
  [0, '0'],
  [0.123456, '0.123'],
  [-0.5, '−0.5'],
  [12.3456, '12.3'],
  [1234.5, '1 235'],
  [1234567, '1 234 567'],
  [0.0000019669, '2.0e−6'],
  [Infinity, '∞'],
  [null, '–'],
  [NaN, '–'],
])('formats %p as %s', (value, text) => expect(plain(formatNumber(value))).toBe(text));

it('sets the thousands of counts apart', () => {
  expect(plain(formatCount(999))).toBe('999');
  expect(plain(formatCount(-12345))).toBe('−12 345');
});

it.each([
  [0, '0 %'],
  [0.0123, '1.2 %'],
  [0.0001, '< 0.1 %'],
  [0.996, '99.6 %'],
  [0.9999, '100 %'],
  [0.0996, '10 %'],
  [0.62, '62 %'],
  [1, '100 %'],
])('formats the share %p as %s', (value, text) => expect(plain(formatShare(value))).toBe(text));

it('tells a change of a share in percentage points', () => {
  expect(plain(formatShareChange(0.451))).toBe('+45 pp');
  expect(plain(formatShareChange(-0.02))).toBe('−2 pp');
  expect(plain(formatShareChange(0.0125))).toBe('+1.3 pp');
});

it.each([
  [512, '512 B'],
  [2048, '2 KiB'],
  [459882496, '439 MiB'],
  [5 * 2 ** 30, '5 GiB'],
])('formats %p bytes as %s', (value, text) => expect(plain(formatBytes(value))).toBe(text));

it.each([
  [0.25, '0.25 ms'],
  [850, '850 ms'],
  [1500, '1.50 s'],
  [12_340, '12.3 s'],
  [59_960, '1 min 00 s'],
  [245_000, '4 min 05 s'],
  [7_800_000, '2 h 10 min'],
])('formats %p ms as %s', (value, text) => expect(plain(formatDuration(value))).toBe(text));

it('formats by unit', () => {
  expect(plain(formatValue(0.5, 'share'))).toBe('50 %');
  expect(plain(formatValue(2, 's'))).toBe('2.00 s');
  expect(plain(formatValue(0.1, 'nats'))).toBe('0.1 nats');
  expect(plain(formatValue(1, 'versions'))).toBe('1 version');
  expect(plain(formatValue(1, 'tokens/s'))).toBe('1 tokens/s');
  expect(formatValue(undefined, 'nats')).toBe('–');
});

it.each([
  [0.25, 'share', '25 %'],
  [3000, 'ms', '3 s'],
  [0.5, 's', '500 ms'],
  [4, 'versions', '4'],
])('marks an axis at %p (%s) by %s', (value, unit, text) =>
  expect(plain(formatTick(value, unit))).toBe(text),
);

it('says nothing of an invalid time', () => expect(formatTime('')).toBe('–'));
