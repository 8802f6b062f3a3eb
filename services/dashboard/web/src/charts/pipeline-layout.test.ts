import type { Pipeline, PipelineEdge, PipelineNode } from '../../../src/api';
import { NODE, pipelineLayout, type PipelineShape } from './pipeline-layout';

const node = (service: string): PipelineNode => ({
  service,
  replicas: 1,
  busy: null,
  idle: null,
  waits: {},
  memoryBytes: null,
});
const edge = (from: string, to: string, carries: string): PipelineEdge => ({
  from,
  to,
  carries,
  depth: null,
  ageSeconds: null,
  ratePerSecond: null,
});

function pipelineOf(called: string[]): Pipeline {
  return {
    nodes: ['coordinator', 'policy', ...called, 'replay-buffer', 'trainer'].map(node),
    edges: [
      edge('coordinator', 'policy', 'jobs'),
      ...called.map((name) =>
        name === 'gateway' ? edge(name, 'policy', 'calls') : edge('policy', name, 'calls'),
      ),
      edge('policy', 'replay-buffer', 'groups'),
      edge('replay-buffer', 'trainer', 'batches'),
      edge('trainer', 'policy', 'weights'),
    ],
  };
}

const cases: [PipelineShape, string[]][] = [
  ['wide', []],
  ['wide', ['reward']],
  ['wide', ['reward', 'reference']],
  ['wide', ['gateway', 'reward', 'reference']],
  ['tall', ['reward']],
  ['tall', ['reward', 'reference']],
  ['tall', ['gateway', 'reward', 'reference']],
];

it.each(cases)('draws all of it inside, none upon another (%s, %p)', (shape, called) => {
  const pipeline = pipelineOf(called);
  const { width, height, nodes, edges } = pipelineLayout(pipeline, shape);
  expect(nodes.map((one) => one.node.service)).toEqual(pipeline.nodes.map(({ service }) => service));
  expect(edges).toHaveLength(pipeline.edges.length);
  for (const { x, y } of nodes) {
    expect(x).toBeGreaterThanOrEqual(0);
    expect(x + NODE.width).toBeLessThanOrEqual(width);
    expect(y + NODE.height).toBeLessThanOrEqual(height);
    const upon = nodes.filter(
      (other) => Math.abs(other.x - x) < NODE.width && Math.abs(other.y - y) < NODE.height,
    );
    expect(upon).toHaveLength(1);
  }
  for (const { label } of edges) {
    expect(label.x).toBeLessThan(width);
    expect(label.y).toBeGreaterThan(0);
    expect(label.y).toBeLessThan(height);
  }
});

it('leaves out what passes to a service that is not there', () =>
  expect(
    pipelineLayout({ nodes: [node('policy')], edges: [edge('policy', 'reward', 'calls')] }, 'wide').edges,
  ).toEqual([]));
