import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runPaths } from '@forge/contracts';
import { ForgeError } from '@forge/errors';
import { readCheckpoint, type Checkpoint } from './checkpoint';

const CHECKPOINT = /^step-(\d+)$/;
/** Leftovers of a writer that died. */
const LEFTOVER = /^step-\d+\..+\.tmp$/;

/** A checkpoint that can't be used, and why. */
export interface PassedOver {
  step: number;
  reason: string;
}

/** The checkpoints of a run, `step-<N>` each. */
export class Checkpoints {
  private readonly parent: string;

  /** `dir`: that of the run. */
  constructor(dir: string) {
    this.parent = runPaths(dir).checkpoints;
  }

  path(step: number): string {
    return join(this.parent, `step-${step}`);
  }

  /** Their steps, newest first, whatever state they are in. */
  async steps(): Promise<number[]> {
    const names = await readdir(this.parent).catch(() => [] as string[]);
    return names.flatMap((name) => CHECKPOINT.exec(name)?.slice(1).map(Number) ?? []).sort((a, b) => b - a);
  }

  /** The newest one that is whole and passes `accept`, which throws otherwise; those passed over, newest first. */
  async newestGood(
    accept: (checkpoint: Checkpoint, dir: string) => void = () => undefined,
  ): Promise<{ checkpoint: Checkpoint | null; passedOver: PassedOver[] }> {
    const passedOver: PassedOver[] = [];
    for (const step of await this.steps()) {
      try {
        const checkpoint = await readCheckpoint(this.path(step));
        accept(checkpoint, this.path(step));
        return { checkpoint, passedOver };
      } catch (error) {
        passedOver.push({ step, reason: ForgeError.from(error).message });
      }
    }
    return { checkpoint: null, passedOver };
  }

  /** Deletes all but the newest `keep` of those up to `step`, and what dead writers have left. */
  async retain(keep: number, step: number): Promise<void> {
    const removeLeftovers = async (): Promise<void> => {
      const names = (await readdir(this.parent)).filter((name) => LEFTOVER.test(name));
      for (const name of names) await rm(join(this.parent, name), { recursive: true, force: true });
    };
    await removeLeftovers();
    const old = (await this.steps()).filter((other) => other <= step).slice(keep);
    // By a rename first, so that a deletion that is cut short leaves no half checkpoint.
    for (const one of old) await rename(this.path(one), `${this.path(one)}.old.tmp`);
    await removeLeftovers();
  }

  /** Takes those after `step` out of the way of a run that goes on from there; they stay as `step-<N>.abandoned`. */
  async abandonAfter(step: number): Promise<number[]> {
    const newer = (await this.steps()).filter((other) => other > step);
    for (const one of newer) {
      await rm(`${this.path(one)}.abandoned`, { recursive: true, force: true });
      await rename(this.path(one), `${this.path(one)}.abandoned`);
    }
    return newer;
  }
}
