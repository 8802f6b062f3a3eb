import { readFileSync } from 'node:fs';
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** The layers of ARCHITECTURE.md, lowest first: a project may depend on the layers listed beside its own. */
const layers = JSON.parse(readFileSync(new URL('infra/layers.json', import.meta.url), 'utf8'));

const onlyIn = (pattern, message) => ({ group: [pattern], message });

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.nx/**', 'runs/**', '.forge/**'] },
  {
    files: ['**/*.{ts,tsx}'],
    extends: [tseslint.configs.strict],
    plugins: { '@nx': nx },
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.test.json', './services/dashboard/web/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      'no-eval': 'error',
      'no-new-func': 'error',
      '@typescript-eslint/no-implied-eval': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-dynamic-delete': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportAllDeclaration', message: 'Re-export by name.' },
        {
          selector: "MemberExpression[object.name='process'][property.name='env']",
          message: 'Only shared/config reads the environment.',
        },
      ],
    },
  },
  {
    files: ['shared/*/src/**/*.ts', 'services/*/src/**/*.ts', 'services/*/web/src/**/*.{ts,tsx}'],
    ignores: ['**/*.test.ts', '**/*.conformance.ts'],
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          enforceBuildableLibDependency: false,
          allow: [],
          depConstraints: Object.entries(layers).map(([layer, below]) => ({
            sourceTag: `layer:${layer}`,
            onlyDependOnLibsWithTags: below.map((name) => `layer:${name}`),
          })),
        },
      ],
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            onlyIn('bullmq', 'Only shared/broker imports bullmq.'),
            onlyIn('ioredis', 'Only shared/broker imports ioredis.'),
            {
              group: ['vm', 'v8', 'node:vm', 'node:v8'],
              allowImportNames: ['setFlagsFromString'],
              message: 'Code and objects are not made of text or bytes.',
            },
            onlyIn('@forge/*/*', 'Import a package by its name, never by a deep path.'),
          ],
        },
      ],
    },
  },
  { files: ['shared/broker/src/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['shared/config/src/**/*.ts', '**/*.test.ts', 'bench/**/*.ts', 'e2e/**/*.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
