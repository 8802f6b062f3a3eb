import { Mailbox } from './mailbox';

/** Messages that end when they are told to, and a record of what happens. */
function messages(): {
  mailbox: Mailbox;
  log: string[];
  send: (name: string, isConcurrent?: boolean) => () => Promise<void>;
} {
  const mailbox = new Mailbox();
  const log: string[] = [];
  const send = (name: string, isConcurrent = false): (() => Promise<void>) => {
    let end: () => void = () => undefined;
    mailbox.add(isConcurrent, () => {
      log.push(name);
      return new Promise((resolve) => (end = resolve));
    });
    return async () => {
      end();
      await new Promise(setImmediate);
    };
  };
  return { mailbox, log, send };
}

describe('Mailbox', () => {
  it('runs one message at a time in order', async () => {
    const { log, send } = messages();
    const [a, b] = [send('a'), send('b'), send('c')];
    expect(log).toEqual(['a']);
    await a();
    expect(log).toEqual(['a', 'b']);
    await b();
    expect(log).toEqual(['a', 'b', 'c']);
  });

  it('lets later messages pass a concurrent one, and starts it in its turn', async () => {
    const { log, send } = messages();
    const a = send('a');
    send('slow', true);
    send('b');
    send('c');
    expect(log).toEqual(['a']);
    await a();
    expect(log).toEqual(['a', 'slow', 'b']);
  });

  it('is idle when nothing runs and nothing waits', async () => {
    const { mailbox, send } = messages();
    await mailbox.idle();
    const [a, slow] = [send('a'), send('slow', true)];
    let isIdle = false;
    const idle = mailbox.idle().then(() => (isIdle = true));
    await a();
    expect(isIdle).toBe(false);
    await slow();
    await idle;
    expect(isIdle).toBe(true);
  });
});
