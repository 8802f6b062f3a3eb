import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { METRICS } from '@forge/telemetry';

/** Builds the page into what the dashboard's server serves. */
export default {
  root: dirname(fileURLToPath(import.meta.url)),
  base: './',
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    // The charting library is most of it.
    chunkSizeWarningLimit: 800,
    modulePreload: { polyfill: false },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // The meaning of metrics is said where they are defined.
  define: {
    METRIC_DEFINITIONS: JSON.stringify(METRICS.map(({ name, unit, formula }) => ({ name, unit, formula }))),
  },
};
