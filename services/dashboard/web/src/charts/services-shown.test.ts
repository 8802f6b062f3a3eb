import { SERVICES } from '@forge/contracts';
import { curveSections } from './curve-groups';
import { pipelineLayout } from './pipeline-layout';

describe('the page', () => {
  const nodes = SERVICES.map((service) => ({
    ...{ service, replicas: 1, busy: 0.5, idle: 0.5, waits: {}, memoryBytes: null },
  }));

  it.each(['wide', 'tall'] as const)('has a place for every service of a run, %s', (shape) => {
    const placed = pipelineLayout({ nodes, edges: [] }, shape).nodes.map(({ node }) => node.service);
    expect(placed.sort()).toEqual([...SERVICES].sort());
  });

  it('has a chart of how busy each of them is', () => {
    const keys = SERVICES.flatMap((service) => [`busy/${service}`, `idle/${service}`]);
    const stacked = curveSections(keys).flatMap(({ groups }) => groups.filter(({ isStacked }) => isStacked));
    expect(stacked.map(({ title }) => title).sort()).toEqual([...SERVICES].sort());
  });
});
