import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ForgeRun } from './chaos/forge-run';
import { directoryWithModel, smallRecipe } from './service-processes';

jest.setTimeout(180_000);

let dir: string;
beforeAll(async () => {
  dir = await directoryWithModel();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A synchronous run to its end: what `forge run` said, and the metrics of each step. */
async function ran(name: string, environment: Record<string, string>) {
  const run = await ForgeRun.start(dir, smallRecipe(dir, { name, maxStaleness: 0 }), environment);
  try {
    expect(await run.ended(120_000)).toBe(0);
    const said = readFileSync(join(run.workDir, 'said.log'), 'utf8');
    const rows = readFileSync(join(run.runDir, 'metrics.jsonl'), 'utf8').trim().split('\n');
    return { said, losses: rows.map((row) => (JSON.parse(row) as Record<string, number>)['loss']) };
  } finally {
    run.kill();
  }
}

describe('a run whose trainer and policy lose their devices', () => {
  it('starts both again and trains to the same losses', async () => {
    const lost = join(dir, 'lost');
    mkdirSync(lost);
    const preload = join(__dirname, 'lost-devices.cjs');
    const undisturbed = await ran('undisturbed', {});
    const { said, losses } = await ran('lost', { NODE_OPTIONS: `--require ${preload}`, LOST_DEVICES: lost });
    expect(readdirSync(lost).sort()).toEqual(['policy', 'trainer']);
    for (const service of ['trainer', 'policy'])
      expect(said).toMatch(new RegExp(`${service}/0 ended .*starting it again`));
    expect(losses).toHaveLength(6);
    expect(losses).toEqual(undisturbed.losses);
  });
});
