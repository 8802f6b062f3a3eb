import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { recipeSchema, type Recipe } from '@forge/config';
import { decode, groupSchema, runPaths, type Group } from '@forge/contracts';
import { TrainingRecord } from '@forge/rl-actors';
import { parse } from 'yaml';

const root = join(__dirname, '..');
const page = readFileSync(join(root, 'docs/agents.md'), 'utf8');

/** A file of docs/agents.md. */
export function fileOfPage(name: string): string {
  return new RegExp(`^\`\`\`\\w+\\n(?://|#) ${name}\\n(.*?)^\`\`\`$`, 'ms').exec(page)![1]!;
}

/**
 * The run of the page whose rollouts agents make elsewhere, of products that a model computes with a calculator at times; its
 * data are written into `dir`.
 */
export function recipeElsewhere(dir: string, overrides: Record<string, unknown> = {}): Recipe {
  const products = Array.from({ length: 200 }, (_, i) => [100 + ((i * 37) % 900), 10 + ((i * 7) % 90)]);
  const line = ([a, b]: number[]) => JSON.stringify({ question: `${a}*${b}=`, answer: String(a! * b!) });
  const path = join(dir, 'products.jsonl');
  writeFileSync(path, products.map(line).join('\n'));
  return recipeSchema.parse({
    ...(parse(fileOfPage('elsewhere.yaml')) as object),
    ...{ seed: 5, model: join(root, 'models/agent'), steps: 1_000_000 },
    task: { kind: 'dataset', path, answerField: 'answer' },
    algorithm: { name: 'grpo', groupSize: 2 },
    batch: { groups: 4 },
    sampling: { temperature: 1, maxTokens: 16 },
    rewards: [{ name: 'exact' }],
    reference: { replicas: 0 },
    policy: { replicas: 2, chunk: 2 },
    limits: { restartsPerMinute: 60 },
    output: { dir: join(dir, 'runs'), record: true },
    ...overrides,
  });
}

export interface ToldAndTrained {
  /** Groups that were trained. */
  trained: number;
  /** Trained groups none of whose sessions were told anything. */
  untold: number[];
  /** Each group that was trained twice, or as other tokens than its agents were told. */
  problems: string[];
}

/** Token ids of the answers that agents were told, by session. */
type Told = ReadonlyMap<string, readonly number[][]>;

/** Compares all that a run has trained, by its record, with what agents were told. */
export async function toldAndTrained(runDir: string, told: Told): Promise<ToldAndTrained> {
  return comparedWithTold(await trainedGroups(runDir), told);
}

export function comparedWithTold(groups: readonly Group[], told: Told): ToldAndTrained {
  const problems: string[] = [];
  const untold: number[] = [];
  const seen = new Set<number>();
  for (const { index, episodes } of groups) {
    if (seen.has(index)) problems.push(`group ${index} was trained twice`);
    seen.add(index);
    const sessions = [...told.keys()].filter((id) => id.startsWith(`${index}-`));
    if (sessions.length === 0) untold.push(index);
    for (const session of sessions) {
      const parts = episodes.filter(({ rollout }) => session === `${index}-${rollout}`);
      const chosen = parts.flatMap(({ tokenIds, mask }) => [...tokenIds].filter((_, t) => mask[t] === 1));
      const heard = told.get(session)!.flat();
      if (chosen.join() !== heard.join())
        problems.push(`session ${session} was told ${heard.join()}, and trained as ${chosen.join()}`);
    }
  }
  return { trained: groups.length, untold, problems };
}

/** The groups of all steps, as they were trained. */
async function trainedGroups(runDir: string): Promise<Group[]> {
  const record = await TrainingRecord.open(runPaths(runDir).trainingRecord);
  const groups: Group[] = [];
  for (let version = 1; version <= record.lastVersion; version++) {
    const { payloads } = await record.step(version);
    groups.push(...payloads.map((payload) => decode(groupSchema, payload, 'group', Infinity)));
  }
  return groups;
}
