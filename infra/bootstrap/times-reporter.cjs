const { relative } = require('node:path');

/** Prints how long each test file took, slowest first, after all have run. */
module.exports = class {
  constructor(_global, { rootDir }) {
    this.rootDir = rootDir;
  }

  onRunComplete(_contexts, { testResults }) {
    const files = testResults
      .map(({ testFilePath, perfStats: { start, end } }) => ({ testFilePath, ms: end - start }))
      .filter(({ ms }) => ms > 0)
      .sort((a, b) => b.ms - a.ms);
    const lines = files.map(
      ({ testFilePath, ms }) =>
        `${(ms / 1000).toFixed(1).padStart(7)} s  ${relative(this.rootDir, testFilePath)}`,
    );
    const total = files.reduce((sum, { ms }) => sum + ms, 0) / 1000;
    process.stderr.write(
      `\n${lines.join('\n')}\n${total.toFixed(1).padStart(7)} s  in ${files.length} files\n\n`,
    );
  }
};
