import { shapeError } from './dim';
import { innermost, type Tensor } from './graph';
import { defineOp, type Values } from './op';
import { add, div, mul, sqrt, sub } from './elementwise';

/** Decays of the running means of the gradient and of its square, and what keeps the quotient finite. */
export interface AdamWConstants {
  betas: readonly [number, number];
  epsilon: number;
}

/** One parameter, what it is updated by, and the numbers of one step, float32 [] (`adamWNumbers`). */
export interface AdamWInputs {
  parameter: Tensor;
  gradient: Tensor;
  firstMoment: Tensor;
  secondMoment: Tensor;
  /** Share of the parameter that weight decay leaves. */
  keep: Tensor;
  /** Learning rate over 1 - beta1^t. */
  rate: Tensor;
  /** 1 / sqrt(1 - beta2^t). */
  correction: Tensor;
  /** Factor of the gradient, to clip its norm. */
  gradientScale: Tensor;
}

export type AdamWOutputs = Pick<AdamWInputs, 'parameter' | 'firstMoment' | 'secondMoment'>;

const adamWOp = defineOp({
  type: 'AdamW',
  expand: (node) => {
    const [parameter, gradient, first, second, keep, rate, correction, scale] = node.inputs as Tensor[];
    const number = (name: string): number => (node.attributes[name] as { float: number }).float;
    const [beta1, beta2] = [number('beta1'), number('beta2')];
    const g = mul(gradient!, scale!);
    const m = add(mul(first!, beta1), mul(g, 1 - beta1));
    const v = add(mul(second!, beta2), mul(mul(g, g), 1 - beta2));
    const change = div(mul(m, rate!), add(mul(sqrt(v), correction!), number('epsilon')));
    return [sub(mul(parameter!, keep!), change), m, v];
  },
  reference: (inputs, attributes) => {
    const [parameter, gradient, first, second, ...rest] = inputs as Values[];
    const [keep, rate, correction, scale] = rest.map(({ data }) => data[0]!) as [
      number,
      number,
      number,
      number,
    ];
    const number = (name: string): number => (attributes[name] as { float: number }).float;
    const [beta1, beta2, epsilon] = [number('beta1'), number('beta2'), number('epsilon')];
    const mean = (old: Values, beta: number, power: number): Float64Array =>
      old.data.map((value, i) => beta * value + (1 - beta) * (gradient!.data[i]! * scale) ** power);
    const [m, v] = [mean(first!, beta1, 1), mean(second!, beta2, 2)];
    const updated = parameter!.data.map(
      (value, i) => keep * value - (rate * m[i]!) / (Math.sqrt(v[i]!) * correction + epsilon),
    );
    return [updated, m, v].map((data) => ({ shape: parameter!.shape, data }));
  },
});

/**
 * One step of AdamW: decoupled weight decay, bias correction. An engine may write the results over the inputs. No
 * gradient.
 *
 * @see Loshchilov and Hutter 2019, algorithm 2; torch.optim.AdamW
 */
export function adamW(inputs: AdamWInputs, { betas, epsilon }: AdamWConstants): AdamWOutputs {
  const { parameter, gradient, firstMoment, secondMoment, keep, rate, correction, gradientScale } = inputs;
  const all = [parameter, gradient, firstMoment, secondMoment];
  if (all.some(({ shape }) => shape.join() !== parameter.shape.join())) {
    const shapes = all.map(({ shape }) => shape);
    throw shapeError('adamW', 'gradient and moments are shaped like the parameter', shapes);
  }
  const attributes = { beta1: { float: betas[0] }, beta2: { float: betas[1] }, epsilon: { float: epsilon } };
  const outputs = [parameter, firstMoment, secondMoment].map(
    ({ shape }) => ({ dtype: 'float32', shape }) as const,
  );
  const operands = [...all, keep, rate, correction, gradientScale];
  const [updated, m, v] = innermost(operands).apply(adamWOp, operands, outputs, attributes) as Tensor[];
  return { parameter: updated!, firstMoment: m!, secondMoment: v! };
}

/** The numbers of step `step` (from 1) that every parameter shares; `keep` is 1 where nothing decays. */
export function adamWNumbers(
  { betas }: AdamWConstants,
  step: number,
  learningRate: number,
  weightDecay: number,
): { keep: number; rate: number; correction: number } {
  return {
    keep: 1 - learningRate * weightDecay,
    rate: learningRate / (1 - betas[0] ** step),
    correction: 1 / Math.sqrt(1 - betas[1] ** step),
  };
}
