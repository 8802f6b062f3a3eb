import { evaluate, grad, Graph, sum } from '@forge/graph';
import fc from 'fast-check';
import { teacherDivergence, type TeacherDivergence } from './teacher-divergence';

const K = 3;

/** The log-probs of the first K of V tokens, and the divergence of all of them. */
interface Pair {
  policy: number[];
  teacher: number[];
  whole: Record<TeacherDivergence, number>;
}

const logSoftmax = (logits: readonly number[]): number[] => {
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
  return logits.map((x) => x - total);
};
const kl = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((sum, x, i) => sum + Math.exp(x) * (x - q[i]!), 0);

function pairOf(policyLogits: readonly number[], teacherLogits: readonly number[]): Pair {
  const [policy, teacher] = [logSoftmax(policyLogits), logSoftmax(teacherLogits)];
  const [reverse, forward] = [kl(policy, teacher), kl(teacher, policy)];
  return { policy, teacher, whole: { reverse, forward, mixed: (reverse + forward) / 2 } };
}

/** The plain definition, with all tokens after the first K as one. */
function slow({ policy, teacher }: Pair, kind: TeacherDivergence): number {
  const folded = (logprobs: readonly number[]): number[] => {
    const rest = logprobs.slice(K).reduce((sum, x) => sum + Math.exp(x), 0);
    return [...logprobs.slice(0, K), Math.log(Math.max(rest, 1e-6))];
  };
  const [p, t] = [folded(policy), folded(teacher)];
  if (kind === 'mixed') return (kl(p, t) + kl(t, p)) / 2;
  return kind === 'reverse' ? kl(p, t) : kl(t, p);
}

function divergenceOf(pair: Pair, kind: TeacherDivergence): { value: number; gradient: number[] } {
  const graph = new Graph();
  const input = (name: string) => graph.input(name, 'float32', [1, 1, K]);
  const policy = input('policy');
  const value = sum(teacherDivergence({ policy, reference: input('reference') }, kind));
  const feed = (logprobs: readonly number[]) => ({
    shape: [1, 1, K],
    data: Float64Array.from(logprobs.slice(0, K)),
  });
  const found = evaluate(
    { value, gradient: grad(value, [policy])[0]! },
    { policy: feed(pair.policy), reference: feed(pair.teacher) },
  );
  return { value: found.value.data[0]!, gradient: [...found.gradient.data] };
}

const kinds = fc.constantFrom<TeacherDivergence>('reverse', 'forward', 'mixed');
const logits = (length: number) =>
  fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: length, maxLength: length });

describe('teacherDivergence', () => {
  it('is its plain definition, between 0 and the divergence of all tokens, with the gradient of finite differences', () => {
    fc.assert(
      fc.property(logits(6), logits(6), kinds, (a, b, kind) => {
        const pair = pairOf(a, b);
        const { value, gradient } = divergenceOf(pair, kind);
        expect(value).toBeCloseTo(slow(pair, kind), 8);
        expect(value).toBeGreaterThan(-1e-9);
        expect(value).toBeLessThan(pair.whole[kind] + 1e-9);
        gradient.forEach((slope, i) => {
          const at = (step: number): number => {
            const policy = pair.policy.map((x, j) => (i === j ? x + step : x));
            return divergenceOf({ ...pair, policy }, kind).value;
          };
          expect(slope).toBeCloseTo((at(1e-6) - at(-1e-6)) / 2e-6, 4);
        });
      }),
      { numRuns: 50 },
    );
  });

  it('is that of all tokens where all are told apart', () => {
    const pair = pairOf([1, 0, -2], [0.5, 0.5, 1]);
    for (const kind of ['reverse', 'forward', 'mixed'] as const)
      expect(divergenceOf(pair, kind).value).toBeCloseTo(pair.whole[kind], 5);
  });

  it('is finite where policy or teacher leave nothing to others', () => {
    const sure = {
      policy: [0, -40, -40, -50],
      teacher: [-1e-9, -30, -35, -20],
      whole: { reverse: 0, forward: 0, mixed: 0 },
    };
    for (const kind of ['reverse', 'forward', 'mixed'] as const) {
      const { value, gradient } = divergenceOf(sure, kind);
      expect(Number.isFinite(value)).toBe(true);
      expect(gradient.every(Number.isFinite)).toBe(true);
    }
  });
});
