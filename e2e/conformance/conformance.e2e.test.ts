import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startTestRedis, type TestRedis } from '@forge/testing';
import { hasTorch, NO_TORCH } from '../torch-python';

jest.setTimeout(240_000);

const root = join(__dirname, '../..');
const FORGE = join(root, 'services/cli/dist/main.js');
const FAULTY = join(__dirname, 'faulty-part.cjs');

interface Outcome {
  name: string;
  section: string;
  state: 'passed' | 'failed' | 'skipped';
  why: string | null;
}

let redis: TestRedis;
beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis.stop());

/** Findings of the kit about a service of ours with faults. */
async function found(role: string, faults: string[], timeout = 15, changes: string[] = []) {
  const command = `${process.execPath} --require ${FAULTY} services/${role}/dist/main.js`;
  const options = ['--json', '--timeout', String(timeout), '--command', command];
  const child = spawn(process.execPath, [FORGE, 'conformance', role, redis.url, ...changes, ...options], {
    cwd: root,
    env: { ...process.env, FAULTS: faults.join() },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number];
  const { checks } = JSON.parse(said) as { checks: Outcome[] };
  const failed = checks.filter(({ state }) => state === 'failed');
  return { code, checks, failed: Object.fromEntries(failed.map(({ name, why }) => [name, why])) };
}

describe.each(['reward', 'policy', 'trainer'])('our own %s', (role) => {
  it('does what the wire asks', async () => {
    const { code, checks, failed } = await found(role, [], 60);
    expect(failed).toEqual({});
    expect(checks.map(({ state }) => state)).toEqual(checks.map(() => 'passed'));
    expect(code).toBe(0);
  });
});

(hasTorch ? describe : describe.skip)(
  `the trainer in PyTorch${hasTorch ? '' : ` (skipped: ${NO_TORCH})`}`,
  () => {
    it('does what the wire asks', async () => {
      const { checks } = await found('trainer', [], 60, ['trainer.engine=torch']);
      expect(checks.filter(({ state }) => state !== 'passed')).toEqual([]);
      expect(checks.length).toBeGreaterThan(15);
    });
  },
);

/** Faults that are in one part together, and the checks that name them in words like these. */
type Case = [faults: string[], named: Record<string, RegExp>];

const REWARD: Case[] = [
  [
    ['reverses', 'exit-code'],
    {
      'scores completions in their order': /right and a wrong answer, in this order: \[1,0\], found \[0,1\]/,
      'refuses items that are none': /in this order/,
      'refuses an endpoint that it does not have': /in this order/,
      'goes on after bytes that are no call': /in this order/,
      'drains on SIGTERM': /exit code within .* of SIGTERM: 0, found 3/,
      'answers again when it is started again': /in this order/,
    },
  ],
  [['wrong-sum'], { 'gives the weighted sum of what it names': /expected reward: [\d.]+, found [\d.]+/ }],
];

const TRAINER: Case[] = [
  [
    [
      ...['no-groups', 'no-metrics', 'writes-state', 'ignores-requests', 'exit-code'],
      ...['ignores-lag', 'never-saves'],
    ],
    {
      'says what it was trained from': /in v1-e1\.json.*"trained":\{"step":0/,
      'commits by the script, once': /agree with itself, found: .*/,
      'tells the metrics of its step': /expected gradient_norm, .* found loss/,
      'publishes a damaged version again when asked': /to be written again .* found the damaged blob/,
      'goes back to a version when asked': /rolledBackTo of version 3: 1, found null/,
      'drains on SIGTERM': /: 0, found 3/,
      'does not train on tokens that are too old': /expected no commit, since a token of version 0 is older/,
      'saves the model when the run is over': /state saved/,
    },
  ],
  [
    ['ignores-fence'],
    { 'is fenced off by its successor': /expected no commit, since epoch \d+ belongs to another trainer/ },
  ],
  [['wrong-hash'], { 'publishes the weights it starts from': /sha256 of the blob of version 0: "ffff/ }],
  [
    ['renamed-tensor'],
    { 'publishes the weights it starts from': /shape of tensor model\.norm\.weight: \[128\], found null/ },
  ],
  [
    ['nan-weights'],
    { 'publishes what it committed': /finite values in tensor model\.norm\.weight, found NaN/ },
  ],
  [['unchanged-weights'], { 'publishes what it committed': /weights to change by a step/ }],
  [
    ['dies-of-nonsense'],
    {
      'refuses batches that are none': /to be deleted from the stream batches.*ended with 1/s,
      'goes on after what it refused': /expected version 2, from the batch of version 1/,
    },
  ],
  [
    ['skips-pending'],
    { 'takes over a batch that its predecessor did not commit': /expected version \d+, from the batch/ },
  ],
];

const POLICY: Case[] = [
  [
    ['other-logprobs', 'no-rewards', 'publishes-twice', 'never-asks', 'no-answers', 'exit-code'],
    {
      'tells log-probs of the weights it used': /log-probs of episode 0 within .* found a distance of/,
      'has its group scored': /rewards of episode 0: \["exact","length"\], found \[\]/,
      'does a job that is done no second time': /one entry of group 0 in the stream groups, found a second/,
      'takes up new weights for the jobs that ask for them': /log-probs of episode 0/,
      'refuses damaged weights, and asks for them': /publish 2 in weights-requests/,
      'answers an evaluation': /event of kind evaluation/,
      'drains on SIGTERM': /: 0, found 3/,
    },
  ],
  [
    ['trains-prompt', 'old-version', 'no-letters'],
    {
      'tells log-probs of the weights it used': /log-probs of episode 0/,
      'marks what it generated, and no more': /first token with mask 1 of episode 0/,
      'takes up new weights for the jobs that ask for them': /versions in weightHashes: \[0\], found \[1\]/,
      'refuses jobs that are none': /a dead letter j-nonsense/,
      'gives up a job of a version that there is not': /a dead letter r-\d+/,
      'does the jobs that a killed one leaves': /versions in weightHashes/,
    },
  ],
  [
    ['nan-logprobs'],
    { 'rolls out a group and publishes it': /logprobs: expected a finite number <= 0 at \d+, found NaN/ },
  ],
  [['short-mask'], { 'rolls out a group and publishes it': /must be as long as tokenIds/ }],
  [['too-few'], { 'rolls out a group and publishes it': /rollouts in the group: 4, found 3/ }],
  [['other-hash'], { 'rolls out a group and publishes it': /expected the hashes that were announced/ }],
  [['no-origin'], { 'rolls out a group and publishes it': /record of group 0/ }],
];

describe.each([
  ['reward', REWARD],
  ['trainer', TRAINER],
  ['policy', POLICY],
] as const)('a broken %s', (role, cases) => {
  it.each(cases)('is told of %j', async (faults, named) => {
    const { code, failed } = await found(role, faults);
    expect(Object.keys(failed)).toEqual(Object.keys(named));
    for (const [name, words] of Object.entries(named)) expect(failed[name]).toMatch(words);
    expect(code).toBe(1);
  });
});
