// npm run test:gpu: what this machine's GPUs compute and how fast: engine conformance, the main job shortened, and a model
// of Qwen3-0.6B's shape with random weights, beside PyTorch where Python has it. What is not there is skipped with the
// reason. The last line is "N passed, N failed, N skipped".
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

const MINUTE_MS = 60_000;
const DEADLINE_MS = Date.now() + 8 * MINUTE_MS;
/** Peak of dense products in TFLOP/s, as NVIDIA's data sheets say it: float32, and tensor cores in TF32 or bfloat16. */
const PEAKS = [
  { name: /H[12]00/, float32: 67, bfloat16: 989 },
  { name: /A100/, float32: 19.5, bfloat16: 312 },
  { name: /L40/, float32: 91, bfloat16: 362 },
  { name: /L4\b/, float32: 30, bfloat16: 121 },
];
const QWEN3 = { hiddenSize: 1024, layers: 28, heads: 16, kvHeads: 8, headDim: 128, intermediateSize: 3072 };
const LARGE = { rows: 16, tokens: 128, config: { ...QWEN3, vocabSize: 151_936 } };
/** The same in small, for a GPU that is none. */
const SMALL = {
  ...{ rows: 4, tokens: 32 },
  config: {
    ...QWEN3,
    hiddenSize: 128,
    layers: 4,
    heads: 4,
    kvHeads: 2,
    headDim: 32,
    intermediateSize: 384,
    vocabSize: 2048,
  },
};

prepare();
const gpu = nvidiaGpu();
const hasGpu = gpu !== null || existsSync('/dev/dri/renderD128');
const environment = { ...process.env, ...(hasGpu && { FORGE_TEST_GPU: '1' }) };
const require = createRequire(join(root, 'bench', 'x.js'));
require(join(root, 'infra', 'bootstrap', 'software-vulkan.cjs'))(environment);
// Probing happens in processes that inherit this one's environment.
Object.assign(process.env, environment);
const { missingDevice } = require('@forge/testing');
const shape = hasGpu ? LARGE : SMALL;
const devices = [
  { engine: 'onnx', device: 'cuda', mathMode: 'float32' },
  { engine: 'onnx', device: 'webgpu', mathMode: 'float32' },
  { engine: 'tensorflow', device: 'cuda', mathMode: 'float32' },
  { engine: 'tensorflow', device: 'cuda', mathMode: 'bfloat16' },
];
const WAYS = {
  'onnx cuda': 'ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node --ignore-scripts=false',
  'onnx webgpu': "a GPU with a Vulkan driver, or Debian's chromium for one in software",
  'tensorflow cuda': 'npx forge engine install tensorflow --gpu',
};
const rows = [];
const count = { passed: 0, failed: 0, skipped: 0 };

console.log(
  `GPU: ${gpu ? `${gpu.name}, ${gpu.gigabytes} GiB` : hasGpu ? 'not NVIDIA' : 'none; WebGPU in software, a small model'}`,
);
conformance();
for (const options of devices) {
  const { engine, device } = options;
  const name = [engine, device, options.mathMode].join(' ');
  const missing = missingDevice({ engine, device });
  if (missing !== null) {
    note(
      `${name}: speed and main job`,
      'skipped',
      `${missing.split('\n')[0]}; ${WAYS[`${engine} ${device}`]}`,
    );
    continue;
  }
  speed(name, options);
  if (options.mathMode === 'float32') mainJob(name, options);
}
peer();
console.table(rows);
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exit(count.failed === 0 ? 0 : 1);

function note(what, how, why = '') {
  count[how] += 1;
  console.log(`${how}: ${what}${why && ` (${why})`}`);
}

function run(command, args) {
  const timeout = Math.max(1000, DEADLINE_MS - Date.now());
  return spawnSync(command, args, {
    cwd: root,
    env: environment,
    encoding: 'utf8',
    timeout,
    maxBuffer: 2 ** 28,
  });
}

function lastJson({ stdout = '', stderr = '', signal }) {
  if (signal === 'SIGTERM') return { error: 'it took longer than 8 minutes in all' };
  try {
    return JSON.parse(stdout.trim().split('\n').at(-1));
  } catch {
    return { error: `${signal ?? ''} ${stderr.trim().split('\n').at(-1)}`.trim() || 'it crashed' };
  }
}

