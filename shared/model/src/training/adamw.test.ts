import type { Parameters } from '@forge/weights';
import { AdamW, type AdamWOptions } from './adamw';

const options: AdamWOptions = { betas: [0.9, 0.95], epsilon: 1e-8, weightDecay: 0.1 };
const parameters = (weight: number[], bias: number[]): Parameters =>
  new Map([
    ['weight', { shape: [1, weight.length], data: Float32Array.from(weight) }],
    ['bias', { shape: [bias.length], data: Float32Array.from(bias) }],
  ]);
const gradients = (weight: number[], bias: number[]): Map<string, Float32Array> =>
  new Map([
    ['weight', Float32Array.from(weight)],
    ['bias', Float32Array.from(bias)],
  ]);

describe('AdamW', () => {
  it('moves the first step by the learning rate against the sign of the gradient, and decays matrices only', () => {
    const values = parameters([2, -1], [2, -1]);
    new AdamW(values, options).update(gradients([0.3, -4], [0.3, -4]), 0.01);
    // bias correction makes m / sqrt(v) = sign(g) on step one; decay multiplies by 1 - 0.01 * 0.1
    expect([...values.get('weight')!.data]).toEqual([2 * 0.999 - 0.01, -0.999 + 0.01].map(Math.fround));
    expect([...values.get('bias')!.data]).toEqual([1.99, -0.99].map(Math.fround));
  });

  it('gives the values of torch.optim.AdamW after two steps', () => {
    // step 1: m = 0.05, v = 0.0125; step 2: m = 0.9 * 0.05 - 0.1 = -0.055, v = 0.95 * 0.0125 + 0.05 = 0.061875;
    // mHat = -0.055 / 0.19, vHat = 0.061875 / 0.0975
    const values = parameters([1], [1]);
    const adamW = new AdamW(values, options);
    adamW.update(gradients([0.5], [0.5]), 0.1);
    adamW.update(gradients([-1], [-1]), 0.1);
    const change = (0.1 * (0.055 / 0.19)) / Math.sqrt(0.061875 / 0.0975);
    expect(values.get('weight')!.data[0]).toBeCloseTo((1 * 0.99 - 0.1) * 0.99 + change, 6);
    expect(values.get('bias')!.data[0]).toBeCloseTo(1 - 0.1 + change, 6);
  });

  it('follows an independent float64 formula over many steps', () => {
    const values = parameters([0.5, -0.25, 3], []);
    const adamW = new AdamW(values, options);
    const slow = [0.5, -0.25, 3].map((p) => ({ p, history: [] as number[] }));
    for (let step = 1; step <= 20; step++) {
      const g = [Math.sin(step), Math.cos(3 * step) * 1e-3, step % 3 === 0 ? 5 : -1].map(Math.fround);
      adamW.update(gradients(g, []), 0.02);
      slow.forEach((entry, i) => {
        entry.history.push(g[i]!);
        const weighted = (beta: number, power: number): number =>
          entry.history.reduce((sum, x, s) => sum + (1 - beta) * beta ** (step - 1 - s) * x ** power, 0) /
          (1 - beta ** step);
        entry.p =
          entry.p * (1 - 0.02 * 0.1) - (0.02 * weighted(0.9, 1)) / (Math.sqrt(weighted(0.95, 2)) + 1e-8);
      });
    }
    slow.forEach(({ p }, i) => expect(values.get('weight')!.data[i]).toBeCloseTo(p, 5));
  });

  it('scales gradients before the moments see them', () => {
    const [scaled, plain] = [parameters([1], [1]), parameters([1], [1])];
    const [a, b] = [new AdamW(scaled, options), new AdamW(plain, options)];
    a.update(gradients([8], [4]), 0.1, 0.25);
    b.update(gradients([2], [1]), 0.1);
    expect(scaled).toEqual(plain);
    expect(a.state()).toEqual(b.state());
  });

  it('goes on with the same bits from a restored state', async () => {
    const [values, resumedValues] = [parameters([1, 2], [3]), parameters([1, 2], [3])];
    const whole = new AdamW(values, options);
    whole.update(gradients([0.1, -0.2], [0.3]), 0.1);
    for (const [name, { data }] of values) resumedValues.get(name)!.data.set(data);
    const resumed = new AdamW(resumedValues, options);
    await resumed.restore(whole.state());
    for (const optimizer of [whole, resumed]) optimizer.update(gradients([0.7, 0.1], [-0.3]), 0.1);
    expect(resumedValues).toEqual(values);
    expect(resumed.step).toBe(2);
  });
});
