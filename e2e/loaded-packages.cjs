// Preloaded into a process and its threads: as each ends, adds a line to FORGE_TEST_LOADED with the packages it has
// loaded.
const { appendFileSync } = require('node:fs');
const { isMainThread } = require('node:worker_threads');

process.on('exit', () => {
  const packages = new Set();
  for (const file of Object.keys(require.cache)) {
    const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? [];
    if (name !== undefined) packages.add(name);
  }
  const line = { main: process.argv[1], pid: process.pid, isMainThread, packages: [...packages] };
  appendFileSync(process.env.FORGE_TEST_LOADED, `${JSON.stringify(line)}\n`);
});
