import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findTensorflow } from '@forge/engine';
import shapes from './engines/shapes.json';

const THREADS = '2';
const ROUNDS = Number(process.env.FORGE_BENCH_ROUNDS ?? 2);
/** A Python with torch and transformers, for the peers. */
const PYTHON = process.env.FORGE_BENCH_PYTHON ?? 'python3';
/** A directory with the npm package node-llama-cpp, for llama.cpp; the Python needs gguf then. */
const LLAMA_CPP = process.env.FORGE_BENCH_LLAMA_CPP;

interface Candidate {
  name: string;
  command: readonly string[];
}

/** Results of one process, by the name of the figure. */
type Figures = Record<string, number>;

function forge(script: string, kind: string): Candidate[] {
  const file = join(__dirname, 'engines', `${script}.cjs`);
  const ways = [['onnx', 'float32']];
  if (findTensorflow('cpu') !== null) ways.push(['tensorflow', 'float32'], ['tensorflow', 'bfloat16']);
  return ways.map(([engine, mathMode]) => ({
    name: `${engine} ${mathMode}`,
    command: [process.execPath, file, kind, engine!, mathMode!, THREADS],
  }));
}

function peers(script: string, kind: string): Candidate[] {
  const file = join(__dirname, 'peers', `${script}.py`);
  return ['float32', 'bfloat16'].map((dtype) => ({
    name: `torch ${dtype}`,
    command: [PYTHON, file, kind, dtype, THREADS],
  }));
}

function hasPeers(): boolean {
  const { status } = spawnSync(PYTHON, ['-c', 'import torch, transformers']);
  if (status === 0) return true;
  console.log(`no torch and transformers in ${PYTHON}: without peers (FORGE_BENCH_PYTHON names another one)`);
  return false;
}

/** Number formats that llama.cpp is measured with, and the name that the bench gives each. */
const GGUF_FORMATS = { F32: 'float32', Q4_1: '4-bit' };
const ggufFile = (format: string): string => join(tmpdir(), `forge-bench-${format}.gguf`);

/** llama.cpp on models of the same shape; nothing where it is not named. */
function llamaCpp(kind: string): Candidate[] {
  const dir = LLAMA_CPP;
  if (dir === undefined) return [];
  const peer = (name: string): string => join(__dirname, 'peers', name);
  return Object.entries(GGUF_FORMATS).map(([format, name]) => {
    const [maker, file] = [peer('gguf-of-shape.py'), ggufFile(format)];
    const { status, stderr } = spawnSync(PYTHON, [maker, kind, file, format], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${maker}: ${stderr.slice(-2000)}`);
    const command = [process.execPath, peer('llama-cpp-generate.mjs'), dir, file, THREADS];
    return { name: `llama.cpp ${name}`, command };
  });
}

function figuresOf({ name, command }: Candidate): Figures {
  const [program, ...args] = command;
  const { stdout, stderr } = spawnSync(program!, args, { encoding: 'utf8' });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error(`${name}: ${stderr.slice(-2000)}`);
  return JSON.parse(line) as Figures;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Measures the candidates by turns; each ratio is of the peer with the same arithmetic, in the same round. */
function compare(title: string, candidates: readonly Candidate[], figure: string, isTime: boolean): void {
  console.log(`\n${title}`);
  const rounds = Array.from(
    { length: ROUNDS },
    () => new Map(candidates.map((one) => [one.name, figuresOf(one)])),
  );
  for (const { name } of candidates) {
    const of = (key: string): number => median(rounds.map((round) => round.get(name)![key]!));
    const baseline = `torch ${name.split(' ')[1]}`;
    const ratios = rounds.flatMap((round) => {
      const [own, peer] = [round.get(name)![figure]!, round.get(baseline)?.[figure]];
      return peer === undefined || name === baseline ? [] : [isTime ? peer / own : own / peer];
    });
    const speed = ratios.length === 0 ? '' : `  ${median(ratios).toFixed(2)} of ${baseline}'s speed`;
    const peak = of('peakMiB').toFixed(0).padStart(6);
    console.log(`${name.padEnd(20)} ${of(figure).toFixed(0).padStart(8)} ${figure}  ${peak} MiB${speed}`);
  }
}

/**
 * A train step and generation on every installed engine, beside torch's (eager) and transformers' where Python has them, and
 * llama.cpp's where it is named. Each figure comes from a process of its own; run it on a machine that does nothing else.
 */
export function run(): Promise<void> {
  const withPeers = hasPeers();
  for (const kind of Object.keys(shapes) as (keyof typeof shapes)[]) {
    const candidates = [...forge('train-step', kind), ...(withPeers ? peers('torch-train-step', kind) : [])];
    compare(`train step, ${shapes[kind].name}`, candidates, 'ms', true);
  }
  const candidates = [
    ...forge('generate', 'smol'),
    ...(withPeers ? peers('transformers-generate', 'smol') : []),
    ...llamaCpp('smol'),
  ];
  compare(
    'generation, 134.5 M parameters, 32 rows of 64 tokens behind a prompt of 36',
    candidates,
    'tokensPerSecond',
    false,
  );
  for (const format of Object.keys(GGUF_FORMATS)) rmSync(ggufFile(format), { force: true });
  return Promise.resolve();
}
