import { encode } from '@forge/contracts';
import { readablePayload } from './readable-payload';

const read = (payload: Buffer<ArrayBuffer>) => readablePayload({ payload, sizeBytes: payload.length });

describe('readablePayload', () => {
  it('shows fields of an entry per token as lists', () => {
    const payload = Buffer.from(
      encode({ index: 3, episodes: [{ tokenIds: Int32Array.of(7, 8), mask: Uint8Array.of(0, 1) }] }),
    );
    expect(JSON.stringify(read(payload))).toBe('{"index":3,"episodes":[{"tokenIds":[7,8],"mask":[0,1]}]}');
  });

  it('shows JSON as it is, and the start of anything else in hexadecimal', () => {
    expect(read(Buffer.from('{"id":"s"}'))).toEqual({ id: 's' });
    expect(read(Buffer.from([0xc1, 0xff]))).toBe('c1ff');
  });
});
