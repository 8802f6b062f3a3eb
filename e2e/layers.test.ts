import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createProjectGraphAsync, type ProjectGraph } from '@nx/devkit';

const layers = JSON.parse(readFileSync(join(__dirname, '../infra/layers.json'), 'utf8')) as Record<
  string,
  string[]
>;

describe('the project graph', () => {
  let graph: ProjectGraph;
  beforeAll(async () => {
    graph = await createProjectGraphAsync({ exitOnError: false });
  });
  const layerOf = (project: string): string | undefined =>
    graph.nodes[project]?.data.tags?.find((tag) => tag.startsWith('layer:'))?.slice('layer:'.length);
  const edges = () =>
    Object.values(graph.dependencies)
      .flat()
      .filter(({ source, target }) => source in graph.nodes && target in graph.nodes);

  it('puts every package into a known layer', () => {
    const projects = Object.keys(graph.nodes).filter((name) => name.startsWith('@forge/'));
    expect(projects.length).toBeGreaterThan(15);
    expect(projects.filter((name) => !((layerOf(name) ?? '') in layers))).toEqual([]);
  });

  it('points downwards only', () => {
    const wrong = edges().filter(({ source, target }) => {
      const [from, to] = [layerOf(source) ?? '', layerOf(target) ?? ''];
      return to !== 'testing' && from in layers && !layers[from]!.includes(to);
    });
    expect(edges().length).toBeGreaterThan(50);
    expect(wrong.map(({ source, target }) => `${source} -> ${target}`)).toEqual([]);
  });

  it('has no service that depends on another service', () => {
    const services = edges().filter(({ source, target }) => layerOf(source) === 'service' && layerOf(target) === 'service'); // prettier-ignore
    expect(services).toEqual([]);
  });
});
