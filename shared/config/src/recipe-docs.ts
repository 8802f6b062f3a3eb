import { z } from 'zod';
import { recipeSchema } from './recipe';
import { sftRecipeSchema } from './sft-recipe';

/** The parts of a JSON Schema that are shown. */
interface Shown {
  type?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  format?: string;
  properties?: Record<string, Shown>;
  required?: string[];
  items?: Shown;
  prefixItems?: Shown[];
  anyOf?: Shown[];
  oneOf?: Shown[];
}

const HEAD = `# Recipes

Every key of a recipe: what it may be, its default, and what it does. A unit is in the name of its key. Keys are given in
YAML, or on the command line by their path: \`npx forge run arithmetic-grpo trainer.learningRate=1e-4 rewards.0.weight=2\`.
An unknown key is refused with the nearest one. Generated from the schema (\`shared/config/src/recipe.ts\`) by
\`npm run docs\`; a test keeps it equal.
`;

/** docs/recipe.md. */
export function recipeDocs(): string {
  return [
    HEAD,
    ...pages('A run: `forge run`', recipeSchema),
    ...pages('Supervised training: `forge sft`', sftRecipeSchema),
  ].join('\n');
}

function pages(title: string, schema: z.ZodType): string[] {
  // Infinity, which JSON lacks, is the only thing that has no JSON Schema.
  const shown = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // The default of a key that is read from another form as well is lost otherwise.
      if (zodSchema instanceof z.ZodDefault) jsonSchema.default = zodSchema._zod.def.defaultValue as number;
    },
  }) as Shown;
  return [`## ${title}`, '', ...tables(shown, '')];
}

/** A table of an object's own keys, then one for each object below it. */
function tables(object: Shown, path: string): string[] {
  const keys = Object.entries(object.properties ?? {});
  const rows = keys
    .filter(([, value]) => value.properties === undefined)
    .map(([key, value]) => row(key, value, object.required?.includes(key) === true));
  const below = keys.flatMap(([key, value]) => sections(value, path === '' ? key : `${path}.${key}`));
  const table =
    rows.length === 0
      ? []
      : ['| key | value | default | what it does |', '| --- | --- | --- | --- |', ...rows, ''];
  return [...table, ...below];
}

function sections(value: Shown, path: string): string[] {
  if (value.properties !== undefined)
    return [`### \`${path}\``, '', ...saidOf(value), ...tables(value, path)];
  const inList = value.items?.oneOf ?? value.items?.anyOf;
  const choices = (value.oneOf ?? value.anyOf ?? inList ?? []).filter(
    ({ properties }) => properties !== undefined,
  );
  const common = commonKeys(choices);
  const shared =
    Object.keys(common).length === 0
      ? []
      : [
          `### \`${path}\`, what most have`,
          '',
          'Keys of all that do not say otherwise below.',
          '',
          ...tables({ properties: common }, path),
        ];
  const own = choices.flatMap((choice) => {
    const [name, kind] = Object.entries(choice.properties!).find(([, one]) => one.const !== undefined) ?? [];
    const where = inList === undefined ? path : `${path}.<n>`;
    const properties = Object.fromEntries(
      Object.entries(choice.properties!).filter(
        ([key, one]) => key !== name && !(key in common && isSame(one, common[key])),
      ),
    );
    const missing = Object.keys(common).filter((key) => !(key in choice.properties!));
    const without =
      missing.length === 0 ? [] : [`Without ${missing.map((key) => `\`${key}\``).join(', ')}.`, ''];
    const which = kind === undefined ? '' : `, \`${name}: ${String(kind.const)}\``;
    return [
      `### \`${where}\`${which}`,
      '',
      ...saidOf(choice),
      ...without,
      ...tables({ ...choice, properties }, where),
    ];
  });
  return [...shared, ...own];
}

/** Choices beyond which what most of them have is shown once. */
const MANY_CHOICES = 12;

/** The keys that are the same in two thirds of many choices. */
function commonKeys(choices: readonly Shown[]): Record<string, Shown> {
  if (choices.length < MANY_CHOICES) return {};
  const of = (key: string): Shown[] => choices.flatMap(({ properties }) => properties?.[key] ?? []);
  const names = new Set(choices.flatMap(({ properties }) => Object.keys(properties!)));
  const entries = [...names].flatMap((key): [string, Shown][] => {
    const found = of(key);
    const mode = found.find(
      (one) => 3 * found.filter((other) => isSame(one, other)).length >= 2 * choices.length,
    );
    return mode === undefined ? [] : [[key, mode]];
  });
  return Object.fromEntries(entries);
}

function isSame(a: Shown | undefined, b: Shown | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function saidOf({ description }: Shown): string[] {
  return description === undefined ? [] : [`${description[0]!.toUpperCase()}${description.slice(1)}.`, ''];
}

function row(key: string, value: Shown, isRequired: boolean): string {
  const fallback = value.default === undefined ? (isRequired ? 'required' : 'left out') : code(value.default);
  const cells = [`\`${key}\``, typeOf(value), fallback, value.description ?? ''];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function typeOf(value: Shown): string {
  if (value.const !== undefined) return value.const === null ? '`.inf`' : code(value.const);
  if (value.enum !== undefined) return value.enum.map(code).join(', ');
  const choices = value.oneOf ?? value.anyOf;
  if (choices !== undefined) return [...new Set(choices.map(typeOf))].join(' or ');
  if (value.prefixItems !== undefined) return `list of ${value.prefixItems.map(typeOf).join(' and ')}`;
  if (value.type === 'array')
    return `list of ${value.items === undefined ? 'values' : typeOf(value.items)}${countOf(value)}`;
  if (value.format === 'date') return 'date, YYYY-MM-DD';
  const name = { integer: 'whole number', object: 'section' }[value.type ?? ''] ?? value.type ?? 'any value';
  return `${name}${boundsOf(value)}${value.pattern === undefined ? '' : ` like ${code(value.pattern)}`}`;
}

function boundsOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Shown): string {
  const parts = [
    ...(minimum === undefined ? [] : [`>= ${minimum}`]),
    ...(exclusiveMinimum === undefined ? [] : [`> ${exclusiveMinimum}`]),
    ...(maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? [] : [`<= ${maximum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`< ${exclusiveMaximum}`]),
  ];
  return parts.length === 0 ? '' : ` ${parts.join(', ')}`;
}

function countOf({ minItems, maxItems }: Shown): string {
  const parts = [
    ...(minItems === undefined ? [] : [`at least ${minItems}`]),
    ...(maxItems === undefined ? [] : [`at most ${maxItems}`]),
  ];
  return parts.length === 0 ? '' : `, ${parts.join(', ')}`;
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}
