const { TestEnvironment } = require('jest-environment-node');

/**
 * Jest gives every test file its own copies of the built-in classes; native modules check arrays against the real
 * ones and refuse the copies. So the real ones are used.
 */
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    const shared = {
      ArrayBuffer,
      SharedArrayBuffer,
      Uint8Array,
      Float32Array,
      Float64Array,
      Int32Array,
      BigInt64Array,
    };
    Object.assign(this.global, shared);
  }
};
