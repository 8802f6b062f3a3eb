// Tries one engine in a process of its own: a library that does not load, or computes wrongly, ends nothing else.
// usage: node probe.js '{"engine":"onnx","device":"cpu","threads":1,"mathMode":"float32"}'; prints a line of JSON.
import { createRequire } from 'node:module';
import { createEngine, requireTensorflow, type EngineOptions } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import { Graph, matmul, sum } from '@forge/graph';

/** The line of a process that tried an engine. */
export type ProbeReport =
  | { version: string; gflops: number; relativeError: number; usesGpu: boolean }
  | { error: { code: string; message: string } };

/** Side of the matrices, and how many of them are multiplied in a row. */
const [SIDE, PRODUCTS] = [1024, 4];
const WARM_UPS = 2;
const MEASURED_MS = 600;

async function probe(options: EngineOptions): Promise<ProbeReport> {
  const graph = new Graph();
  const matrix = graph.input('matrix', 'float32', [SIDE, SIDE]);
  let product = matrix;
  for (let i = 0; i < PRODUCTS; i++) product = matmul(product, matrix);
  const program = await createEngine(options).compile({ sum: sum(product) });
  const data = Float32Array.from({ length: SIDE * SIDE }, (_, i) => (2 * ((i * 0.618034) % 1)) / SIDE);
  const feeds = { matrix: { dtype: 'float32', shape: [SIDE, SIDE], data } } as const;
  const times: number[] = [];
  let result = NaN;
  const startMs = performance.now();
  for (let run = 0; run <= WARM_UPS || performance.now() - startMs < MEASURED_MS; run++) {
    const beforeMs = performance.now();
    const { host } = await program.run(feeds);
    if (run >= WARM_UPS) times.push(performance.now() - beforeMs);
    [result] = host['sum']!.data as unknown as [number];
  }
  const expected = sumOfProducts(data);
  const medianMs = times.sort((a, b) => a - b)[times.length >> 1]!;
  return {
    ...libraryOf(options),
    gflops: (2 * PRODUCTS * SIDE ** 3) / medianMs / 1e6,
    relativeError: Math.abs(result - expected) / expected,
  };
}

/** The sum over matrix^(PRODUCTS + 1), by vectors. */
function sumOfProducts(matrix: Float32Array): number {
  let row = new Float64Array(SIDE).fill(1);
  for (let product = 0; product <= PRODUCTS; product++) {
    const next = new Float64Array(SIDE);
    for (let i = 0; i < SIDE; i++)
      for (let j = 0; j < SIDE; j++) next[j] = next[j]! + row[i]! * matrix[i * SIDE + j]!;
    row = next;
  }
  return row.reduce((a, b) => a + b, 0);
}

function libraryOf({ engine, device }: EngineOptions): { version: string; usesGpu: boolean } {
  const load = createRequire(__filename);
  if (engine === 'onnx') {
    const { env } = load('onnxruntime-node') as { env: { versions: { node: string } } };
    return { version: env.versions.node, usesGpu: device !== 'cpu' };
  }
  const { binding } = requireTensorflow(device === 'cuda' ? 'cuda' : 'cpu');
  const loaded = load(binding) as { TF_Version: string; isUsingGpuDevice(): boolean };
  return { version: loaded.TF_Version, usesGpu: loaded.isUsingGpuDevice() };
}

void probe(JSON.parse(process.argv[2] ?? '{}') as EngineOptions)
  .catch((error: unknown) => {
    const { code, message } = ForgeError.from(error);
    return { error: { code, message } };
  })
  .then((report) => {
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
  });
