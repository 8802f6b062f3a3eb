import { flowRates, type Counted } from './flow-rates';

const counted = (atMs: number, admitted: number, inFlight: number, reward: number): Counted => ({
  atMs,
  ledger: { admitted, inFlight },
  calls: { reward },
});

describe('flowRates', () => {
  it('is what was counted more, per second', () => {
    expect(flowRates([counted(0, 10, 10, 0), counted(1_000, 99, 9, 9), counted(4_000, 50, 30, 100)])).toEqual(
      {
        jobs: 10,
        groups: 5,
        calls: { reward: 25 },
      },
    );
  });

  it('is not known of one moment, nor of what was counted anew', () => {
    expect(flowRates([counted(0, 10, 10, 0)])).toEqual({ jobs: null, groups: null, calls: {} });
    expect(flowRates([counted(0, 10, 0, 9), counted(1_000, 4, 0, 1)])).toEqual({
      jobs: null,
      groups: null,
      calls: {},
    });
  });
});
