import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRedis, redisMemory, Registry, type Redis } from '@forge/broker';
import type { Recipe } from '@forge/config';
import { seededRandom, waitFor } from '@forge/testing';
import { KINDS } from '../chaos/chaos-plan';
import type { Company } from '../chaos/chaos-run';
import { ForgeRun } from '../chaos/forge-run';
import { groupIn, type RunFacts } from './hostile-entries';
import { GATEWAY_PATHS, sendRequests } from './http-target';
import { sendLetters } from './mailbox-target';
import { sendFrames } from './socket-target';
import { actorPlaces } from './actor-places';
import { sendJobs, sendSignals, sendToStream, STREAMS } from './stream-targets';
import { growth, listed, type Tally } from './tally';
import { changes, megabytes, vitalSigns, type VitalSigns } from './vital-signs';

export const TOKEN = 'the token of the fuzzed run';
const INTERRUPTED = 130;
/** Growth allowed to a process: a policy takes 140 MiB more in the first minutes of an undisturbed run. */
const BOUNDS = { residentBytes: 192 * 2 ** 20, openFiles: 8 };
/** Growth allowed to Redis: dead letters, the history of what was trained meanwhile, and what its allocator keeps. */
const REDIS_BYTES = 128 * 2 ** 20;
const SETTLED_WITHIN_MS = 30_000;
/** A garbage collector may be so late. */
const COLLECTED_WITHIN_MS = 60_000;
const POLL_MS = 500;
/** Steps before, so that every process has taken what it needs; and after. */
const WARM_UP_STEPS = 20;
const STEPS_AFTER = 3;

interface Measurement {
  processes: Map<string, VitalSigns>;
  redisBytes: number;
}

export interface FuzzOptions {
  dir: string;
  recipe: Recipe;
  /** Messages to each target. */
  count: number;
  seed: number;
  /** The targets whose names begin with this; left out: all. */
  only?: string | undefined;
  say: (line: string) => void;
  company?: (run: ForgeRun) => Promise<Company>;
}

const COUNTED_BY_SCRIPTS = ['batches', 'weights', 'telemetry', 'spans'];
/** Share of the messages to the weights that may be missed. */
const MISSED_SHARE = 0.25;

interface Answers {
  tally: Tally;
  /** Number of messages whose sender was told that they are wrong. */
  refused: number;
  /** Number of messages whose answer is not known. */
  unknown?: number;
}

type Counts = Readonly<Record<string, number>>;

/** One live run that is sent nonsense wherever it listens, while it trains. */
export class FuzzRun {
  private readonly violations: string[] = [];
  private readonly random: () => number;
  private company: Company | undefined;

  private constructor(
    private readonly run: ForgeRun,
    private readonly redis: Redis,
    private readonly options: FuzzOptions,
  ) {
    this.random = seededRandom(options.seed);
  }

  /** Returns everything that was not as it should be; empty when all was. */
  static async over(options: FuzzOptions): Promise<string[]> {
    const run = await ForgeRun.start(options.dir, options.recipe, { FORGE_CLUSTER_TOKEN: TOKEN });
    const redis = await connectRedis(run.redisUrl, { name: 'fuzz', giveUpAfterMs: 10_000 });
    const fuzz = new FuzzRun(run, redis, options);
    try {
      await fuzz.go();
    } catch (error) {
      fuzz.violations.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
    } finally {
      redis.disconnect();
      run.kill();
    }
    if (fuzz.violations.length > 0) options.say(`files are kept in ${run.workDir}`);
    else run.removeFiles();
    return fuzz.violations;
  }

  private async go(): Promise<void> {
    const { run } = this;
    const { say } = this.options;
    await waitFor('every service', () => run.isUp(), 60_000);
    this.company = await this.options.company?.(run);
    await waitFor('some steps', async () => (await run.runState.version()) >= WARM_UP_STEPS, 120_000);
    const before = await this.measure();
    const totalsBefore = await run.runState.rejections.totals();
    const lettersBefore = await this.letters();
    await this.sendAll();

    const version = await run.runState.version();
    const goesOn = async () => (await run.runState.version()) >= version + STEPS_AFTER;
    await waitFor('training to go on', goesOn, 60_000);
    const totals = growth(totalsBefore, await run.runState.rejections.totals());
    say(`\nrefused in all: ${listed(totals)}`);
    const isWork = ([name]: [string, number]): boolean =>
      /^(groups|batches|rollout)\//.test(name) && name !== 'groups/duplicate';
    const work = Object.entries(totals)
      .filter(isWork)
      .reduce((sum, [, count]) => sum + count, 0);
    const letters = await this.letters();
    const grown = letters.kept + letters.dropped - lettersBefore.kept - lettersBefore.dropped;
    say(`dead letters: ${letters.kept} kept, ${letters.dropped} dropped; refused work ${work}`);
    if (grown !== work)
      this.violations.push(`${work} pieces of work were refused, ${grown} became dead letters`);
    const reasons = new Set((await run.runState.deadLetters.list()).map(({ message }) => message === ''));
    if (reasons.has(true)) this.violations.push('a dead letter says no reason');

    this.compare(before, await this.measureSettled(before));
    await this.end(version);
  }

