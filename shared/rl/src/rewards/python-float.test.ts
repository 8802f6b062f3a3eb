import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { formatPythonNumber, parsePythonFloat } from './python-float';

describe('parsePythonFloat', () => {
  it.each<[string, number]>([
    ['42', 42],
    ['3.14', 3.14],
    ['-5.5', -5.5],
    ['+7', 7],
    ['5.', 5],
    ['.5', 0.5],
    ['1e6', 1e6],
    ['1E+6', 1e6],
    ['-1.5e-3', -0.0015],
    ['1_000.000_1', 1000.0001],
    ['1e1_0', 1e10],
    ['007', 7],
    [' \t\n\v\f\r42\x85\xa0\u2003\u3000', 42],
    ['٣.١٤', 3.14],
    ['१२३', 123],
    ['𝟗𝟘', 90],
    ['１２', 12],
    ['1e400', Infinity],
    ['1e-400', 0],
    ['inf', Infinity],
    ['-Infinity', -Infinity],
    ['+INF', Infinity],
    ['nan', NaN],
    ['-NaN', NaN],
    ['0.1000000000000000055511151231257827', 0.1],
  ])('reads %j as %p', (text, value) => {
    expect(parsePythonFloat(text)).toBe(value);
  });

  it.each([
    '',
    ' ',
    '.',
    '-',
    'e5',
    '1e',
    '1e+',
    '0x10',
    '1 2',
    '1,000',
    '12.34.56',
    'abc',
    '_1',
    '1_',
    '1__0',
    '1_.5',
    '1._5',
    '1_e5',
    '1e_5',
    'in_f',
    'infinit',
    'infinityx',
    '--1',
    '+-1',
    '$1',
    '\ufeff1',
    '½',
    '²',
    '1d',
    '1f',
    'Ⅷ',
    'ınf',
    '\x1f1',
  ])('refuses %j', (text) => {
    expect(parsePythonFloat(text)).toBeNull();
  });
});

describe('formatPythonNumber', () => {
  it.each<[number, string]>([
    [42, '42'],
    [-0, '0'],
    [-7, '-7'],
    [3.14, '3.14'],
    [0.1 + 0.2, '0.30000000000000004'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [-2.5e-300, '-2.5e-300'],
    [1e16, '10000000000000000'],
    [1e23, '99999999999999991611392'],
    [1234567890123456.5, '1234567890123456.5'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
    [NaN, 'nan'],
  ])('writes %p as %s', (value, text) => {
    expect(formatPythonNumber(value)).toBe(text);
  });
});

const hasPython = spawnSync('python3', ['--version']).status === 0;

(hasPython ? describe : describe.skip)('Python itself (skipped where there is no python3)', () => {
  const script = `
import json, sys
def read(text):
    try: x = float(text)
    except ValueError: return None
    return str(int(x)) if x.is_integer() else str(x)
print(json.dumps([read(t) for t in json.load(sys.stdin)]))`;

  const python = (texts: string[]): (string | null)[] =>
    JSON.parse(execFileSync('python3', ['-c', script], { input: JSON.stringify(texts) }).toString());
  /** Code points of a script that came after this Python's Unicode. */
  const pythonUnassigned = (): number[] =>
    JSON.parse(
      execFileSync('python3', [
        '-c',
        'import unicodedata; print([c for c in range(0x20000) if unicodedata.category(chr(c)) == "Cn"])',
      ]).toString(),
    );
  const ours = (text: string): string | null => {
    const value = parsePythonFloat(text);
    return value === null ? null : formatPythonNumber(value);
  };

  it('agrees on every short text of number-like characters drawn', () => {
    const piece = fc.constantFrom(
      ...'0123456789__..eE+-  \t\x1f\xa0\u3000٣१𝟗',
      'inf',
      'NaN',
      'inity',
      'x',
      '1e',
      '1_0',
    );
    const texts = fc.sample(
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
      { numRuns: 5000, seed: 7 },
    );
    expect(texts.map(ours)).toEqual(python(texts));
  });

  it('agrees on doubles of every magnitude', () => {
    const doubles = fc.double({ noDefaultInfinity: true, noNaN: true });
    const texts = fc.sample(doubles, { numRuns: 2000, seed: 7 }).map(String);
    expect(texts.map(ours)).toEqual(python(texts));
  });

  it('agrees on every single character as a digit and as white space', () => {
    const texts: string[] = [];
    for (let c = 0; c < 0x20000; c += 1)
      if (c < 0xd800 || c > 0xdfff) texts.push(`${String.fromCodePoint(c)}1`);
    const expected = python(texts);
    const unassigned = new Set(pythonUnassigned());
    const differing = texts.filter((text, i) => ours(text) !== expected[i]);
    expect(differing.filter((text) => !unassigned.has(text.codePointAt(0)!))).toEqual([]);
  });
});
