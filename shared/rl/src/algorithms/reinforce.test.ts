import { evaluateLoss, expectClose, expectMatrixClose, type LossCase } from '../losses/loss.fixture';
import { reinforce, reinforceLoss } from './reinforce';

describe('reinforceLoss', () => {
  it("gives torchforge's value: -logprobs x advantage x clipped weight, over all tokens", () => {
    const lossCase: LossCase = {
      logprobs: [
        [-1, -2],
        [-0.5, -9],
      ],
      behaviour: [
        [-1, -1],
        [-5, -9],
      ],
      advantages: [2, -1],
      mask: [
        [1, 1],
        [1, 0],
      ],
    };
    const weight = Math.exp(-1);
    // e^4.5 = 90 is clipped to 10.
    const { loss, gradient } = evaluateLoss(reinforceLoss, lossCase);
    expectClose(loss, (1 * 2 + 2 * 2 * weight + 0.5 * -1 * 10) / 3);
    expectMatrixClose(
      gradient,
      [
        [-2 / 3, (-2 * weight) / 3],
        [10 / 3, 0],
      ],
      1e-7,
    );
  });

  it('weighs a token that became ten thousand times less likely by 0.1', () => {
    const { gradient } = evaluateLoss(reinforceLoss, {
      logprobs: [[-10]],
      behaviour: [[-1]],
      advantages: [1],
    });
    expectClose(gradient[0]![0]!, -0.1);
  });

  it('is 0 when all is masked', () => {
    expectClose(evaluateLoss(reinforceLoss, { logprobs: [[-3]], advantages: [1], mask: [[0]] }).loss, 0);
  });
});

describe('reinforce', () => {
  it('has the group mean as its baseline, and needs no reference', () => {
    expect(reinforce({ normalizeByStd: false }).advantage([1, 0], [])).toEqual([0.5, -0.5]);
    expect(reinforce().needsReference).toBe(false);
  });
});
