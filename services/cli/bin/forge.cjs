#!/usr/bin/env node
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const main = join(__dirname, '..', 'dist', 'main.js');
if (!existsSync(main)) {
  process.stderr.write('forge: not built yet; run `npm install && npm run build` (or `npm start`) first\n');
  process.exit(2);
}
const { bundleOf } = require('@forge/threads');
require(bundleOf(main));