  private async sendAll(): Promise<void> {
    const { run, redis, random } = this;
    const { count, only = '' } = this.options;
    const state = run.runState;
    const facts = await this.factsReader();
    for (const stream of STREAMS)
      await this.target(`stream ${stream}`, stream, () =>
        sendToStream(redis, state, stream, facts, random, count),
      );
    await this.target('stream signals', null, () => sendSignals(redis, state, count));
    await this.target('queue rollout', 'rollout', () => sendJobs(redis, state, random, count));
    const registry = new Registry(redis, run.runId);
    const services = ['coordinator', 'trainer', 'replay-buffer', 'policy', 'reward', 'reference', 'gateway'];
    const replicas = (await Promise.all(services.map((service) => registry.list(service)))).flat();
    for (const { service, replica, url } of replicas.filter((one) => one.replica === '0'))
      await this.answered(`http ${service}/${replica}`, 'http', () =>
        sendRequests(`${service}/${replica}`, url, random, count),
      );
    for (const address of await run.gateways())
      await this.answered('http gateway', 'gateway', () =>
        sendRequests('gateway', address, random, count, GATEWAY_PATHS),
      );
    if (only.startsWith('socket') || only === '') {
      const { places, end } = await actorPlaces(run, replicas, (await facts()).newestWeights);
      try {
        for (const [name, place] of Object.entries(places))
          await this.answered(`socket ${name}`, 'calls', () => sendFrames(name, place, random, count));
      } finally {
        end();
      }
    }
    await this.answered('mailbox', null, () => sendLetters(redis, random, count));
  }

  /** A target that reads; every message to it is to be counted as refused. */
  private async target(name: string, place: string | null, send: () => Promise<Tally>): Promise<void> {
    if (!this.isWanted(name)) return;
    const before = await this.refusedAt(place);
    const givenUpBefore = await this.givenUp();
    const startedAt = performance.now();
    const tally = await send();
    // The stream of the weights is a window: no service reads entries it has moved past.
    const missed = place === 'weights' ? tally.sent * MISSED_SHARE : 0;
    const refused = await this.settled(place, before, place === null ? 0 : tally.sent - missed);
    this.tell(tally, refused, startedAt);
    if (place === null) return;
    // A group that was on its way and given up for a message under its index comes too late with its own.
    const late = place === 'groups' ? (await this.givenUp()) - givenUpBefore : 0;
    this.expect(name, total(refused), tally.sent + late - missed, tally.sent + late);
  }

  /** A target that answers; as many are to be counted as were told. */
  private async answered(name: string, place: string | null, send: () => Promise<Answers>): Promise<void> {
    if (!this.isWanted(name)) return;
    const before = await this.refusedAt(place);
    const startedAt = performance.now();
    const { tally, refused: told, unknown = 0 } = await send();
    const refused = place === null ? { told } : await this.settled(place, before, told);
    this.tell(tally, refused, startedAt);
    if (place === null) this.expect(name, told, tally.sent, tally.sent);
    else this.expect(name, total(refused), told, told + unknown);
  }

  private isWanted(name: string): boolean {
    return name.startsWith(this.options.only ?? '');
  }

  private expect(name: string, found: number, least: number, most: number): void {
    if (found >= least && found <= most) return;
    const wanted = least === most ? String(least) : `${least} to ${most}`;
    this.violations.push(`${name}: ${found} were counted as refused, expected ${wanted}`);
  }

  /** Number of further refusals at a place, by reason, once that is as many as expected or nothing changes. */
  private async settled(place: string | null, before: Counts, expected: number): Promise<Counts> {
    if (place === null) return {};
    let grown: Counts = {};
    const isAll = async (): Promise<boolean> => {
      grown = growth(before, await this.refusedAt(place));
      return total(grown) >= expected;
    };
    await waitFor(`${expected} at ${place}`, isAll, SETTLED_WITHIN_MS).catch(() => undefined);
    // Refusals no script counts are added once a second: nothing must come after them.
    if (!COUNTED_BY_SCRIPTS.includes(place)) await sleep(1_200);
    return growth(before, await this.refusedAt(place));
  }

  private async refusedAt(place: string | null): Promise<Counts> {
    const totals = Object.entries(await this.run.runState.rejections.totals());
    return Object.fromEntries(totals.filter(([name]) => place !== null && name.startsWith(`${place}/`)));
  }

