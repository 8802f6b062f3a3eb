import variant from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';

/** An untrusted program, and the tests it must pass. */
export interface Program {
  source: string;
  /** JavaScript expressions; each that is `true` after the program ran is a test passed. */
  tests: readonly string[];
  /** Loop turns and calls it may take, in all: the same program ends at the same place on every machine. */
  maxSteps: number;
  memoryMb: number;
}

export interface Verdict {
  /** Tests that passed. */
  passed: number;
  /** The reason why the program itself did not come to its end. */
  error?: string;
}

/** QuickJS asks whether to go on after so many loop turns and calls. */
const STEPS_PER_QUESTION = 10_000;
const STACK_BYTES = 256 * 1024;
const SHOWN_CHARACTERS = 200;

/** Runs before the program, so that nothing depends on chance and output goes nowhere. */
const PROGRAM_PRELUDE = `
(() => {
  let state = 1;
  Math.random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const quiet = () => undefined;
  globalThis.console = { log: quiet, info: quiet, warn: quiet, error: quiet, debug: quiet };
})();`;

/**
 * Tests run in a realm of their own, whose built-ins the program can't replace, not even through the values tests hand to it.
 * Names unknown there are looked up in the program's realm, by the `eval` it had before the program ran.
 */
const TEST_PRELUDE = `
((evaluate) => {
  const known = globalThis;
  const scope = new Proxy(Object.freeze({}), Object.freeze({
    has: (_, name) => !(name in known),
    get: (_, name) => (typeof name === 'symbol' ? undefined : evaluate('typeof ' + name + ' === "undefined" ? undefined : ' + name)),
  }));
  const seen = new Set();
  const freeze = (value) => {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function') || seen.has(value)) return;
    seen.add(value);
    Object.freeze(value);
    freeze(Object.getPrototypeOf(value));
    for (const { value: inner, get, set } of Object.values(Object.getOwnPropertyDescriptors(value))) [inner, get, set].forEach(freeze);
  };
  for (const name of Object.getOwnPropertyNames(known)) if (known[name] !== known) freeze(known[name]);
  for (const sample of [function* () {}, async () => {}, async function* () {}, [][Symbol.iterator](), new Map().entries(), new Set().values(), ''[Symbol.iterator]()]) freeze(Object.getPrototypeOf(sample));
  known.$program = scope;
  Object.freeze(known);
})`;

/** Runs programs, each in a world of its own. QuickJS is compiled to WebAssembly: it can reach its own memory only. */
export class ProgramRunner {
  private quickJs: Promise<QuickJSWASMModule> | null = null;

  /** Loads the interpreter. */
  async open(): Promise<void> {
    await (this.quickJs ??= newQuickJSWASMModuleFromVariant(variant));
  }

  /** @throws when the interpreter itself is broken; there is a new one then. */
  async run(program: Program): Promise<Verdict> {
    await this.open();
    const quickJs = (await this.quickJs)!;
    const runtime = quickJs.newRuntime();
    const [mine, tests] = [runtime.newContext(), runtime.newContext()];
    try {
      return judge(mine, tests, program);
    } catch (error) {
      this.quickJs = null;
      throw error;
    } finally {
      try {
        for (const part of [tests, mine, runtime]) part.dispose();
      } catch {
        // Memory of an interrupted program can't always be freed.
        this.quickJs = null;
      }
    }
  }
}

function judge(program: QuickJSContext, test: QuickJSContext, is: Program): Verdict {
  const { runtime } = program;
  runtime.setMemoryLimit(is.memoryMb * 2 ** 20);
  runtime.setMaxStackSize(STACK_BYTES);
  take(program, PROGRAM_PRELUDE).dispose();
  take(test, TEST_PRELUDE).consume((prepare) =>
    program
      .getProp(program.global, 'eval')
      .consume((evaluate) => test.callFunction(prepare, test.undefined, evaluate).dispose()),
  );
  let left = Math.ceil(is.maxSteps / STEPS_PER_QUESTION);
  runtime.setInterruptHandler(() => left-- <= 0);
  try {
    take(program, is.source).dispose();
  } catch (error) {
    if (error instanceof ProgramError) return { passed: 0, error: error.message };
    throw error;
  }
  return { passed: is.tests.filter((expression) => holds(test, expression)).length };
}

class ProgramError extends Error {}

/** The value of a piece of source. @throws {ProgramError} with the error of the source. */
function take(context: QuickJSContext, source: string): QuickJSHandle {
  const result = context.evalCode(source, 'program.js');
  if (result.error === undefined) return result.value;
  const thrown = result.error.consume((error) => describe(context, error));
  throw new ProgramError(thrown);
}

/** Reads names and texts one by one: a program may throw anything, of any size. */
function describe(context: QuickJSContext, error: QuickJSHandle): string {
  if (context.typeof(error) === 'object') {
    const [name, message] = ['name', 'message'].map((key) =>
      context.getProp(error, key).consume((value) => text(context, value)),
    );
    return `${name || 'Error'}: ${message}`;
  }
  return text(context, error);
}

function text(context: QuickJSContext, value: QuickJSHandle): string {
  return context.typeof(value) === 'string' ? context.getString(value).slice(0, SHOWN_CHARACTERS) : '';
}

/** True for an expression that is `true`, or a promise of it, and nothing else. */
function holds(context: QuickJSContext, test: string): boolean {
  try {
    return take(context, `with ($program) { (${test}\n) }`).consume((value) => {
      const jobs = context.runtime.executePendingJobs();
      if (jobs.error !== undefined) {
        jobs.error.dispose();
        return false;
      }
      const state = context.getPromiseState(value);
      if (state.type === 'pending') return false;
      if (state.type === 'rejected') {
        state.error.dispose();
        return false;
      }
      if (state.notAPromise) return context.sameValue(value, context.true);
      return state.value.consume((settled) => context.sameValue(settled, context.true));
    });
  } catch (error) {
    if (error instanceof ProgramError) return false;
    throw error;
  }
}
