const { default: TestRunner } = require('jest-runner');

/** Runs test files one after another: each starts a whole run, and some measure how long things take. */
module.exports = class extends TestRunner {
  isSerial = true;
};
