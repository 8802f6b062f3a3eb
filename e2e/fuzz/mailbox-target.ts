import { RedisTransport, type Handler } from '@forge/actors';
import { Mailbox, mailboxKeys, type Redis } from '@forge/broker';
import { pick, randomBytes, waitFor, type Random } from '@forge/testing';
import { frame, hostileGreeting, KIND } from './frames';
import { Tally } from './tally';

const NAME = 'fuzzed';
/** Less than a mailbox holds. */
const BURST = 128;
const READ_WITHIN_MS = 30_000;
const nobody: Handler = {
  call: () => Promise.reject(new Error('nobody gets as far as this')),
  stream: () => {
    throw new Error('nobody gets as far as this');
  },
};

/**
 * Sends `count` hostile letters to a mailbox of the Redis transport, whose listener is in this process; returns how
 * many it refused.
 */
export async function sendLetters(
  redis: Redis,
  random: Random,
  count: number,
): Promise<{ tally: Tally; refused: number }> {
  const tally = new Tally('mailbox');
  let refused = 0;
  const transport = new RedisTransport(redis, { token: 'a token' });
  const listener = await transport.listen(nobody, `redis:${NAME}`, () => refused++);
  const sender = await Mailbox.open(redis, 'fuzz-sender', 'fuzz');
  const answers = drain(sender);
  const { letters } = mailboxKeys(NAME);
  while (tally.sent < count) {
    const pipeline = redis.pipeline();
    for (let i = Math.min(BURST, count - tally.sent); i > 0; i--) {
      const { kind, fields } = hostileLetter(random, sender.name, `c${tally.sent}`);
      pipeline.xadd(letters, '*', ...fields);
      tally.add(kind);
    }
    await pipeline.exec();
    await waitFor('the letters to be read', async () => (await redis.xlen(letters)) === 0, READ_WITHIN_MS);
  }
  await waitFor('the last letter', () => refused >= count, READ_WITHIN_MS).catch(() => undefined);
  await listener.close();
  await sender.close();
  await answers;
  return { tally, refused };
}

function hostileLetter(
  random: Random,
  from: string,
  channel: string,
): { kind: string; fields: (string | Buffer)[] } {
  const letter = { from, channel, sequence: '0', bytes: frame(KIND.call, 1) };
  const fieldsOf = (all: Readonly<Record<string, string | Buffer>>) => Object.entries(all).flat();
  const roll = random();
  if (roll < 0.1) {
    const missing = pick(random, ['from', 'channel', 'sequence']);
    const rest = Object.fromEntries(Object.entries(letter).filter(([name]) => name !== missing));
    return { kind: 'no such field', fields: fieldsOf(rest) };
  }
  if (roll < 0.2) {
    const sequence = pick(random, ['NaN', '-1', '1e9', '', '0x1', '9'.repeat(100), '1.5', '0 ']);
    return { kind: 'wrong sequence', fields: fieldsOf({ ...letter, sequence }) };
  }
  if (roll < 0.3) {
    const name = pick(random, ['a b', '{x}', '', 'x'.repeat(10_000), '\n']);
    return { kind: 'wrong name', fields: fieldsOf({ ...letter, from: name }) };
  }
  if (roll < 0.4) return { kind: 'unknown sender', fields: fieldsOf({ ...letter, from: 'nobody' }) };
  if (roll < 0.5) return { kind: 'unknown channel', fields: fieldsOf({ ...letter, sequence: '7' }) };
  if (roll < 0.6)
    return {
      kind: 'random bytes',
      fields: fieldsOf({ ...letter, bytes: Buffer.concat([Buffer.alloc(4, 0xff), randomBytes(random, 50)]) }),
    };
  const { kind, bytes } = hostileGreeting(random);
  return { kind, fields: fieldsOf({ ...letter, bytes }) };
}

/** Takes what comes until the mailbox is closed. */
async function drain(mailbox: Mailbox): Promise<void> {
  for (let open = true; open;) {
    const next = mailbox.receive().catch(() => null);
    const letters = await next;
    open = letters !== null && !mailbox.closed;
  }
}
