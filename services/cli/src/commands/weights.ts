import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ForgeError } from '@forge/errors';
import { findRunRecord, isAlive, keptWeights, runWeights, withRun, type KeptWeights } from '@forge/runs';
import { verifyWeights } from '../run-files/verify-weights';

export interface WeightsOptions {
  dir: string;
  json?: boolean;
}

const POLL_MS = 200;

/** `forge weights list RUN`: the versions that are kept, oldest first. */
export async function listWeights(id: string, { dir, json }: WeightsOptions): Promise<number> {
  const { version, weights } = await withRun(findRunRecord(dir, id, isAlive), (access) =>
    keptWeights(join(dir, id), access),
  );
  if (json) process.stdout.write(`${JSON.stringify({ run: id, version, weights })}\n`);
  else process.stdout.write(`${[...weights.map(line), `${id} is at version ${version}`].join('\n')}\n`);
  return 0;
}

function line({
  version,
  sha256,
  sizeBytes,
  writtenAt,
  parent,
  rolledBackTo,
  groups,
  usedBy,
}: KeptWeights): string {
  const age =
    writtenAt === null ? 'GONE' : `${Math.round((Date.now() - Date.parse(writtenAt)) / 1000)} s old`;
  const from = parent === null ? 'base' : `${rolledBackTo === null ? 'from' : 'back to'} ${parent.version}`;
  return [
    `v${version}`.padEnd(8),
    sha256,
    `${(sizeBytes / 1e6).toFixed(1)} MB`.padStart(11),
    age.padStart(10),
    from.padEnd(13),
    `${groups.length} groups`.padEnd(11),
    usedBy.join(' '),
  ]
    .join('  ')
    .trimEnd();
}

/** `forge weights verify RUN`: reads every blob again and compares it with its manifest and the run; 1 when one is wrong. */
export async function verifyRunWeights(id: string, { dir, json }: WeightsOptions): Promise<number> {
  const store = runWeights(join(dir, id));
  const record = findRunRecord(dir, id, isAlive);
  const { versions, problems } = await withRun(record, async ({ runState }) =>
    verifyWeights(store, () => runState.ledgerSnapshot()),
  );
  const said = json
    ? [JSON.stringify({ run: id, versions, problems })]
    : [
        ...problems.map((problem) => `WRONG  ${problem}`),
        problems.length === 0
          ? `verified: ${versions} versions agree`
          : `${problems.length} disagreements in ${versions} versions`,
      ];
  process.stdout.write(`${said.join('\n')}\n`);
  return problems.length === 0 ? 0 : 1;
}

/** `forge weights rollback RUN --to VERSION`: asks the running trainer, and waits until it has done so. */
export async function rollBackWeights(
  id: string,
  { dir, json, to, wait }: WeightsOptions & { to: number; wait: number },
): Promise<number> {
  const deadline = performance.now() + wait * 1000;
  const version = await withRun(findRunRecord(dir, id, isAlive), async ({ runState }) => {
    const { weights } = runState;
    await weights.askRollback(to);
    while ((await weights.wanted()).rollback === to) {
      const { phase } = await runState.phase();
      if (phase !== 'running' || performance.now() > deadline) {
        const message = `run ${id} has not gone back to version ${to}${phase === 'running' ? ` within ${wait} s; it will when a batch is due` : `: it is ${phase}`}`;
        throw new ForgeError('CONFLICT_STATE', message, { id, to, phase });
      }
      await sleep(POLL_MS);
    }
    const refused = await weights.refusedRollback();
    if (refused !== null) throw new ForgeError('CONFLICT_STATE', `not rolled back: ${refused}`, { id, to });
    const { versions } = await runState.ledgerSnapshot();
    return Math.max(
      ...[...versions.values()].filter((one) => one.rolledBackTo === to).map((one) => one.version),
    );
  });
  process.stdout.write(
    json
      ? `${JSON.stringify({ run: id, version, rolledBackTo: to })}\n`
      : `version ${version} has the weights of version ${to}\n`,
  );
  return 0;
}
