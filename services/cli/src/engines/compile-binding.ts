import { join } from 'node:path';
import { compilerCommand } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { runProgram } from './run-program';

const COMPILERS: readonly (readonly string[])[] = [['g++'], ['clang++'], ['c++']];
/** Lines of a compiler that are passed on. */
const SHOWN_LINES = 5;

/** A program with its first arguments. */
export type Compiler = readonly [string, ...string[]];

/** Directories that the binding is made of. */
export interface BindingParts {
  /** Its own sources. */
  sources: string;
  /** The headers of Node-API. */
  nodeHeaders: string;
  /** The headers of TensorFlow. */
  headers: string;
  /** The libraries of TensorFlow, beside which it will lie. */
  libraries: string;
}

/**
 * Compiles the binding into `output`. It looks for the libraries in its own directory, and runs on every Node since 20.
 *
 * @throws {ForgeError} ENGINE_BUILD_FAILED with what the compiler says.
 */
export async function compileBinding(compiler: Compiler, parts: BindingParts, output: string): Promise<void> {
  const { sources, nodeHeaders, headers, libraries } = parts;
  const [program, ...first] = compiler;
  const args = [
    ...first,
    ...['-O2', '-std=c++17', '-fPIC', '-shared', '-DNAPI_VERSION=8'],
    ...['-I', nodeHeaders, '-I', headers],
    ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(sources, file)),
    ...['-o', output, '-L', libraries, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'],
    '-Wl,-rpath,$ORIGIN',
  ];
  const { status, stderr } = await runProgram(program, args);
  if (status === 0) return;
  const lines = stderr.split('\n').filter((line) => /error|undefined|cannot|fatal/i.test(line));
  const said = (lines.length > 0 ? lines : stderr.trim().split('\n')).slice(0, SHOWN_LINES).join('\n  ');
  const message = `${program} can't compile the binding of TensorFlow; it needs C++17 (g++ 9 or clang++ 10 and newer; another one by CXX):\n  ${said}`;
  throw new ForgeError('ENGINE_BUILD_FAILED', message, { compiler: program });
}

/**
 * The C++ compiler of this machine: `CXX`, or the first that starts.
 *
 * @throws {ForgeError} ENGINE_BUILD_FAILED when there is none.
 */
export async function findCompiler(): Promise<Compiler> {
  const named = compilerCommand();
  const tried = named === null ? COMPILERS : [named];
  for (const [program, ...args] of tried) {
    const { status } = await runProgram(program!, [...args, '--version']);
    if (status === 0) return [program!, ...args];
  }
  const names = tried.map((words) => words.join(' ')).join(', ');
  const message = `the binding of TensorFlow needs a C++ compiler, and ${named === null ? `none of ${names}` : `CXX=${names}`} starts; install one (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or name it by CXX`;
  throw new ForgeError('ENGINE_BUILD_FAILED', message, { tried: names });
}