  private tell(tally: Tally, refused: Counts, startedAt: number): void {
    const { say } = this.options;
    const seconds = (performance.now() - startedAt) / 1000;
    say(`\n${tally.target}: ${tally.sent} sent in ${seconds.toFixed(1)} s, ${total(refused)} refused`);
    say(`  sent     ${listed(tally.byKind)}`);
    say(`  refused  ${listed(refused)}`);
  }

  /** Groups that were discarded for what came as their message. */
  private async givenUp(): Promise<number> {
    const { invalid = 0, 'other-weights': otherWeights = 0 } = (await this.run.runState.ledger()).discarded;
    return invalid + otherWeights;
  }

  private async letters(): Promise<{ kept: number; dropped: number }> {
    return this.run.runState.deadLetters.counts();
  }

  /** Facts of the run as it is now, for messages that look like its own. */
  private async factsReader(): Promise<() => Promise<RunFacts>> {
    const { redis } = this;
    const { keys } = this.run.runState;
    const [index, payload] = await waitFor('a group', async () => {
      const all = await redis.hgetallBuffer(keys.payloads);
      return Object.entries(all).sort(([a], [b]) => Number(a) - Number(b))[0];
    });
    const isOver = async () => /^[td]/.test((await redis.hget(keys.records, index)) ?? '');
    await waitFor('its end', isOver, 60_000);
    const trained = groupIn(payload);
    const newestWeights = (await this.run.runState.weights.latest())!.announcement;
    return async () => {
      const admitted = Number(await redis.hget(keys.run, 'nextIndex'));
      return { runId: this.run.runId, trained, newestWeights, admitted };
    };
  }

  private async measure(): Promise<Measurement> {
    const parts = (
      await Promise.all([...KINDS, 'gateway' as const].map((kind) => this.run.parts(kind)))
    ).flat();
    const own = parts.filter(({ replica }) => replica !== 'tcp');
    const processes = new Map(own.map(({ kind, replica, pid }) => [`${kind}/${replica}`, vitalSigns(pid)]));
    processes.set('forge run', vitalSigns(this.run.pid));
    return { processes, redisBytes: (await redisMemory(this.redis)).usedBytes };
  }

  /**
   * Measures what is held once garbage is collected: a process that leaks does not come back within its bounds, one
   * whose collector is late does.
   */
  private async measureSettled(before: Measurement): Promise<Measurement> {
    const deadline = performance.now() + COLLECTED_WITHIN_MS;
    for (;;) {
      const after = await this.measure();
      const isSettled = [...before.processes].every(([name, earlier]) => {
        const later = after.processes.get(name);
        return later === undefined || changes(name, earlier, later, boundsOf(name)).length === 0;
      });
      if (isSettled || performance.now() > deadline) return after;
      await sleep(POLL_MS);
    }
  }

  private compare(before: Measurement, after: Measurement): void {
    const { say } = this.options;
    say('\nmemory and open files, before and after');
    for (const [name, earlier] of before.processes) {
      const later = after.processes.get(name);
      if (later === undefined) {
        this.violations.push(`${name} is gone`);
        continue;
      }
      const memory = `${megabytes(earlier.residentBytes)} -> ${megabytes(later.residentBytes)}`;
      say(`  ${name.padEnd(16)} ${memory.padEnd(22)} ${earlier.openFiles} -> ${later.openFiles}`);
      this.violations.push(...changes(name, earlier, later, boundsOf(name)));
    }
    const grown = after.redisBytes - before.redisBytes;
    say(`  Redis holds      ${megabytes(before.redisBytes)} -> ${megabytes(after.redisBytes)}`);
    if (grown > REDIS_BYTES) this.violations.push(`Redis holds ${megabytes(grown)} more`);
  }

  /** Stops the run, which saves, and counts its ledger again. */
  private async end(version: number): Promise<void> {
    const { run, violations } = this;
    await this.company?.leave();
    const code = await run.stop();
    if (code !== INTERRUPTED) violations.push(`forge run ended with ${code} instead of ${INTERRUPTED}`);
    if (this.company) violations.push(...(await this.company.violations(run, this.options.say)));
    const said = readFileSync(join(run.workDir, 'said.log'), 'utf8');
    violations.push(...(said.match(/^.*starting it again.*$/gm) ?? []));
    const ledger = run.verifyLedger();
    this.options.say(`\n${ledger.said}`);
    if (!ledger.isRight) violations.push(`forge ledger --verify: ${ledger.said}`);
    const summary = JSON.parse(readFileSync(join(run.runDir, 'summary.json'), 'utf8')) as { steps: number };
    if (summary.steps < version) violations.push(`the run ended at step ${summary.steps}`);
  }
}

/** The memory of Redis is looked at by itself, without what its allocator keeps. */
function boundsOf(name: string) {
  return name.startsWith('redis') ? { ...BOUNDS, residentBytes: Infinity } : BOUNDS;
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
