import type { KeptLetter, RunState } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import { findRunRecord, isAlive, readablePayload, withRun } from '@forge/runs';

export interface DeadLetterOptions {
  dir: string;
  json?: boolean;
}

const BRIEF_CHARACTERS = 400;

function withLetters<T>(
  runId: string,
  { dir }: DeadLetterOptions,
  work: (letters: RunState['deadLetters']) => Promise<T>,
): Promise<T> {
  return withRun(findRunRecord(dir, runId, isAlive), ({ runState }) => work(runState.deadLetters));
}

/** `forge dead-letter list RUN`: what failed for good, oldest first, a line each. */
export async function listDeadLetters(runId: string, options: DeadLetterOptions): Promise<number> {
  const { letters, counts } = await withLetters(runId, options, async (kept) => ({
    letters: await kept.list(),
    counts: await kept.counts(),
  }));
  if (options.json) {
    const shown = letters.map(({ payload: _payload, ...letter }) => letter);
    process.stdout.write(`${JSON.stringify({ run: runId, ...counts, letters: shown })}\n`);
    return 0;
  }
  const { dropped, waiting } = counts;
  const lines = [
    ...letters.map((letter) => line(letter, inBrief(letter.message))),
    `${letters.length} dead letters${dropped > 0 ? `, ${dropped} older ones dropped` : ''}${waiting > 0 ? `, ${waiting} replayed ones wait for admission` : ''}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

/** `forge dead-letter show RUN ID`: one of them with what was worked on. */
export async function showDeadLetter(runId: string, id: string, options: DeadLetterOptions): Promise<number> {
  const letter = await withLetters(runId, options, (kept) => kept.get(id));
  const payload = readablePayload(letter);
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ ...letter, payload })}\n`);
    return 0;
  }
  const cut = letter.payload.length < letter.sizeBytes ? `, the first ${letter.payload.length}` : '';
  const shown = typeof payload === 'string' ? payload : JSON.stringify(payload, null, 2);
  process.stdout.write(
    `${line(letter, letter.message)}\npayload     ${letter.sizeBytes} bytes${cut}\n${shown}\n`,
  );
  return 0;
}

/** `forge dead-letter replay RUN ID...`: puts the work back into a running run. */
export function replayDeadLetters(
  runId: string,
  ids: readonly string[],
  options: DeadLetterOptions,
): Promise<number> {
  return forEach(runId, ids, options, 'put back', (letters, id) => letters.replay(id));
}

/** `forge dead-letter discard RUN ID...`: throws letters away. */
export function discardDeadLetters(
  runId: string,
  ids: readonly string[],
  options: DeadLetterOptions,
): Promise<number> {
  return forEach(runId, ids, options, 'discarded', (letters, id) => letters.discard(id));
}

/** Does the action to each letter; 1 when it was refused for some. */
async function forEach(
  runId: string,
  ids: readonly string[],
  options: DeadLetterOptions,
  done: string,
  act: (letters: RunState['deadLetters'], id: string) => Promise<void>,
): Promise<number> {
  const results = await withLetters(runId, options, async (letters) => {
    const made = [];
    for (const id of ids) made.push({ id, refused: await refusal(() => act(letters, id)) });
    return made;
  });
  if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  else {
    for (const { id, refused } of results) {
      if (refused === null) process.stdout.write(`${id} ${done}\n`);
      else process.stderr.write(`forge: ${refused}\n`);
    }
  }
  return results.every(({ refused }) => refused === null) ? 0 : 1;
}

async function refusal(act: () => Promise<void>): Promise<string | null> {
  try {
    await act();
    return null;
  } catch (error) {
    if (error instanceof ForgeError && ['CONFLICT_STATE', 'CAPACITY_EXCEEDED'].includes(error.code))
      return error.message;
    throw error;
  }
}

/** A message in a line: without the stack and the code in what a program wrote, which are indented. */
function inBrief(message: string): string {
  const lines = message.split('\n').filter((one, i) => i === 0 || /^\S/.test(one));
  const words = lines.join(' ');
  return words.length <= BRIEF_CHARACTERS ? words : `${words.slice(0, BRIEF_CHARACTERS)}…`;
}

function line({ id, atMs, kind, index, code, attempts }: KeptLetter, message: string): string {
  const about = index === null ? kind : `${kind} of group ${index}`;
  const tried = attempts === 1 ? 'tried once' : `tried ${attempts} times`;
  return `${id.padEnd(16)} ${new Date(atMs).toISOString()}  ${about}, ${tried}: ${message} [${code}]`;
}
