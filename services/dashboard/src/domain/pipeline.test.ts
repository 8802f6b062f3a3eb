import type { MetricsRow, ReplicaView } from '../api';
import { NO_RATES, pipeline } from './pipeline';

const rows: MetricsRow[] = [
  {
    step: 1,
    'time/step_ms': 300,
    'busy/policy': 0.5,
    'idle/policy': 0.5,
    'busy/trainer': 1,
    'idle/trainer': 0,
  },
  {
    step: 2,
    'time/step_ms': 500,
    'busy/policy': 0.7,
    'waits/policy/reward': 0.2,
    'idle/policy': 0.1,
    'memory/policy_bytes': 1e8,
    'queue/rollouts/depth': 7,
    'queue/rollouts/age_s': 1.5,
    'queue/batches/depth': 2,
  },
];
const replica = (service: string, name: string, isReady = true): ReplicaView => ({
  ...{ service, replica: name, isReady, pid: 1, url: '', silentMs: 0, restarts: 0 },
});
const live = {
  replicas: [replica('policy', '0'), replica('policy', '1'), replica('policy', '2', false)],
};

describe('pipeline', () => {
  it('shows shares that add up to one, of all rows, and the replicas that are ready', () => {
    const { nodes } = pipeline({ rows, live, queues: null, rates: NO_RATES });
    expect(nodes.map(({ service }) => service)).toEqual([
      'coordinator',
      'policy',
      'reward',
      'replay-buffer',
      'trainer',
    ]);
    const policy = nodes[1]!;
    expect(policy).toMatchObject({ replicas: 2, memoryBytes: 1e8 });
    expect(policy.busy).toBeCloseTo(0.6);
    expect(policy.waits['reward']).toBeCloseTo(0.1);
    expect(policy.busy! + policy.idle! + policy.waits['reward']!).toBeCloseTo(1);
    expect(nodes[0]).toMatchObject({ busy: null, idle: null, waits: {}, replicas: 0 });
  });

  it('shows what waits and for how long, and what passes', () => {
    const rates = { jobs: 10, groups: 8, calls: { reward: 64 } };
    const { edges } = pipeline({ rows, live, queues: null, rates });
    const edge = (carries: string) => edges.find((one) => one.carries === carries);
    expect(edge('jobs')).toEqual({
      from: 'coordinator',
      to: 'policy',
      carries: 'jobs',
      depth: 7,
      ageSeconds: 1.5,
      ratePerSecond: 10,
    });
    expect(edge('calls')).toMatchObject({ to: 'reward', depth: null, ratePerSecond: 64 });
    expect(edge('groups')).toMatchObject({ depth: null, ratePerSecond: 8 });
    expect(edge('batches')).toMatchObject({ depth: 2, ageSeconds: null, ratePerSecond: 2.5 });
    expect(edge('weights')).toMatchObject({ from: 'trainer', to: 'policy', ratePerSecond: 2.5 });
  });

  it('takes what waits now over what waited at the last step', () => {
    const { edges } = pipeline({ rows, live, queues: { 'queue/rollouts/depth': 0 }, rates: NO_RATES });
    expect(edges[0]).toMatchObject({ depth: 0, ageSeconds: null });
  });

  it('has nothing that waits when the run is over, and nothing at all before its first step', () => {
    const over = pipeline({ rows, live: null, queues: null, rates: NO_RATES });
    expect(over.edges[0]).toMatchObject({ depth: null, ratePerSecond: null });
    expect(over.nodes[1]).toMatchObject({ replicas: null });
    const fresh = pipeline({ rows: [], live: null, queues: null, rates: NO_RATES });
    expect(fresh.nodes.every(({ busy }) => busy === null)).toBe(true);
    expect(fresh.edges.every(({ ratePerSecond }) => ratePerSecond === null)).toBe(true);
  });

  it.each(['reference', 'gateway'])('shows a %s where there is one', (service) => {
    const { nodes, edges } = pipeline({
      rows: [{ step: 1, [`busy/${service}`]: 0.2, [`idle/${service}`]: 0.8 }],
      live: null,
      queues: null,
      rates: NO_RATES,
    });
    expect(nodes.some((node) => node.service === service)).toBe(true);
    expect(edges.filter(({ from, to }) => from === service || to === service)).toHaveLength(1);
  });
});
