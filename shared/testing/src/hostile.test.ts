import { encode } from '@forge/contracts';
import { BYTE_KINDS, hostileBytes, hostileJson } from './hostile-bytes';
import { seededRandom, spoil, SPOILED_KINDS } from './hostile-values';

const VALID = { schemaVersion: 1, name: 'x', list: [1, 2, { deep: [3, 4] }] };

describe('spoil', () => {
  it('changes a copy, in every way there is', () => {
    const random = seededRandom(1);
    const kinds = new Set<string>();
    for (let i = 0; i < 2_000; i++) kinds.add(spoil(random, VALID, 200).kind);
    expect([...kinds].sort()).toEqual([...SPOILED_KINDS].sort());
    expect(VALID).toEqual({ schemaVersion: 1, name: 'x', list: [1, 2, { deep: [3, 4] }] });
    expect({}).not.toHaveProperty('polluted');
  });
});

describe('hostileBytes', () => {
  it('gives the same for the same seed, and every kind', () => {
    const series = (seed: number) => {
      const random = seededRandom(seed);
      return Array.from({ length: 500 }, () => hostileBytes(random, VALID, encode, Infinity));
    };
    expect(series(1)).toEqual(series(1));
    expect(series(1)).not.toEqual(series(2));
    expect(new Set(series(1).map(({ kind }) => kind))).toEqual(
      new Set([...BYTE_KINDS, ...SPOILED_KINDS.filter((kind) => !/^(long|many)/.test(kind))]),
    );
  });
});

describe('hostileJson', () => {
  it('is text that JSON may or may not take', () => {
    const random = seededRandom(3);
    const isJson = (text: string): boolean => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    };
    const all = Array.from({ length: 300 }, () => isJson(hostileJson(random, VALID, Infinity).text));
    expect(all.filter(Boolean).length).toBeGreaterThan(150);
    expect(all.filter((one) => !one).length).toBeGreaterThan(30);
  });
});
