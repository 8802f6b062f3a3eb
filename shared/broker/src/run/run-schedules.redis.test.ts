import { startTestRedis, type TestRedis } from '@forge/testing';
import fc from 'fast-check';
import type { Admission } from '../groups/admission';
import type { RunBounds, RunSettings } from './run-bounds';
import type { BufferedGroup } from './group-flow';
import type { RunState } from './run-state';
import { announcement, batchOf, createRun } from './run-state.fixture';
import { verifyLedger } from '../groups/verify-ledger';

let server: TestRedis;
let count = 0;
const states: RunState[] = [];

beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(async () => {
  for (const state of states) state.close();
  await server.stop();
});

async function newRun(settings: RunSettings, bounds: Partial<RunBounds>): Promise<RunState> {
  const state = await createRun(await server.connect(), `run-${count++}`, settings, bounds);
  states.push(state);
  return state;
}

/*
 * Random schedules of everything that can happen, crashes included. A crash is the loss of all that a party holds in
 * memory between two of its calls; what it knows again afterwards it reads from Redis.
 */
describe('under any schedule', () => {
  const MOST_REFILLED = 3;
  type Action =
    | 'admit'
    | 'publish'
    | 'publishAgain'
    | 'store'
    | 'evict'
    | 'refill'
    | 'form'
    | 'train'
    | 'crash'
    | 'set'
    | 'pause'
    | 'unpause'
    | 'fail'
    | 'replay'
    | 'resume';
  const action = fc.constantFrom<Action>(
    'admit',
    'publish',
    'publish',
    'publishAgain',
    'store',
    'store',
    'evict',
    'refill',
    'form',
    'train',
    'crash',
    'set',
    'pause',
    'unpause',
    'fail',
    'replay',
    'resume',
  );

  class Party {
    jobs = new Map<number, Admission>();
    epoch = 0;
    /** Lag and the bound it was held to, of every trained group. */
    readonly trainedLags: [lag: number, bound: number][] = [];
    /** Bounds the run has had, the present one last. */
    readonly bounds: number[];
    readonly trainedGroups: number[] = [];
    constructor(
      readonly state: RunState,
      readonly settings: { maxStaleness: number; candidatesPerBatch: number; steps: number },
    ) {
      this.bounds = [settings.maxStaleness];
    }

    async act(what: Action, pick: number): Promise<void> {
      const { state } = this;
      const job = [...this.jobs.values()][pick % Math.max(1, this.jobs.size)];
      switch (what) {
        case 'admit':
          for (const admission of await state.admit(1 + (pick % 4)))
            this.jobs.set(admission.index, admission);
          return;
        case 'publish':
        case 'publishAgain': {
          if (job === undefined) return;
          // The policy generates with any version from the oldest allowed to the newest there is.
          const newest = await state.version();
          if (newest < job.minVersion) return;
          const version = job.minVersion + (pick % (newest - job.minVersion + 1));
          const origin = { replica: 'a replica', oldest: version, newest: version };
          await state.publishGroup(job.index, Buffer.from(String(version)), origin);
          if (what === 'publish') this.jobs.delete(job.index);
          return;
        }
        case 'fail':
          if (job === undefined) return;
          await state.rejectGroup({ index: job.index }, 'failed', {
            code: 'C',
            message: 'm',
            attempts: 1,
            payload: '',
          });
          this.jobs.delete(job.index);
          return;
        case 'replay': {
          const letters = await state.deadLetters.list();
          if (letters.length === 0) return;
          // Its group may be forgotten.
          await state.deadLetters.replay(letters[pick % letters.length]!.id).catch(() => undefined);
          return;
        }
        case 'store':
          for (const { entryId, index, payload } of await state.readGroups('buffer', 3, 0)) {
            await state.storeGroup(entryId, { index, version: Number(payload.toString()) }, payload);
          }
          return;
        case 'evict': {
          const step = await state.nextBatch();
          await state.discard(this.tooOld(await state.bufferedGroups(), step), 'stale');
          return;
        }
        case 'refill': {
          const buffered = await state.bufferedGroups();
          const replaced = buffered.slice(0, 1 + (pick % 2)).map(({ index }) => index);
          const [step, before] = [await state.nextBatch(), await state.refilled()];
          const done = await state.refill(step, replaced, MOST_REFILLED);
          expect(await state.refilled()).toBe(before + done);
          expect(before + done).toBeLessThanOrEqual(MOST_REFILLED);
          return;
        }
        case 'form': {
          const step = await state.nextBatch();
          const fresh = (await state.bufferedGroups()).filter(
            ({ version }) => step - version <= this.bounds.at(-1)!,
          );
          if (fresh.length < this.settings.candidatesPerBatch || step > (await state.version())) return;
          const [first, ...others] = fresh
            .slice(0, this.settings.candidatesPerBatch)
            .map(({ index }) => index);
          await state.formBatch(
            batchOf(step, [first!, ...others.slice(0, pick % (others.length + 1))]),
            others.slice(pick % (others.length + 1)),
          );
          return;
        }
        case 'train': {
          const leased = await state.readBatch('trainer', 0);
          if (leased === null) return;
          if (this.epoch === 0) this.epoch = await state.newEpoch();
          const { version: step } = leased.batch;
          await state.commitStep(step, announcement(step + 1, this.epoch));
          for (const payload of leased.payloads)
            this.trainedLags.push([step - Number(payload.toString()), leased.maxStaleness]);
          this.trainedGroups.push(...leased.batch.groups.map(({ index }) => index));
          return;
        }
        case 'set': {
          const maxStaleness = [0, 1, 2, Infinity][pick % 4]!;
          await state.controls.set({ maxStaleness });
          this.bounds.push(maxStaleness);
          return;
        }
        case 'pause':
          await state.controls.pause();
          return;
        case 'unpause':
          await state.controls.unpause();
          return;
        case 'crash':
          this.jobs.clear();
          this.epoch = 0;
          return;
        case 'resume':
          for (const admission of await state.pendingGroups()) this.jobs.set(admission.index, admission);
      }
    }

    private tooOld(groups: readonly BufferedGroup[], step: number): number[] {
      return groups.filter(({ version }) => step - version > this.bounds.at(-1)!).map(({ index }) => index);
    }
  }

  it('lag never exceeds the bound a batch was formed under, whatever it is set to, the ledger balances, nothing is trained twice, and the run can finish', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 1, 2, Infinity),
        fc.integer({ min: 1, max: 3 }),
        fc.array(fc.tuple(action, fc.nat(97)), { minLength: 20, maxLength: 80 }),
        async (maxStaleness, candidatesPerBatch, schedule) => {
          const settings = { maxStaleness, candidatesPerBatch, steps: 4 };
          // So short a history that most of it is forgotten.
          const party = new Party(await newRun(settings, { inFlight: 100, history: 5, held: 4 }), settings);
          const check = async (): Promise<void> => {
            expect(verifyLedger(await party.state.ledgerSnapshot())).toEqual([]);
            const ledger = await party.state.ledger();
            expect(ledger.isBalanced).toBe(true);
            const returned = Object.entries(ledger.discarded).reduce(
              (n, [why, k]) => n + (why === 'not-selected' ? 0 : k),
              0,
            );
            const loosest = Math.max(...party.bounds);
            const bound = Math.min(4, (await party.state.version()) + loosest + 1) * candidatesPerBatch;
            expect(ledger.admitted - returned).toBeLessThanOrEqual(bound);
          };
          for (const [what, pick] of schedule) {
            await party.act(what, pick);
            await check();
          }
          const healthy: Action[] = [
            'unpause',
            'resume',
            'admit',
            'publish',
            'store',
            'evict',
            'form',
            'train',
          ];
          for (let round = 0; round < 400 && (await party.state.version()) < settings.steps; round++) {
            for (const what of healthy) await party.act(what, round);
          }
          await check();
          expect(await party.state.version()).toBe(settings.steps);
          for (const [lag, held] of party.trainedLags) {
            expect(lag).toBeLessThanOrEqual(held);
            expect(party.bounds).toContain(held);
          }
          expect(new Set(party.trainedGroups).size).toBe(party.trainedGroups.length);
          party.state.close();
          await party.state.remove();
        },
      ),
      { numRuns: 60, seed: 1 },
    );
  });
});
