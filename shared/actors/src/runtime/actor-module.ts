import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, extname, isAbsolute, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { importModule } from '@forge/config';
import { ForgeError } from '@forge/errors';
import { ActorBase, type ActorClass } from '../actor/actor-base';
import { refusedSpawn, runOutOfScope } from '../actor/call-context';
import { definitionOf } from '../actor/endpoint';

/** Place where another process finds an actor class: a file and the name of the class. */
export interface ActorModule {
  readonly file: string;
  /** The file below the root of the program's project, for other machines; null when it lies elsewhere. */
  readonly inProject: string | null;
  readonly className: string;
}

/** The nearest folder, from the working directory upwards, that has a package.json; else the working directory. */
const PROJECT_ROOT = projectRoot(process.cwd());

/** The text of our own sources runs in place of what is compiled from it: under jest. */
const RUNS_FROM_SOURCE = extname(__filename) === '.ts';
/** Node itself loads these. */
const PLAIN = ['.js', '.cjs', '.mjs'];

/**
 * The place where `actorClass` is defined, as its `@endpoint()` decorators saw it.
 *
 * @throws {ForgeError} CONFIG_ACTOR_UNLOADABLE for a class that can't be found again: one without a name or without
 *   an endpoint of its own.
 */
export function moduleOf(actorClass: ActorClass): ActorModule {
  const className = actorClass.name;
  if (className === '') throw unloadable('(anonymous)', 'it has no name');
  const methods = Object.values(Object.getOwnPropertyDescriptors(actorClass.prototype));
  for (const { value } of methods) {
    const file = definitionOf(value)?.file;
    if (file != null) return located(loadableFile(file), className);
  }
  throw unloadable(className, 'it declares no @endpoint() of its own, by which its file would be known');
}

function loadableFile(file: string): string {
  const path = file.startsWith('file:') ? fileURLToPath(file) : file;
  if (!RUNS_FROM_SOURCE || extname(path) !== '.ts') return path;
  const compiled = path.replace(`${sep}src${sep}`, `${sep}dist${sep}`).replace(/\.ts$/, '.js');
  return existsSync(compiled) ? compiled : path;
}

function located(file: string, className: string): ActorModule {
  const path = relative(PROJECT_ROOT, file);
  const isInside = path !== '' && !path.startsWith('..') && !isAbsolute(path);
  return { file, inProject: isInside ? path : null, className };
}

/**
 * The class a module exports, in this process. On another machine the module is at the same place below the root of
 * the project, or has the same path.
 *
 * @throws {ForgeError} CONFIG_ACTOR_UNLOADABLE when the module does not load, spawns while it does, or does not
 *   export the class.
 */
export async function loadActorClass({ className, ...place }: ActorModule): Promise<ActorClass> {
  const file = fileHere(place, className);
  let exported: unknown;
  try {
    exported = await runOutOfScope(() => load(file));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw unloadable(className, `${file} does not load: ${reason}`, { cause });
  }
  const refused = refusedSpawn();
  if (refused !== null) throw refused;
  for (const value of exportsOf(exported)) if (isActorClass(value) && value.name === className) return value;
  throw unloadable(className, `${file} does not export it: write "export class ${className}"`);
}

function fileHere({ file, inProject }: Omit<ActorModule, 'className'>, className: string): string {
  const here = inProject === null ? file : join(PROJECT_ROOT, inProject);
  const found = [here, file].find(existsSync);
  if (found !== undefined) return found;
  const reason = here === file ? `has no ${file}` : `has neither ${here} nor ${file}`;
  throw unloadable(className, `${hostname()} ${reason}`);
}

function projectRoot(directory: string): string {
  for (let at = directory; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return at;
    if (at === dirname(at)) return directory;
  }
}

/** A loader that the program was started with (tsx) is there in its actor processes too; without one, jiti. */
function load(file: string): Promise<unknown> {
  const hasLoader = process.execArgv.some((argument) =>
    /^(--import|--loader|--experimental-loader|--require|-r)(=|$)/.test(argument),
  );
  if (PLAIN.includes(extname(file)) || hasLoader) return import(pathToFileURL(file).href);
  return importModule(file, { '@forge/actors': require.resolve('../index') });
}

/** Exports by name and by default, and those of a CommonJS module seen through `default`. */
function* exportsOf(exported: unknown): Generator {
  if (typeof exported !== 'object' || exported === null) return;
  for (const [name, value] of Object.entries(exported)) {
    yield value;
    if (name === 'default' && typeof value === 'object' && value !== null) yield* Object.values(value);
  }
}

function isActorClass(value: unknown): value is ActorClass {
  return typeof value === 'function' && value.prototype instanceof ActorBase;
}

function unloadable(className: string, reason: string, options: { cause?: unknown } = {}): ForgeError {
  const message = `the actor class ${className} can't be loaded in another process: ${reason}`;
  return new ForgeError('CONFIG_ACTOR_UNLOADABLE', message, { className }, options);
}
