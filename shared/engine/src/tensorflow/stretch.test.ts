import {
  add,
  cast,
  concat,
  cumsum,
  equal,
  expand,
  Graph,
  grad,
  greaterOrEqual,
  less,
  lessOrEqual,
  logicalAnd,
  loop,
  matmul,
  mul,
  not,
  pow,
  rmsNorm,
  slice,
  softmax,
  sum,
  transpose,
  where,
  zeros,
  type Tensor,
} from '@forge/graph';
import { missingTensorflow } from '@forge/testing';
import { OP_CASES } from '../conformance/op-cases.conformance';
import { expectReference, feedsOf, graphOf } from '../conformance/op-values.conformance';
import { SHAPE_RULES } from './op-shapes';
import { Runtime } from './runtime';
import { OpStep, type Frame } from './step';
import { TensorflowEngine } from './tensorflow-engine';

const missing = missingTensorflow();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);
const describeHere = missing === null ? describe : describe.skip;

const engine = new TensorflowEngine({
  ...{ engine: 'tensorflow', device: 'cpu', threads: 2, mathMode: 'float32' },
});

const feedOf = (rows: number): { shape: number[]; data: Float64Array } => ({
  shape: [rows, 4],
  data: Float64Array.from({ length: 4 * rows }, (_, i) => Math.fround(Math.sin(i + rows))),
});

afterEach(() => jest.restoreAllMocks());

describeHere('a shape rule', () => {
  it('gives the shape that TensorFlow gives, for every op that has one', async () => {
    const seen = new Set<string>();
    const { compute } = OpStep.prototype;
    jest.spyOn(OpStep.prototype, 'compute').mockImplementation(function (
      this: OpStep,
      frame: Frame,
      runtime: Runtime,
    ) {
      const results = compute.call(this, frame, runtime);
      const rule = SHAPE_RULES.get(this.name);
      if (rule === undefined) return results;
      seen.add(this.name);
      const operands = this.args.map((arg) => {
        if (typeof arg === 'number') return frame[arg]!.shape;
        const numbers = arg.give(...arg.from.map((slot) => frame[slot]!));
        return typeof numbers === 'number' ? [numbers] : numbers;
      });
      expect([this.name, rule(operands, this)]).toEqual([this.name, results[0]!.shape]);
      return results;
    });
    for (const opCase of OP_CASES) {
      const { y, loss, inputs } = graphOf(opCase, 'known');
      const gradients = grad(loss, inputs).map((dx, i) => [`d${i}`, dx]);
      await expectReference(engine, { y, ...Object.fromEntries(gradients) }, feedsOf(opCase));
    }
    const graph = new Graph();
    const x = graph.input('x', 'float32', ['B', 4]);
    const isSmall = logicalAnd(lessOrEqual(x, 0.5), not(equal(x, 0)));
    const outputs = {
      chosen: where(logicalAnd(isSmall, greaterOrEqual(x, -0.5)), pow(mul(x, x), 1.5), cumsum(x, 1)),
      isLess: cast(less(x, sum(x, [1], { keepDims: true })), 'float32'),
      rows: expand(sum(x, [0], { keepDims: true }), ['B', 4]),
      filled: add(zeros(graph, ['B', 1]), x),
    };
    await expectReference(engine, outputs, { x: feedOf(3) });
    expect([...SHAPE_RULES.keys()].filter((name) => !seen.has(name))).toEqual([]);
  });
});

describeHere('a long body of a loop', () => {
  /** Grows by a row a round; all but what follows the loop inside is one stretch. */
  function outputsOf(graph: Graph): Record<string, Tensor> {
    const x = graph.input('x', 'float32', ['B', 4]);
    const square = graph.constant(
      [...new Array(16).keys()].map((i) => Math.cos(i) / 2),
      [4, 4],
    );
    const { state, scan } = loop({
      trips: 3,
      state: [x],
      stateShapes: [['R', 4]],
      body: (counter, [rows]) => {
        let y = rows!;
        for (let i = 0; i < 12; i++) {
          y = rmsNorm(
            matmul(y, square, { transposeB: i % 2 === 0 }),
            graph.constant([1, 2, 0.5, 1], [4]),
            1e-5,
          );
          y = add(softmax(matmul(transpose(y, [1, 0]), y)), slice(add(y, cast(counter, 'float32')), 0, 0, 1));
          y = concat([rows!, slice(y, 0, 0, 2)], 0);
        }
        return { state: [slice(y, 0, 1, 4)], scan: [sum(y, [0])] };
      },
    });
    return { state: state[0]!, scan: scan[0]! };
  }

  it('is computed by one call a round, whatever its lengths, and leaves nothing behind', async () => {
    const runs = jest.spyOn(Runtime.prototype, 'runGraph');
    const before = engine.tensors;
    for (const rows of [5, 3, 9]) await expectReference(engine, outputsOf(new Graph()), { x: feedOf(rows) });
    expect(runs).toHaveBeenCalledTimes(9);
    // Another program's graph is the same one.
    expect(new Set(runs.mock.calls.map(([{ key }]) => key)).size).toBe(1);
    expect(engine.tensors - before).toBeLessThan(24);
    for (let i = 0; i < 3; i++) await expectReference(engine, outputsOf(new Graph()), { x: feedOf(5) });
    const steady = engine.tensors;
    for (let i = 0; i < 3; i++) await expectReference(engine, outputsOf(new Graph()), { x: feedOf(5) });
    expect(engine.tensors).toBe(steady);
  });
});
