import { ForgeError, type WireError } from './forge-error';

describe('ForgeError', () => {
  it('survives the wire with code, message and details', () => {
    const error = new ForgeError(
      'SHAPE_MISMATCH',
      'a: [2], b: [3]',
      { a: [2] },
      { cause: new Error('inner') },
    );
    const copy = ForgeError.fromWire(JSON.parse(JSON.stringify(error.toWire())) as WireError);
    expect(copy).toBeInstanceOf(ForgeError);
    expect([copy.code, copy.message, copy.details]).toEqual(['SHAPE_MISMATCH', 'a: [2], b: [3]', { a: [2] }]);
  });

  it('takes a code of another version for a bug and keeps it', () => {
    const error = ForgeError.fromWire({
      code: 'NEW_CODE',
      message: 'm',
      details: {},
    } as unknown as WireError);
    expect([error.code, error.details]).toEqual(['BUG_INVARIANT', { unknownCode: 'NEW_CODE' }]);
  });

  it('is retryable exactly when its class is transient', () => {
    expect(new ForgeError('TRANSIENT_TIMEOUT', '').retryable).toBe(true);
    expect(new ForgeError('CONFIG_INVALID', '').retryable).toBe(false);
    expect(new ForgeError('STALE_EPOCH', '').retryable).toBe(false);
  });

  it('wraps a foreign error as a bug with its cause, and returns one of ours as it is', () => {
    const foreign = new TypeError('x is undefined');
    expect(ForgeError.from(foreign)).toMatchObject({
      code: 'BUG_INVARIANT',
      message: 'x is undefined',
      cause: foreign,
    });
    const own = new ForgeError('CANCELLED', '');
    expect(ForgeError.from(own)).toBe(own);
  });
});
