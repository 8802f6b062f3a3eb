import { join } from 'node:path';
import { verifyLedger, type LedgerSnapshot } from '@forge/broker';
import { ForgeError } from '@forge/errors';
import {
  findRunRecord,
  isAlive,
  type RunRecord,
  withRun,
  rolloutHistory,
  type RolloutHistory,
} from '@forge/runs';
import { readRunFiles, verifyRunFiles, type RunFiles } from '../run-files/verify-run-files';

export interface LedgerOptions {
  dir: string;
  json?: boolean;
  verify?: boolean;
  /** The history of this group instead of the totals. */
  rollout?: number;
}

/** `forge ledger RUN`: where every admitted group is; with `--verify` whether that is so, 1 when it is not. */
export async function ledger(id: string, options: LedgerOptions): Promise<number> {
  const record = findRunRecord(options.dir, id, isAlive);
  const files = readRunFiles(join(options.dir, id));
  const snapshot = await withRun(record, ({ runState }) => runState.ledgerSnapshot());
  const problems = options.verify ? [...verifyLedger(snapshot), ...verifyRunFiles(files, snapshot)] : null;
  const history = options.rollout === undefined ? null : historyOf(id, options.rollout, snapshot);
  const report = {
    run: id,
    state: record.state,
    version: snapshot.run.version,
    ledger: snapshot.ledger,
    ...(history && { rollout: history }),
    ...(problems && { verified: { problems, checked: checkedIn(snapshot, files) } }),
  };
  process.stdout.write(`${options.json ? JSON.stringify(report) : render(record, report)}\n`);
  return problems === null || problems.length === 0 ? 0 : 1;
}

interface Report {
  version: number;
  ledger: LedgerSnapshot['ledger'];
  rollout?: RolloutHistory;
  verified?: { problems: string[]; checked: Record<string, number> };
}

function historyOf(id: string, index: number, snapshot: LedgerSnapshot): RolloutHistory {
  const history = rolloutHistory(id, index, snapshot);
  if (history !== null) return history;
  const why = index < snapshot.run.firstKept ? 'is forgotten (limits.historyGroups)' : 'was not admitted';
  throw new ForgeError('CONFLICT_STATE', `group ${index} of run ${id} ${why}`, { runId: id, index });
}

function checkedIn(snapshot: LedgerSnapshot, files: RunFiles): Record<string, number> {
  const { groups, forgotten, versions, leases } = snapshot;
  return {
    groups: groups.size,
    forgotten: forgotten.trained + Object.values(forgotten.discarded).reduce((a, b) => a + b, 0),
    versions: versions.size,
    leases: leases.length,
    metrics: files.rows.length,
    checkpoints: files.checkpoints.length,
  };
}

function render({ id, state }: RunRecord, { version, ledger: counts, rollout, verified }: Report): string {
  const lines = rollout ? renderHistory(rollout) : renderTotals(id, state, version, counts);
  if (verified) {
    const { problems, checked } = verified;
    const what = `${checked['groups']} groups (${checked['forgotten']} more by their counts), ${checked['versions']} versions, ${checked['leases']} batches under way, ${checked['metrics']} steps in metrics.jsonl, ${checked['checkpoints']} checkpoints`;
    lines.push(
      ...problems.map((problem) => `WRONG  ${problem}`),
      problems.length === 0 ? `verified: ${what} agree` : `${problems.length} disagreements in ${what}`,
    );
  }
  return lines.join('\n');
}

function renderTotals(id: string, state: string, version: number, counts: Report['ledger']): string[] {
  const { admitted, inFlight, buffered, leased, trained, discarded, isBalanced } = counts;
  const row = (name: string, value: number): string => `${name.padEnd(26)}${String(value).padStart(9)}`;
  const total = Object.values(discarded).reduce((a, b) => a + b, 0);
  return [
    `${id}  ${state}  version ${version}`,
    row('admitted', admitted),
    row('  in flight', inFlight),
    row('  buffered', buffered),
    row('  leased', leased),
    row('  trained', trained),
    row('  discarded', total),
    ...Object.entries(discarded).map(([reason, count]) => row(`    ${reason}`, count)),
    isBalanced ? 'adds up' : 'DOES NOT ADD UP',
  ];
}

function renderHistory(history: RolloutHistory): string[] {
  const {
    index,
    state,
    job,
    minVersion,
    replayOf,
    replica,
    generatedBy,
    step,
    lag,
    maxStaleness,
    produced,
    reason,
  } = history;
  const row = (name: string, value: string): string => `${name.padEnd(12)}${value}`;
  return [
    `group ${index}  ${state}${reason === null ? '' : ` (${reason})`}`,
    row('job', job),
    row('admitted', `for versions ${minVersion} and newer`),
    ...(replayOf === null ? [] : [row('replays', `the sample of group ${replayOf}`)]),
    ...(generatedBy === null
      ? []
      : [
          row('generated', `by policy/${replica}, version ${generatedBy.map((v) => v.version).join(', ')}`),
          ...generatedBy.map((v) => row('', `version ${v.version}  ${v.weightsHash ?? 'forgotten'}`)),
        ]),
    ...(step === null
      ? []
      : [
          row(
            'batch',
            `of step ${step}, lag ${lag}${maxStaleness === null ? '' : ` of at most ${maxStaleness}`}`,
          ),
        ]),
    ...(produced === null
      ? []
      : [row('produced', `version ${produced.version}  ${produced.weightsHash ?? 'forgotten'}`)]),
  ];
}
