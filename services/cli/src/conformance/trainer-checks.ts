import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONSUMER_GROUP, verifyLedger } from '@forge/broker';
import { encode, runPaths, SCHEMA_VERSION, type WeightsAnnouncement } from '@forge/contracts';
import { loadModel } from '@forge/model';
import { Batches } from './batches';
import { difference, firstFault, type Check } from './check';
import { blobFault, hasValues, manifestFault, shapesOf } from './published-weights';
import type { ScratchRun } from './scratch-run';

/** Wait for something that must not come. */
const QUIET_MS = 3_000;
const CONSUMER = 'trainer';

/** Duties of a trainer, in the order of a run. */
export async function trainerChecks(run: ScratchRun): Promise<Check[]> {
  const { runState, redis } = run;
  const { keys, weights } = runState;
  const batches = new Batches(run, await run.ownPolicy());
  const shapes = shapesOf(run.model.parameters);
  const announced = new Map<number, WeightsAnnouncement>();
  let trained: number[] = [];
  let newest = 0;

  const epoch = async (): Promise<number> => Number(await redis.hget(keys.run, 'epoch'));
  const announcementOf = async (version: number): Promise<WeightsAnnouncement | null> => {
    const latest = await weights.latest();
    if (latest?.announcement.version !== version) return null;
    announced.set(version, latest.announcement);
    return latest.announcement;
  };
  const own = (version: number): WeightsAnnouncement => announced.get(version)!;
  const form = async (): Promise<void> => {
    trained = await batches.form(own(newest));
  };
  /** The fault of the commit of the batch that is formed. */
  const commitFault = async (): Promise<string | null> => {
    const next = newest + 1;
    const isThere = await run.until(async () => (await runState.version()) >= next);
    if (isThere === null)
      return run.absent(`version ${next}, from the batch of version ${newest}`, `version ${newest}`);
    newest = await runState.version();
    const latest = await run.until(() => announcementOf(next), QUIET_MS);
    return latest === null
      ? `expected an announcement of version ${next} with the hash it was committed with, found none`
      : null;
  };
  /** A fault when the version moves although it must not. */
  const stillFault = async (why: string): Promise<string | null> => {
    const moved = await run.until(async () => (await runState.version()) > newest, QUIET_MS);
    if (moved === null) return null;
    newest = await runState.version();
    await announcementOf(newest);
    return `expected no commit, since ${why}; found version ${newest}`;
  };
  return [
    {
      name: 'takes an epoch',
      section: 'trainer-starts',
      isVital: true,
      faultOf: async () =>
        (await run.until(async () => (await epoch()) > 0)) === null
          ? run.absent('the field epoch of the hash run to be counted up by one', '0')
          : null,
    },
    {
      name: 'announces the weights it starts from',
      section: 'trainer-starts',
      isVital: true,
      faultOf: async () => {
        const latest = await run.until(() => announcementOf(0));
        if (latest === null)
          return run.absent('an announcement of version 0 whose hash is in the hash versions', 'none');
        return difference('epoch in the announcement', await epoch(), latest.epoch);
      },
    },
    {
      name: 'registers as a replica',
      section: 'registry',
      faultOf: () => run.registrationFault(),
    },
    {
      name: 'publishes the weights it starts from',
      section: 'weights',
      isVital: true,
      faultOf: () =>
        firstFault(
          () => blobFault(own(0), shapes),
          async () => {
            if (run.recipe.trainer.publishDtype !== 'F32') return null;
            const isSame = await hasValues(own(0), run.model.parameters);
            return isSame ? null : 'expected version 0 to have the values of the model, found others';
          },
        ),
    },
    {
      name: 'describes them in a manifest',
      section: 'weights',
      faultOf: () => manifestFault(own(0), { parent: null, trained: null }),
    },
    {
      name: 'trains a batch and commits it',
      section: 'trainer-step',
      isVital: true,
      faultOf: async () => {
        await form();
        return commitFault();
      },
    },
    {
      name: 'publishes what it committed',
      section: 'weights',
      isVital: true,
      faultOf: () =>
        firstFault(
          () => blobFault(own(1), shapes),
          () =>
            own(1).sha256 === own(0).sha256
              ? 'expected the weights to change by a step, found those of version 0'
              : null,
        ),
    },
    {
      name: 'says what it was trained from',
      section: 'weights',
      faultOf: () =>
        manifestFault(own(1), {
          parent: { version: 0, sha256: own(0).sha256 },
          trained: { step: 0, groups: trained },
        }),
    },
    {
      name: 'commits by the script, once',
      section: 'trainer-step',
      faultOf: async () => {
        const [problem] = verifyLedger(await runState.ledgerSnapshot());
        if (problem !== undefined)
          return `expected the state of the run to agree with itself, found: ${problem}`;
        const entries = await redis.xlen(keys.batches);
        const steps = (await run.events('step')).filter(({ step }) => step === 1);
        return firstFault(
          () => difference('entries left in the stream batches', 0, entries),
          () => difference('events of kind step of the commit', 1, steps.length),
        );
      },
    },
    {
      name: 'tells the metrics of its step',
      section: 'trainer-step',
      faultOf: async () => {
        const [event] = (await run.events('step')).filter(({ step }) => step === 1);
        const missing = ['loss', 'gradient_norm', 'learning_rate', 'tokens/trained', 'reward/mean'].filter(
          (name) => event?.values[name] === undefined,
        );
        return missing.length === 0
          ? null
          : `expected ${missing.join(', ')} in the event of step 1, found ${Object.keys(event?.values ?? {}).join(', ') || 'none'}`;
      },
    },
    {
      name: 'refuses batches that are none',
      section: 'refusing',
      faultOf: async () => {
        const before = await runState.deadLetters.list();
        const forged = { schemaVersion: SCHEMA_VERSION.batch, version: newest, statistics: {} };
        const other = encode({ ...forged, groups: [{ index: 0, advantages: [1] }] });
        for (const bytes of [Buffer.from('no msgpack'), other])
          await redis.xadd(keys.batches, '*', 'batch', bytes);
        const isEmpty = await run.until(async () => (await redis.xlen(keys.batches)) === 0);
        if (isEmpty === null)
          return run.absent(
            'an entry that is no msgpack, and one without a lease, to be deleted from the stream batches',
            'them there',
          );
        const letters = (await runState.deadLetters.list()).length - before.length;
        return firstFault(
          () => difference('dead letters of the two', 2, letters),
          () => stillFault('both batches were none'),
          () => run.part.ended && `expected the part to go on; ${run.part.ended}`,
        );
      },
    },
    {
      name: 'goes on after what it refused',
      section: 'refusing',
      isVital: true,
      faultOf: async () => {
        await form();
        return commitFault();
      },
    },
    {
      name: 'publishes a damaged version again when asked',
      section: 'trainer-requests',
      faultOf: async () => {
        const { path, sizeBytes } = own(newest);
        const whole = await readFile(path);
        await writeFile(path, Buffer.alloc(sizeBytes, 1));
        await weights.askAgain(newest);
        const isRepaired = await run.until(async () => (await blobFault(own(newest), shapes)) === null);
        if (isRepaired !== null) return null;
        await writeFile(path, whole);
        return run.absent(
          `version ${newest} to be written again after publish was asked for in weights-requests`,
          'the damaged blob',
        );
      },
    },
    {
      name: 'goes back to a version when asked',
      section: 'trainer-requests',
      faultOf: async () => {
        const to = newest - 1;
        await weights.askRollback(to);
        await form();
        const fault = await commitFault();
        if (fault !== null || (await weights.refusedRollback()) !== null) return fault;
        const record = (await runState.ledgerSnapshot()).versions.get(newest);
        return firstFault(
          () => difference(`rolledBackTo of version ${newest}`, to, record?.rolledBackTo ?? null),
          () => difference(`hash of version ${newest}`, own(to).sha256, own(newest).sha256),
        );
      },
    },
    {
      name: 'drains on SIGTERM',
      section: 'lifecycle',
      endsPart: true,
      faultOf: () => run.drainFault(),
    },
    {
      name: 'takes over a batch that its predecessor did not commit',
      section: 'trainer-starts',
      isVital: true,
      endsPart: true,
      faultOf: async () => {
        await run.part.stop('SIGKILL', QUIET_MS);
        const before = await epoch();
        await form();
        await redis.xreadgroup('GROUP', CONSUMER_GROUP, CONSUMER, 'COUNT', 1, 'STREAMS', keys.batches, '>');
        run.part.ensure();
        const fault = await commitFault();
        const now = await epoch();
        return fault ?? (now > before ? null : `expected a new epoch after ${before}, found ${now}`);
      },
    },
    {
      name: 'is fenced off by its successor',
      section: 'fences',
      isVital: true,
      endsPart: true,
      faultOf: async () => {
        await run.until(async () => (await run.registry.list('trainer')).length > 0);
        const fenced = await runState.newEpoch();
        await form();
        const fault = await stillFault(`epoch ${fenced} belongs to another trainer`);
        await run.part.stop('SIGKILL', QUIET_MS);
        run.part.ensure();
        return fault ?? commitFault();
      },
    },
    {
      name: 'does not train on tokens that are too old',
      section: 'staleness',
      endsPart: true,
      faultOf: async () => {
        await run.part.stop('SIGKILL', QUIET_MS);
        await form();
        const index = trained[0]!;
        await batches.makeStale(index);
        run.part.ensure();
        await sleep(QUIET_MS);
        const fault = await stillFault('a token of version 0 is older than maxStaleness 0 allows');
        if (fault !== null) return fault;
        await batches.restore(index);
        await run.part.stop('SIGKILL', QUIET_MS);
        run.part.ensure();
        return commitFault();
      },
    },
    {
      name: 'saves the model when the run is over',
      section: 'trainer-ends',
      faultOf: async () => {
        await runState.controls.set({ steps: newest });
        const isSaved = await run.until(async () =>
          (await run.events('run')).some(({ state }) => state === 'saved'),
        );
        if (isSaved === null)
          return run.absent(
            `an event of kind run with state saved after step ${newest} of ${newest}`,
            'none',
          );
        const folder = runPaths(run.directory).model;
        const saved = await loadModel(folder).catch(() => null);
        if (saved === null)
          return `expected a model in ${join(run.runId, 'model')}, found none that can be read`;
        return difference('tensors of the saved model', shapes.length, saved.parameters.size);
      },
    },
  ];
}
