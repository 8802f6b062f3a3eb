import { InstallDisplay } from './install-display';

const file = {
  project: 'tensorflow-cpu',
  filename: 'tensorflow_cpu-2.20.0-cp311.whl',
  sizeBytes: 200e6,
  sha256: '',
};

/** Everything that is shown of a download of 20 MB each second. */
function shownOf(isTTY: boolean): string {
  let [text, nowMs] = ['', 0];
  const output = { isTTY, write: (more: string) => (text += more) };
  const display = new InstallDisplay(output, () => nowMs);
  for (let second = 0; second <= 10; second++) {
    nowMs = second * 1000;
    display.onBytes(file, second * 20e6);
  }
  display.say('unpacking');
  return text;
}

describe('InstallDisplay', () => {
  it('redraws a line on a terminal', () => {
    const shown = shownOf(true);
    expect(shown).toContain('\r\x1b[2Kforge: tensorflow_cpu 2.20.0  100 of 200 MB, 50 %, 20 MB/s, 0:05 left');
    expect(shown.endsWith('200 of 200 MB, 100 %, 20 MB/s\nforge: unpacking\n')).toBe(true);
  });

  it('writes a line now and then elsewhere', () => {
    expect(shownOf(false)).toBe(
      'forge: tensorflow_cpu 2.20.0  200 of 200 MB, 100 %, 20 MB/s\nforge: unpacking\n',
    );
  });
});
