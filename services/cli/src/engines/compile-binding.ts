import { join } from 'node:path';
import { compilerCommand } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { unpackNpmPackage } from './npm-package';
import { runProgram } from './run-program';
import type { BindingPackages } from './tensorflow-release';

/** A program with its first arguments. */
type Compiler = readonly [string, ...string[]];

/** Everything the binding is made of, but TensorFlow. */
export interface BindingSources {
  compiler: Compiler;
  /** Directory of the sources. */
  sources: string;
  /** Directory of the headers of Node-API. */
  nodeHeaders: string;
}

/** Directories of a TensorFlow. */
export interface TensorflowParts {
  headers: string;
  libraries: string;
}

const COMPILERS: readonly (readonly string[])[] = [['g++'], ['clang++'], ['c++']];
/** Lines of a compiler that are passed on. */
const SHOWN_LINES = 5;

/**
 * The compiler of this machine, and the sources that npm has, unpacked below `dir`.
 *
 * @throws {ForgeError} ENGINE_BUILD_FAILED when there is no compiler; as `unpackNpmPackage`.
 */
export async function bindingSources(packages: BindingPackages, dir: string): Promise<BindingSources> {
  const compiler = await findCompiler();
  const [binding, node] = [join(dir, 'binding'), join(dir, 'node')];
  await unpackNpmPackage(packages.sources, binding);
  await unpackNpmPackage(packages.nodeHeaders, node);
  return { compiler, sources: join(binding, 'binding'), nodeHeaders: join(node, 'include') };
}

/**
 * Compiles the binding into `output`. It looks for the libraries in its own directory, and runs on every Node since 20.
 *
 * @throws {ForgeError} ENGINE_BUILD_FAILED with what the compiler says.
 */
export async function compileBinding(
  { compiler, sources, nodeHeaders }: BindingSources,
  { headers, libraries }: TensorflowParts,
  output: string,
): Promise<void> {
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
  const message = `${compiler.join(' ')} can't compile the binding of TensorFlow, which is C++17 (g++ 9, clang++ 10, or newer; name another one by CXX):\n  ${said}`;
  throw new ForgeError('ENGINE_BUILD_FAILED', message, { compiler: program });
}

/** `CXX`, or the first compiler that starts. */
async function findCompiler(): Promise<Compiler> {
  const named = compilerCommand();
  const tried = named === null ? COMPILERS : [named];
  for (const [program, ...args] of tried) {
    const { status } = await runProgram(program!, [...args, '--version']);
    if (status === 0) return [program!, ...args];
  }
  const names = tried.map((words) => words.join(' ')).join(', ');
  const found = named === null ? `none of ${names} starts` : `CXX=${names} does not start`;
  const message = `the binding of TensorFlow needs a C++ compiler, and ${found}; install one (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++), or name it by CXX`;
  throw new ForgeError('ENGINE_BUILD_FAILED', message, { tried: names });
}
