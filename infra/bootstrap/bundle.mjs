// Bundles the entries of processes and threads, so that they start in half the time or less: one file to find, read
// and compile in place of a thousand. A bundle lies beside its compiled file; shared/threads/src/bundle-of.ts chooses
// between the two. Only stale bundles are made again.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { root } from './prepare.mjs';

const require = createRequire(import.meta.url);
const { bundleDirectory, bundleOf } = require(join(root, 'shared', 'threads', 'dist', 'index.js'));

const ENTRIES = [
  ...readdirSync(join(root, 'services')).map((service) => `services/${service}/dist/main.js`),
  'shared/recipe-parts/dist/sandboxed/part-main.js',
  'shared/rl-actors/dist/policy/chat-worker.js',
  'shared/rl-actors/dist/policy/generator-worker.js',
  'shared/rl-actors/dist/policy/server-worker.js',
  'shared/rl-actors/dist/reference/reference-worker.js',
  'shared/rl-actors/dist/trainer/train-worker.js',
];
/** Packages with binaries or files of their own beside their code, and those that are loaded in few runs. */
const EXTERNAL = [
  'onnxruntime-node',
  'msgpackr-extract',
  'jiti',
  '@huggingface/hub',
  'hyparquet',
  'hyparquet-compressors',
  'csv-parse',
  '@bull-board/*',
  '@opentelemetry/exporter-metrics-otlp-*',
  '@opentelemetry/exporter-trace-otlp-*',
  'undici',
  'yauzl',
];
const OURS = /^(shared|services)\/[^/]+\/dist\/.*\.js$/;
/** Begins a bundle: `inRoot` gives the path of a file of this repository, wherever that lies. */
const BANNER = String.raw`const inRoot = (file) => require("node:path").join(__dirname.replace(/^(.*)[\\/](shared|services)[\\/].*$/, "$1"), file);`;
/** Compiles from a cache beside the bundle, where Node has one (22 and newer); its default place is TMPDIR, which is the user's. */
const START = `require('node:module').enableCompileCache?.(__dirname);\nrequire('./code.js');\n`;

/** Files of ours keep their places: workers, pages and recipes are found beside them. */
const inPlace = {
  name: 'in place',
  setup(build) {
    build.onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => {
      const file = relative(root, path);
      const text = readFileSync(path, 'utf8');
      if (!OURS.test(file) || !/__dirname|__filename|require\.resolve\(/.test(text)) return undefined;
      const place = `const __filename = inRoot(${JSON.stringify(file)}), __dirname = require("node:path").dirname(__filename), { createRequire } = require("node:module");`;
      const contents = text.replaceAll('require.resolve(', 'createRequire(__filename).resolve(');
      return { contents: `"use strict"; ${place} ${contents}`, loader: 'js' };
    });
  },
};

/**
 * The program of a bundle. A module that requires one of our packages by its file, as the modules of users do, gets
 * the instance in the bundle: a class or a collector exists once.
 */
function program(entry, packages) {
  const shared = packages.map((file) => `share(${JSON.stringify(file)}, () => require("./${file}"));`);
  return `
    const Module = require("node:module");
    const share = (file, load) => {
      const path = inRoot(file);
      const module = Object.assign(new Module(path), { filename: path, loaded: true });
      Object.defineProperty(module, "exports", { get: load });
      Module._cache[path] = module;
    };
    ${shared.join('\n')}
    require("./${entry}");`;
}

const pathOf = (entry) => relative(root, join(bundleDirectory(join(root, entry)), 'code.js'));

/** Bundles the entries; what each is made of, of ours. */
async function build(programs, options) {
  const { build } = await import('esbuild');
  const entries = {
    name: 'entries',
    setup(build) {
      build.onResolve({ filter: /^entry:/ }, ({ path }) => ({ path, namespace: 'entry' }));
      build.onLoad({ filter: /.*/, namespace: 'entry' }, ({ path }) => ({
        contents: programs.get(path.slice('entry:'.length)),
        resolveDir: root,
      }));
    },
  };
  const { metafile } = await build({
    entryPoints: [...programs.keys()].map((entry) => ({
      in: `entry:${entry}`,
      out: pathOf(entry).replace(/\.js$/, ''),
    })),
    outdir: root,
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: EXTERNAL,
    // Fewer bytes to read and scan; names stay, and lines short enough for a stack trace to say where.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 120,
    plugins: [entries, inPlace],
    banner: { js: BANNER },
    metafile: true,
    logLevel: 'error',
    ...options,
  });
  const inputsOf = (entry) => Object.keys(metafile.outputs[pathOf(entry)].inputs);
  return new Map(
    [...programs.keys()].map((entry) => [entry, inputsOf(entry).filter((file) => OURS.test(file))]),
  );
}

async function bundle(entries) {
  const builtAtMs = Date.now();
  const directories = entries.map((entry) => bundleDirectory(join(root, entry)));
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
  const isPackage = (file) => /^shared\/[^/]+\/dist\/index\.js$/.test(file);
  const bare = new Map(entries.map((entry) => [entry, program(entry, [])]));
  const inputs = await build(bare, { write: false });
  const whole = [...inputs].map(([entry, files]) => [entry, program(entry, files.filter(isPackage))]);
  await build(new Map(whole), {});
  for (const [entry, files] of inputs) {
    const directory = bundleDirectory(join(root, entry));
    writeFileSync(join(directory, 'start.js'), START);
    const made = [...files, 'package-lock.json'].map((file) => relative(directory, join(root, file)));
    // Write this file last: a bundle without it is invalid.
    writeFileSync(join(directory, 'bundle.json'), JSON.stringify({ builtAtMs, inputs: made }));
  }
}

function isStale(entry) {
  const compiled = join(root, entry);
  const bundled = bundleOf(compiled);
  return bundled === compiled || statSync(bundled).mtimeMs < statSync(import.meta.filename).mtimeMs;
}

const stale = ENTRIES.filter(isStale);
if (stale.length > 0) await bundle(stale);
