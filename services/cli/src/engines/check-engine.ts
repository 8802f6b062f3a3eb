import { join } from 'node:path';
import { probeEnvironment } from '@forge/config';
import { TENSORFLOW_VERSION, type DeviceName, type EngineName, type EngineOptions } from '@forge/engine';
import { runProgram, type ProgramResult } from './run-program';
import type { ProbeReport } from './probe';

/** How an engine computes on one device. */
export interface DeviceCheck {
  device: DeviceName;
  /** Rates of float32 and bfloat16 products; null for one that the engine does not have. */
  gflops: Record<EngineOptions['mathMode'], number | null>;
  /** In words; null when all is well. */
  problem: string | null;
}

export interface EngineCheck {
  engine: EngineName;
  /** Null when it does not load. */
  version: string | null;
  devices: DeviceCheck[];
}

const TIMEOUT_MS = 300_000;
/** Characters of a message that are passed on. */
const LONGEST = 400;
/** Largest relative error of a sum of products. */
const ERROR_BOUND = { float32: 1e-4, bfloat16: 2e-2 } as const;
/** Words of a loader for a library that it does not find. */
const MISSING_LIBRARY = /(lib[\w.+-]+\.so[\d.]*): cannot open shared object file/g;

/**
 * Loads an engine, each device and precision in a process of its own, and lets it compute.
 *
 * Units: gflops are 1e9 operations a second by `threads` threads.
 */
export async function checkEngine(
  engine: EngineName,
  devices: readonly DeviceName[],
  threads: number,
): Promise<EngineCheck> {
  const check: EngineCheck = { engine, version: null, devices: [] };
  for (const device of devices) {
    const checked: DeviceCheck = { device, gflops: { float32: null, bfloat16: null }, problem: null };
    check.devices.push(checked);
    for (const mathMode of modesOf(engine)) {
      const { report, missing } = await tryEngine({ engine, device, threads, mathMode });
      checked.problem ??= problemOf(report, { engine, device, mathMode, missing });
      if ('error' in report) break;
      check.version ??= report.version;
      if (checked.problem !== null) break;
      checked.gflops[mathMode] = report.gflops;
    }
  }
  return check;
}

/** Whether it computes rightly on some device. */
export function isUsable({ devices }: EngineCheck): boolean {
  return devices.some(({ problem }) => problem === null);
}

function modesOf(engine: EngineName): EngineOptions['mathMode'][] {
  return engine === 'tensorflow' ? ['float32', 'bfloat16'] : ['float32'];
}

/** The report of a process, and the libraries that it did not find. */
async function tryEngine(options: EngineOptions): Promise<{ report: ProbeReport; missing: string[] }> {
  const result = await runProgram(process.execPath, [join(__dirname, 'probe.js'), JSON.stringify(options)], {
    env: probeEnvironment(),
    timeoutMs: TIMEOUT_MS,
  });
  const report = reportIn(result);
  const said = `${result.stderr}\n${'error' in report ? report.error.message : ''}`;
  return { report, missing: [...new Set([...said.matchAll(MISSING_LIBRARY)].map(([, name]) => name!))] };
}

function reportIn({ stdout, stderr, status }: ProgramResult): ProbeReport {
  const line = stdout.trim().split('\n').at(-1) ?? '';
  try {
    return JSON.parse(line) as ProbeReport;
  } catch {
    const [last] = stderr.trim().split('\n').slice(-1);
    return { error: { code: 'BUG_INVARIANT', message: `its process ended with ${status}: ${last ?? ''}` } };
  }
}

function problemOf(
  report: ProbeReport,
  {
    engine,
    device,
    mathMode,
    missing,
  }: Pick<EngineOptions, 'engine' | 'device' | 'mathMode'> & { missing: readonly string[] },
): string | null {
  const lacking =
    missing.length === 0
      ? ''
      : `; the system finds no ${missing.join(', ')}: install it, or name its directory in LD_LIBRARY_PATH`;
  if ('error' in report) return `${oneLine(report.error.message)}${lacking}`;
  const { version, relativeError, usesGpu } = report;
  if (engine === 'tensorflow' && version !== TENSORFLOW_VERSION)
    return `found libtensorflow ${version}, expected ${TENSORFLOW_VERSION}: run npx forge engine install tensorflow, or correct FORGE_LIBTENSORFLOW`;
  if (!(relativeError < ERROR_BOUND[mathMode]))
    return `a ${mathMode} product is wrong by ${relativeError.toExponential(1)}; take another device`;
  if (device === 'cuda' && !usesGpu)
    return `it finds no GPU${lacking === '' ? ', or no driver of NVIDIA: see what nvidia-smi says' : lacking}`;
  return null;
}

/** A message of a library without its line breaks, and no longer than people read. */
function oneLine(message: string): string {
  const line = message.replace(/\s+/g, ' ').trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)} ...` : line;
}
