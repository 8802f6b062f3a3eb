import { ForgeError, within } from './index';

const never = new Promise<never>(() => undefined);
const later = <T>(ms: number, settle: () => T): Promise<T> =>
  new Promise((resolve, reject) =>
    setTimeout(() => {
      try {
        resolve(settle());
      } catch (error) {
        reject(error as Error);
      }
    }, ms),
  );

describe('within', () => {
  it('gives what the promise gives, or throws what it throws', async () => {
    expect(await within(60_000, Promise.resolve(1), () => 2)).toBe(1);
    const failing = Promise.reject(new RangeError('early'));
    await expect(within(60_000, failing, () => 2)).rejects.toThrow('early');
  });

  it('gives or throws what is said of lateness', async () => {
    expect(await within(1, never, () => 'late')).toBe('late');
    const refuse = (): never => {
      throw new ForgeError('TRANSIENT_TIMEOUT', 'too late');
    };
    await expect(within(1, never, refuse)).rejects.toMatchObject({ code: 'TRANSIENT_TIMEOUT' });
  });

  it('leaves no unhandled rejection of what fails after it was given up', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const failing = later(10, () => {
      throw new Error('after the fact');
    });
    expect(await within(1, failing, () => null)).toBeNull();
    await later(30, () => undefined);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it('leaves no timer behind', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    await within(60_000, Promise.resolve(1), () => 2);
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')).toHaveLength(before);
  });
});
