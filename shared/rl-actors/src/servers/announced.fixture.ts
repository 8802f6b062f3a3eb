import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WeightsAnnouncement } from '@forge/contracts';
import { createEngine } from '@forge/engine';
import { canaryTokens, LogprobScorer, type LoadedModel } from '@forge/model';
import { WeightStore, type Parameters } from '@forge/weights';

/** Announces versions of a model, each with other weights, as a trainer would; and finds log-probs under them. */
export class Announcer {
  readonly dir = mkdtempSync(join(tmpdir(), 'forge-announced-'));
  private readonly store = new WeightStore({ dir: this.dir, keep: 4 });
  private readonly versions: Parameters[] = [];

  private constructor(
    private readonly model: LoadedModel,
    private readonly scorer: LogprobScorer,
  ) {}

  static async of(model: LoadedModel): Promise<Announcer> {
    const { config, parameters } = model;
    const engine = createEngine({ threads: 1 });
    const scorer = await LogprobScorer.create({
      engine,
      config,
      parameters,
      weightMode: 'inputs',
      maxBatchTokens: 4096,
    });
    return new Announcer(model, scorer);
  }

  /** The next version; the first has the weights of the model. */
  async next(): Promise<WeightsAnnouncement> {
    const version = this.versions.length;
    const parameters: Parameters = new Map(
      [...this.model.parameters].map(([name, { shape, data }]) => [
        name,
        { shape, data: data.map((x) => x * (1 + 0.3 * version)) },
      ]),
    );
    this.versions.push(parameters);
    const tokenIds = canaryTokens(this.model.config);
    const logprobs = (await this.scored(tokenIds, version)).slice(1);
    const canary = { tokenIds, temperature: 1, logprobs, tolerance: 1e-4 };
    return { ...(await this.store.publish(version, 0, parameters)), canary };
  }

  /** Log-probs of tokens under a version. */
  async scored(tokenIds: readonly number[], version: number): Promise<number[]> {
    const [scored] = await this.scorer.score([tokenIds], this.versions[version]!);
    return scored!;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true });
  }
}
