import type { TelemetryEvent } from '@forge/contracts';

/** Evaluations whose slices are waited for at a time; an earlier coordinator may have asked for some. */
const MAX_OPEN = 16;

type EvaluationEvent = Extract<TelemetryEvent, { kind: 'evaluation' }>;

/** The held-out accuracy of one policy version. */
export interface Evaluation {
  version: number;
  /** Share of the judged samples that were answered correctly, 0..1. */
  accuracy: number;
  /** Share of the samples that were not judged, since what should have judged them was at fault. */
  unjudged: number;
  /** No sample could be answered and judged: the accuracy says nothing. */
  isVoid?: true;
}

/** Whether most samples of an evaluation were not judged: its accuracy decides nothing. */
export function isDoubtful({ unjudged }: Evaluation): boolean {
  return unjudged > 0.5;
}

/** The held-out evaluations of a run, put together from the slices that policies report. */
export class Evaluations {
  private readonly done: Evaluation[] = [];
  private readonly slices = new Map<number, Map<number, EvaluationEvent>>();

  /** Finished evaluations, oldest version first. */
  get results(): readonly Evaluation[] {
    return this.done;
  }

  has(version: number): boolean {
    return this.done.some((evaluation) => evaluation.version === version);
  }

  /** Takes in one slice; the evaluation once its last slice is in. A slice delivered twice counts once. */
  record(event: EvaluationEvent): Evaluation | null {
    const { version, part, parts } = event;
    if (this.has(version)) return null;
    const slices = this.slices.get(version) ?? new Map<number, EvaluationEvent>();
    this.slices.set(version, slices.set(part, event));
    const [oldest] = this.slices.keys();
    if (this.slices.size > MAX_OPEN && oldest !== undefined) this.slices.delete(oldest);
    if (slices.size < parts) return null;
    const sum = (value: (slice: EvaluationEvent) => number) =>
      [...slices.values()].reduce((total, slice) => total + value(slice), 0);
    const total = sum((slice) => slice.total);
    const isVoid = sum(({ failed = 0 }) => failed) === total;
    const unjudged = sum((slice) => slice.unjudged ?? 0);
    const accuracy = unjudged === total ? 0 : sum(({ correct }) => correct) / (total - unjudged);
    const evaluation: Evaluation = {
      version,
      accuracy,
      unjudged: unjudged / total,
      ...(isVoid && { isVoid }),
    };
    this.slices.delete(version);
    this.restore(evaluation);
    return evaluation;
  }

  /** Takes over a result of an earlier coordinator of the same run. */
  restore(evaluation: Evaluation): void {
    this.done.push(evaluation);
    this.done.sort((a, b) => a.version - b.version);
  }
}
