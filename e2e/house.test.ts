import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import ts from 'typescript';

const root = join(__dirname, '..');
const layers = JSON.parse(readFileSync(join(root, 'infra/layers.json'), 'utf8')) as Record<string, string[]>;

interface Package {
  name: string;
  src: string;
  tags: string[];
}

interface Import {
  file: string;
  /** Whether nothing of it is left at run time. */
  isOfTypes: boolean;
}

/** Arrows from a node to others, by name. */
type Arrows = Map<string, Set<string>>;

const packages: Package[] = ['shared', 'services'].flatMap((kind) =>
  readdirSync(join(root, kind)).map((folder) => {
    const manifest = JSON.parse(readFileSync(join(root, kind, folder, 'package.json'), 'utf8')) as {
      nx?: { tags?: string[] };
    };
    return { name: `${kind}/${folder}`, src: join(root, kind, folder, 'src'), tags: manifest.nx?.tags ?? [] };
  }),
);

/** The sources of a package; tests and what belongs to them are no part of the house. */
function sourcesOf({ src }: Package): string[] {
  return readdirSync(src, { recursive: true })
    .map(String)
    .filter((name) => /\.tsx?$/.test(name) && !/\.(test|fixture|conformance|bench|d)\.tsx?$/.test(name))
    .map((name) => join(src, name));
}

const known = new Map<string, Import[]>();

/** The files of the same package that `file` imports at its top. An import at run time is no part of a circle. */
function importsOf(file: string): Import[] {
  const before = known.get(file);
  if (before !== undefined) return before;
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);
  const imports = source.statements.flatMap((statement) => {
    const isImport = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement);
    if (!isImport || statement.moduleSpecifier === undefined) return [];
    const { text } = statement.moduleSpecifier as ts.StringLiteral;
    if (!text.startsWith('.')) return [];
    const target = join(dirname(file), text);
    const found = [`${target}.ts`, `${target}.tsx`, join(target, 'index.ts')].find(existsSync);
    return found === undefined ? [] : [{ file: found, isOfTypes: isOfTypes(statement) }];
  });
  known.set(file, imports);
  return imports;
}

function isOfTypes(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(statement)) {
    const { isTypeOnly, exportClause } = statement;
    const isNamed = exportClause !== undefined && ts.isNamedExports(exportClause);
    return isTypeOnly || (isNamed && exportClause.elements.every((element) => element.isTypeOnly));
  }
  const { importClause } = statement;
  if (importClause === undefined) return false;
  const { isTypeOnly, name, namedBindings } = importClause;
  const isNamed = name === undefined && namedBindings !== undefined && ts.isNamedImports(namedBindings);
  return isTypeOnly || (isNamed && namedBindings.elements.every((element) => element.isTypeOnly));
}

/** Imports between the nodes that files belong to; of values, `withTypes` of types as well. */
function arrows(files: readonly string[], nodeOf: (file: string) => string, withTypes = false): Arrows {
  const all: Arrows = new Map();
  for (const file of files) {
    const from = nodeOf(file);
    const to = all.get(from) ?? new Set();
    all.set(from, to);
    for (const imported of importsOf(file)) {
      const target = nodeOf(imported.file);
      if (target !== from && (withTypes || !imported.isOfTypes)) to.add(target);
    }
  }
  return all;
}

/** Sets of nodes each of which reaches all others of its set, by Tarjan's algorithm; without those of one node. */
function circles(all: Arrows): string[][] {
  const [order, low, stack] = [new Map<string, number>(), new Map<string, number>(), [] as string[]];
  const found: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    low.set(node, order.get(node)!);
    stack.push(node);
    for (const next of all.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== order.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) found.push(circle.sort());
  };
  for (const node of all.keys()) if (!order.has(node)) visit(node);
  return found;
}

/** The folder of a package's `src` that a file is in; a file that is in none stands for itself. */
const folderIn =
  ({ src }: Package) =>
  (file: string): string =>
    relative(src, file).split(sep)[0]!;

describe('circles', () => {
  it('finds sets of nodes that reach each other', () => {
    const all = new Map(Object.entries({ a: ['b'], b: ['c'], c: ['a', 'd'], d: ['e'], e: [], f: ['f'] }));
    expect(circles(new Map([...all].map(([node, to]) => [node, new Set(to)])))).toEqual([['a', 'b', 'c']]);
  });
});

describe('the imports of a file', () => {
  it('are told apart by what is left of them at run time', () => {
    const fleet = importsOf(join(root, 'services/cli/src/running/fleet.ts'));
    expect(fleet).toContainEqual({
      file: join(root, 'services/cli/src/running/supervisor.ts'),
      isOfTypes: true,
    });
    const engine = importsOf(join(root, 'shared/engine/src/index.ts'));
    expect(engine).toContainEqual({
      file: join(root, 'shared/engine/src/create-engine.ts'),
      isOfTypes: false,
    });
  });
});

describe.each(packages)('$name', (one) => {
  it('is in a layer', () => {
    const layer = one.tags.filter((tag) => tag.startsWith('layer:')).map((tag) => tag.slice('layer:'.length));
    expect(layer).toHaveLength(1);
    expect(Object.keys(layers)).toContain(layer[0]);
  });

  it('has no circle of values between files', () => {
    expect(circles(arrows(sourcesOf(one), (file) => relative(one.src, file)))).toEqual([]);
  });

  it('has no circle of values between folders', () => {
    expect(circles(arrows(sourcesOf(one), folderIn(one)))).toEqual([]);
  });
});
