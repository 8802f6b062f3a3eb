import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mailboxKeys, runKeys } from './keys';

const docs = readFileSync(join(__dirname, '../../../docs/messages.md'), 'utf8');

/** Names in the first column of the tables under a heading. */
function documented(heading: string): string[] {
  const section = docs.split(/^## /m).find((text) => text.startsWith(heading)) ?? '';
  return [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name!);
}

describe('docs/messages.md', () => {
  const { queuePrefix, rolloutQueue, all, replicas, sessions, ...keys } = runKeys('R');

  it('lists exactly the keys there are', () => {
    const names = [...Object.values(keys), replicas('<service>'), sessions('<group>')].map((key) =>
      key.slice(`${queuePrefix}:`.length),
    );
    expect([...documented('Streams'), ...documented('Hashes')].sort()).toEqual(names.sort());
  });

  it('lists exactly the queues there are', () => {
    expect(documented('Queue')).toEqual([rolloutQueue]);
  });

  it('lists exactly the keys of a mailbox', () => {
    const keys = Object.values(mailboxKeys('<name>'));
    expect(documented('Mailboxes')).toEqual(keys.map((key) => key.slice('forge:mailbox:{<name>}:'.length)));
    expect(docs).toContain('`forge:mailbox:{<name>}:`');
  });

  it('names the prefix that all of a run has', () => {
    expect(docs).toContain('`forge:{<runId>}:`');
    expect(all).toBe('forge:{R}:*');
    for (const key of Object.values(keys)) expect(key.startsWith('forge:{R}:')).toBe(true);
  });
});
