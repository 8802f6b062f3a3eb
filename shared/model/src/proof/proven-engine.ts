import { createEngine, ReferenceEngine, type Engine, type EngineOptions } from '@forge/engine';
import { ForgeError } from '@forge/errors';
import type { Application } from '@forge/graph';
import { sampleWork, type Results } from './sample-work';
import { firstWrongOp, furthest, isClose, type WrongOp } from './wrong-op';

/** Relative errors of a number that are rounding: products in bfloat16 keep 8 bits. */
const TOLERANCE = { float32: 1e-4, bfloat16: 5e-2 } as const;

/**
 * An engine that has proved itself: see `proveEngine`.
 *
 * @throws {ForgeError} NUMERIC_DEVICE_WRONG; CONFIG_INVALID when the device is not there.
 */
export async function provenEngine(
  options: Pick<EngineOptions, 'threads'> & Partial<EngineOptions>,
): Promise<Engine> {
  const engine = createEngine(options);
  const { engine: library, device } = engine.options;
  // onnxruntime on the CPU is tested with every change; a driver or another library is whatever the machine has.
  if (library !== 'onnx' || device !== 'cpu') await proveEngine(engine);
  return engine;
}

/**
 * Compares a small train step, some tokens of generation and some scores on an engine with the float64 reference: a second
 * of work at most.
 *
 * @throws {ForgeError} NUMERIC_DEVICE_WRONG naming the op that is computed wrongly.
 */
export async function proveEngine(engine: Engine): Promise<void> {
  const { engine: library, device, mathMode } = engine.options;
  const tolerance = TOLERANCE[mathMode];
  const applications: Application[] = [];
  const reference = new ReferenceEngine(engine.options, (application) => applications.push(application));
  const expected = await sampleWork(reference);
  const wrong = firstDifference(expected, await resultsOf(engine), mathMode);
  if (wrong === null) return;
  const op = await firstWrongOp(engine, applications, tolerance);
  const { what, right, found } = wrong;
  const where = op === null ? `${what} ${pair(right, found)}, though each op by itself is right` : opText(op);
  const message = `${library} on ${device} computes wrongly: ${where}; set device to cpu, or try another driver`;
  throw new ForgeError('NUMERIC_DEVICE_WRONG', message, {
    ...{ engine: library, device, op: op?.type ?? null, result: what },
    ...{ expected: right, found: String(found) },
  });
}

/** Nothing where a number is not finite: the work ends there. */
async function resultsOf(engine: Engine): Promise<Results> {
  try {
    return await sampleWork(engine);
  } catch (error) {
    if (error instanceof ForgeError && error.is('NUMERIC_NON_FINITE')) return {};
    throw error;
  }
}

function firstDifference(
  expected: Results,
  found: Results,
  mathMode: Engine['options']['mathMode'],
): { what: string; right: number; found: number } | null {
  for (const [what, numbers] of Object.entries(expected)) {
    // A draw can fall on the other side of a border.
    if (mathMode === 'bfloat16' && what.includes('generated')) continue;
    const others = found[what] ?? [];
    const at = furthest(numbers, others);
    const [right, other] = [numbers[at] ?? 0, others[at] ?? NaN];
    if (!isClose(right, other, TOLERANCE[mathMode])) return { what, right, found: other };
  }
  return null;
}

const opText = ({ type, shapes, expected, found }: WrongOp): string =>
  `${type} of ${shapes.flatMap((shape) => (shape ? [`[${shape.join(', ')}]`] : [])).join(' and ')} ${pair(expected, found)}`;

const pair = (expected: number, found: number): string => `gives ${found} in place of ${expected}`;
