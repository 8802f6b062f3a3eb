const useSoftwareVulkan = require('./infra/bootstrap/software-vulkan.cjs');

useSoftwareVulkan(process.env);

/** Packages that are ES modules only, which jest runs as CommonJS. */
const MODULES = ['hyparquet', 'hyparquet-compressors', 'hysnappy'];

const common = {
  rootDir: __dirname,
  testEnvironment: '<rootDir>/infra/bootstrap/jest-environment.cjs',
  transform: {
    '^.+\\.tsx?$': [
      '@swc/jest',
      {
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { decoratorVersion: '2022-03' },
          target: 'es2023',
        },
        module: { type: 'commonjs' },
      },
    ],
    [`/node_modules/(${MODULES.join('|')})/.+\\.js$`]: [
      '@swc/jest',
      { jsc: { target: 'es2023' }, module: { type: 'commonjs' } },
    ],
  },
  transformIgnorePatterns: [`/node_modules/(?!(${MODULES.join('|')})/)`],
  moduleNameMapper: {
    '^@forge/([^/]+)$': '<rootDir>/shared/$1/src/index.ts',
    // A dynamic import names the compiled file.
    '^(\\.{1,2}/.*)\\.js$': ['$1.js', '$1'],
  },
  modulePathIgnorePatterns: ['<rootDir>/.*/dist/', '<rootDir>/.nx/', '<rootDir>/.forge/', '<rootDir>/runs/'],
};

/** Pipelines that measure time or memory have the machine to themselves. */
const MEASURING = ['change-while-running', 'chaos/chaos', 'fuzz/fuzz', 'slowness'].map(
  (name) => `${__dirname}/e2e/${name}.e2e.test.ts`,
);

/** Tests that want a network of their own, as `npm run test:hosts` makes it. */
const HOSTS = '<rootDir>/e2e/hosts/**/*.test.ts';

/** Unit tests run on the sources; worker threads and child processes run from dist/, so build first. */
const projects = [
  {
    ...common,
    testMatch: [
      '<rootDir>/{shared,services}/*/src/**/*.test.ts',
      '<rootDir>/services/*/web/src/**/*.test.ts',
      '<rootDir>/{e2e,examples,bench}/**/*.test.ts',
      ...[...MEASURING, HOSTS].map((file) => `!${file}`),
    ],
  },
  { ...common, testMatch: MEASURING, runner: '<rootDir>/infra/bootstrap/one-by-one.cjs' },
];

module.exports = {
  projects: process.env.FORGE_TEST_HOSTS === '1' ? [{ ...common, testMatch: [HOSTS] }] : projects,
  reporters: ['default', ['<rootDir>/infra/bootstrap/times-reporter.cjs', { rootDir: __dirname }]],
  testTimeout: 60_000,
  maxWorkers: 2,
};
