import { Evaluations, isDoubtful } from './evaluations';

const slice = (version: number, part: number, correct: number, parts = 2) => ({
  kind: 'evaluation' as const,
  version,
  part,
  parts,
  correct,
  total: 4,
});

describe('Evaluations', () => {
  it('gives an evaluation with its last slice', () => {
    const evaluations = new Evaluations();
    expect(evaluations.record(slice(0, 0, 1))).toBeNull();
    expect(evaluations.record(slice(0, 1, 2))).toEqual({ version: 0, accuracy: 0.375, unjudged: 0 });
    expect([0, 1].map((version) => evaluations.has(version))).toEqual([true, false]);
  });

  it('counts a slice delivered twice once, also after the last one', () => {
    const evaluations = new Evaluations();
    evaluations.record(slice(0, 0, 4));
    expect(evaluations.record(slice(0, 0, 4))).toBeNull();
    expect(evaluations.record(slice(0, 1, 0))).toEqual({ version: 0, accuracy: 0.5, unjudged: 0 });
    expect(evaluations.record(slice(0, 1, 0))).toBeNull();
    expect(evaluations.results).toHaveLength(1);
  });

  it('is void when no sample could be judged', () => {
    const evaluations = new Evaluations();
    evaluations.record({ ...slice(0, 0, 0), failed: 4 });
    expect(evaluations.record({ ...slice(0, 1, 0), failed: 3 })).toEqual({
      version: 0,
      accuracy: 0,
      unjudged: 0,
    });
    evaluations.record({ ...slice(1, 0, 0), failed: 4 });
    expect(evaluations.record({ ...slice(1, 1, 0), failed: 4 })).toEqual({
      version: 1,
      accuracy: 0,
      unjudged: 0,
      isVoid: true,
    });
  });

  it('counts what was not judged neither as right nor as wrong, and doubts an accuracy over less than half', () => {
    const evaluations = new Evaluations();
    evaluations.record({ ...slice(0, 0, 2), failed: 2, unjudged: 1 });
    const few = evaluations.record({ ...slice(0, 1, 1), failed: 2, unjudged: 2 });
    expect(few).toEqual({ version: 0, accuracy: 3 / 5, unjudged: 3 / 8 });
    evaluations.record({ ...slice(1, 0, 1), failed: 3, unjudged: 3 });
    const most = evaluations.record({ ...slice(1, 1, 2), failed: 2, unjudged: 2 });
    expect(most).toEqual({ version: 1, accuracy: 1, unjudged: 5 / 8 });
    expect([few, most].map((evaluation) => isDoubtful(evaluation!))).toEqual([false, true]);
    evaluations.record({ ...slice(2, 0, 0), failed: 4, unjudged: 4 });
    expect(evaluations.record({ ...slice(2, 1, 0), failed: 4, unjudged: 4 })).toEqual({
      version: 2,
      accuracy: 0,
      unjudged: 1,
      isVoid: true,
    });
  });

  it('keeps results in the order of their versions', () => {
    const evaluations = new Evaluations();
    evaluations.restore({ version: 10, accuracy: 0.5, unjudged: 0 });
    evaluations.record(slice(5, 0, 4, 1));
    expect(evaluations.results.map(({ version }) => version)).toEqual([5, 10]);
  });
});
