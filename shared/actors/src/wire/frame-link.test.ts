import { ForgeError } from '@forge/errors';
import { KIND, type Frame } from './frame';
import { FrameLink, type Carrier } from './frame-link';
import { FrameReader } from './frame-reader';
import { MAX_FRAME_BYTES } from './frame-bounds';

const MIB = 2 ** 20;

/** A carrier that takes a write only when it is told to. */
function slowCarrier() {
  const writes: Buffer[] = [];
  let done: (() => void) | null = null;
  let closed = 0;
  const carrier: Carrier = {
    write: (bytes, taken) => {
      expect(done).toBeNull();
      writes.push(Buffer.from(bytes));
      done = taken;
    },
    setReading: () => undefined,
    close: () => closed++,
  };
  const take = (): boolean => {
    const taken = done;
    done = null;
    taken?.();
    return taken !== null;
  };
  return { carrier, writes, take, closed: () => closed };
}

const turn = (): Promise<void> => new Promise(setImmediate);

function linkOn(carrier: Carrier) {
  const told = { rooms: 0, ends: [] as ForgeError[] };
  const link = new FrameLink(carrier, {
    onFrame: () => undefined,
    onRoom: () => told.rooms++,
    onEnd: (reason) => told.ends.push(reason),
  });
  return { link, told };
}

function framesOf(writes: readonly Buffer[]): Frame[] {
  const frames: Frame[] = [];
  const reader = new FrameReader((frame) => frames.push(frame), MAX_FRAME_BYTES);
  for (const bytes of writes) reader.push(bytes);
  return frames;
}

const numbered = (id: number, sizeBytes = 0): Frame => [KIND.result, id, Buffer.alloc(sizeBytes)];
const gone = new ForgeError('TRANSIENT_REPLICA_LOST', 'gone');

describe('FrameLink', () => {
  it('writes all frames of a turn at once, and all that come while it writes', async () => {
    const { carrier, writes, take } = slowCarrier();
    const { link } = linkOn(carrier);
    for (let id = 1; id <= 100; id++) link.send(numbered(id));
    await turn();
    expect(writes).toHaveLength(1);
    for (let id = 101; id <= 200; id++) link.send(numbered(id));
    await turn();
    for (let id = 201; id <= 300; id++) link.send(numbered(id));
    await turn();
    take();
    expect(writes).toHaveLength(2);
    take();
    expect(framesOf(writes).map(([, id]) => id)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
  });

  it('has no room for more than some MiB, until half of that is out', async () => {
    const { carrier, writes, take } = slowCarrier();
    const { link, told } = linkOn(carrier);
    let sent = 0;
    while (link.hasRoom) link.send(numbered(++sent, MIB / 2));
    expect(sent).toBe(8);
    await turn();
    while (told.rooms === 0 && take());
    const sizeBytes = writes.reduce((sum, { length }) => sum + length, 0);
    expect(sizeBytes).toBeGreaterThanOrEqual(2 * MIB);
    expect(sizeBytes).toBeLessThanOrEqual(4 * MIB);
    expect(link.hasRoom).toBe(true);
    while (take());
    expect(told.rooms).toBe(1);
    expect(framesOf(writes)).toHaveLength(sent);
  });

  it('shows that a large frame moves, but not that a small one was handed over', async () => {
    const { carrier, take } = slowCarrier();
    const { link } = linkOn(carrier);
    link.takeMoved();
    link.send(numbered(1, 3 * MIB));
    await turn();
    expect(link.takeMoved()).toBe(false);
    take();
    expect(link.takeMoved()).toBe(true);
    while (take());
    link.takeMoved();
    link.send([KIND.ping, 0]);
    await turn();
    take();
    expect(link.takeMoved()).toBe(false);
  });

  it('lets out what was sent before its end, and why it ended', async () => {
    const { carrier, writes, take, closed } = slowCarrier();
    const { link, told } = linkOn(carrier);
    link.send(numbered(1));
    link.end(gone, true);
    link.send(numbered(2));
    link.end(new ForgeError('CANCELLED', 'twice'), true);
    await turn();
    expect(closed()).toBe(0);
    take();
    expect(framesOf(writes)).toEqual([numbered(1), [KIND.bye, 0, 'TRANSIENT_REPLICA_LOST', 'gone']]);
    await link.closed;
    expect([closed(), told.ends]).toEqual([1, [gone]]);
  });

  it('closes in the end when nothing goes out any more', async () => {
    const { carrier, closed } = slowCarrier();
    const { link } = linkOn(carrier);
    link.send(numbered(1));
    link.end(gone, false);
    await link.closed;
    expect(closed()).toBe(1);
  });

  it('ends with the reason, and tells it, when it receives what is no frame', async () => {
    const { carrier, writes, take } = slowCarrier();
    const { link, told } = linkOn(carrier);
    link.receive(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    await turn();
    take();
    expect(told.ends).toMatchObject([{ code: 'CAPACITY_FRAME_TOO_LARGE' }]);
    expect(framesOf(writes)).toMatchObject([[KIND.bye, 0, 'CAPACITY_FRAME_TOO_LARGE', /announced a frame/]]);
    link.receive(Buffer.from('more'));
    expect(told.ends).toHaveLength(1);
  });
});