function nvidiaGpu() {
  const query = ['--query-gpu=name,memory.total', '--format=csv,noheader,nounits'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8' });
  if (status !== 0) return null;
  const [name, megabytes] = stdout.trim().split('\n')[0].split(', ');
  return { name, gigabytes: Math.round(Number(megabytes) / 1024) };
}

function conformance() {
  const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const folders = [
    'shared/engine/src/conformance',
    'shared/engine/src/onnx/webgpu',
    'shared/model/src/proof',
  ];
  // Two workers, for only the processes that jest starts have the software GPU.
  const { stdout, signal } = run(process.execPath, [
    jest,
    '-c',
    'jest.config.cjs',
    '--json',
    '-w',
    '2',
    ...folders,
  ]);
  const summary = signal === null ? JSON.parse(stdout) : { testResults: [] };
  const passed = new Map();
  for (const { assertionResults } of summary.testResults) {
    for (const { ancestorTitles, status } of assertionResults) {
      const engine = ancestorTitles[0] ?? '';
      if (!/ on (CUDA|WebGPU)/.test(engine)) continue;
      const known = passed.get(engine) ?? { passed: 0, failed: 0, pending: 0 };
      known[status] += 1;
      passed.set(engine, known);
    }
  }
  if (passed.size === 0) note('conformance', 'failed', 'the tests did not run');
  for (const [engine, { passed: right, failed, pending }] of passed) {
    if (failed > 0) note(`conformance, ${engine}`, 'failed', `${failed} of ${right + failed}`);
    else if (right === 0) note(`conformance, ${engine}`, 'skipped', `${pending} tests`);
    else note(`conformance, ${engine}`, 'passed', `${right} tests`);
  }
}

function speed(name, options) {
  const script = join(root, 'infra', 'bootstrap', 'gpu-speed.cjs');
  const result = lastJson(
    run(process.execPath, [script, JSON.stringify({ threads: 2, ...options }), JSON.stringify(shape)]),
  );
  if (result.error) return note(`${name}: speed`, 'failed', result.error);
  note(`${name}: proof in ${result.proofSeconds.toFixed(1)} s, speed`, 'passed');
  rows.push({
    what: name,
    'generated tokens/s': Math.round(result.generatedPerSecond),
    'trained tokens/s': Math.round(result.trainedPerSecond),
    'TFLOP/s': round(result.teraflops),
    MFU: share(result.teraflops, options.mathMode),
    'first step s': round(result.firstStep),
    'memory GiB': round(result.hostGigabytes),
  });
}

/** The main job for some steps: rewards come in and log-probs of generator and trainer agree. */
function mainJob(name, { engine, device }) {
  const dir = mkdtempSync(join(tmpdir(), 'forge-gpu-'));
  const small = hasGpu ? ['steps=20'] : ['steps=2', 'batch.groups=4', 'algorithm.groupSize=4'];
  const services = ['policy', 'trainer'].flatMap((one) => [
    `${one}.engine=${engine}`,
    `${one}.device=${device}`,
  ]);
  const settings = [
    ...small,
    ...services,
    'stopAtAccuracy=null',
    'evaluation.samples=16',
    `output.dir=${dir}`,
  ];
  const startedAt = Date.now();
  const { status, stderr } = run(process.execPath, [
    join(root, 'services/cli/dist/main.js'),
    'run',
    'arithmetic-grpo',
    ...settings,
  ]);
  const [id = ''] = readdirSync(dir);
  const file = join(dir, id, 'metrics.jsonl');
  const lines = existsSync(file)
    ? readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
  rmSync(dir, { recursive: true, force: true });
  if (status !== 0 || lines.length === 0)
    return note(`${name}: main job`, 'failed', stderr?.trim().split('\n').at(-1) ?? 'it took too long');
  const mismatch = Math.max(...lines.map((line) => line.logprob_mismatch ?? 0));
  const what = `${name}: main job, ${lines.length} steps in ${Math.round((Date.now() - startedAt) / 1000)} s`;
  note(what, mismatch < 1e-3 ? 'passed' : 'failed', `log-probs differ by ${mismatch.toExponential(1)}`);
}

function peer() {
  if (spawnSync('python3', ['-c', 'import torch, transformers']).status !== 0)
    return note('PyTorch', 'skipped', 'python3 has no torch with transformers');
  const result = lastJson(
    run('python3', [join(root, 'infra', 'bootstrap', 'gpu-peer.py'), JSON.stringify(shape)]),
  );
  if (result.error) return note('PyTorch', 'failed', result.error);
  note('PyTorch', 'passed');
  rows.push({
    what: `PyTorch ${result.device} float32`,
    'trained tokens/s': Math.round(result.trainedPerSecond),
    'TFLOP/s': round(result.teraflops),
    MFU: share(result.teraflops, 'float32'),
    'memory GiB': result.gigabytes === null ? '' : round(result.gigabytes),
  });
}

function share(teraflops, mathMode) {
  const peak = PEAKS.find(({ name }) => gpu !== null && name.test(gpu.name))?.[mathMode];
  return peak === undefined ? '' : `${((100 * teraflops) / peak).toFixed(1)} %`;
}

function round(x) {
  return Number(x.toPrecision(3));
}
