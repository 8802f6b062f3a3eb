import { DownloadDisplay } from './download-display';

function displayOn(isTTY: boolean) {
  let text = '';
  let now = 0;
  const display = new DownloadDisplay({ isTTY, columns: 100, write: (more) => (text += more) }, () => now);
  return {
    display,
    at(ms: number, doneBytes: number): string {
      now = ms;
      text = '';
      display.onProgress({ doneBytes, totalBytes: 1e9 });
      return text;
    },
  };
}

describe('DownloadDisplay', () => {
  it('draws a bar with share, size, speed and time left on a terminal', () => {
    const { at } = displayOn(true);
    expect(at(0, 200e6)).toBe('\r\x1b[2K[####--------------------] 20 % of 1.0 GB, 0 B/s');
    expect(at(100, 210e6)).toBe('');
    expect(at(10_000, 600e6)).toBe('\r\x1b[2K[##############----------] 60 % of 1.0 GB, 40 MB/s, 0:10 left');
    expect(at(20_000, 1e9)).toBe('\r\x1b[2Kforge: downloaded 1.0 GB in 0:20\n');
  });

  it('prints a line now and then elsewhere', () => {
    const { at } = displayOn(false);
    expect(at(0, 0)).toBe('');
    expect(at(9_000, 90e6)).toBe('');
    expect(at(10_000, 100e6)).toBe('forge: 10 % of 1.0 GB, 10 MB/s, 1:30 left\n');
    expect(at(15_000, 150e6)).toBe('');
    expect(at(20_000, 1e9)).toBe('forge: downloaded 1.0 GB in 0:20\n');
  });

  it('leaves the bar before it says something', () => {
    let text = '';
    const display = new DownloadDisplay({ isTTY: true, write: (more) => (text += more) }, () => 0);
    display.onProgress({ doneBytes: 1, totalBytes: 10 });
    text = '';
    display.say('the connection broke');
    expect(text).toBe('\nforge: the connection broke\n');
  });
});
