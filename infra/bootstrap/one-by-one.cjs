const { default: TestRunner } = require('jest-runner');

/** Runs test files one after another, for those that measure how long things take. */
module.exports = class extends TestRunner {
  isSerial = true;
};
