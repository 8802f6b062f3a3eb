import { byteAxis } from './byte-axis';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

function ticks(least: number, most: number): string[] {
  const { min, max, interval, format } = byteAxis(least, most);
  return Array.from({ length: 1 + Math.round((max - min) / interval) }, (_, k) =>
    format(min + k * interval).replaceAll('\u202f', ' '),
  );
}

it.each([
  [0, 3000, ['0', '1 KiB', '2 KiB', '3 KiB']],
  [0, 410 * MIB, ['0', '200 MiB', '400 MiB', '600 MiB']],
  [133 * MIB, 147 * MIB, ['130 MiB', '135 MiB', '140 MiB', '145 MiB', '150 MiB']],
  [139.2 * MIB, 140.1 * MIB, ['138 MiB', '140 MiB', '142 MiB']],
  [800 * MIB, 1010 * MIB, ['800 MiB', '900 MiB', '1 000 MiB', '1 100 MiB']],
  [600 * MIB, 1.5 * GIB, ['0.5 GiB', '1 GiB', '1.5 GiB']],
  [100 * MIB, 100 * MIB, ['100 MiB', '150 MiB']],
  [0, 0, ['0', '0.5 B']],
])('from %p to %p bytes has round ticks', (least, most, expected) =>
  expect(ticks(least, most)).toEqual(expected),
);
