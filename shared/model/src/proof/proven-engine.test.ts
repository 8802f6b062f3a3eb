import { createEngine, type Engine, type Program } from '@forge/engine';
import { isBody, reachable, type LoopBody, type Node, type Tensor } from '@forge/graph';
import { missingWebGpu } from '@forge/testing';
import { proveEngine, provenEngine } from './proven-engine';

const missing = missingWebGpu();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);

/** Every node that the outputs need, those of loops included. */
function nodesOf(outputs: readonly Tensor[]): Node[] {
  return reachable(outputs).nodes.flatMap((node) => {
    const { body } = node.attributes;
    return isBody(body) ? [node, ...nodesOf((body as LoopBody).outputs)] : [node];
  });
}

/** An engine that computes another op in place of one. */
function engineWith(op: string, instead: string): Engine {
  const engine = createEngine({ threads: 1 });
  return {
    options: { ...engine.options, device: 'webgpu' },
    memory: engine.memory,
    put: (tensor) => engine.put(tensor),
    compile: async (outputs, options): Promise<Program> => {
      const taken = nodesOf(Object.values(outputs)).filter(({ op: { type } }) => type === op);
      const right = taken.map((node) => node.op);
      for (const node of taken) Object.assign(node, { op: { ...node.op, type: instead } });
      try {
        return await engine.compile(outputs, options);
      } finally {
        taken.forEach((node, i) => Object.assign(node, { op: right[i]! }));
      }
    },
  };
}

/** An engine whose results are changed on their way out. */
function engineThatSpoils(name: string, spoilt: number): Engine {
  const engine = createEngine({ threads: 1 });
  return {
    options: engine.options,
    memory: engine.memory,
    put: (tensor) => engine.put(tensor),
    compile: async (outputs, options): Promise<Program> => {
      const program = await engine.compile(outputs, options);
      const { inputNames, outputNames } = program;
      return {
        ...{ inputNames, outputNames, release: () => program.release() },
        run: async (feeds, how) => {
          const results = await program.run(feeds, how);
          results.host[name]?.data.fill(spoilt as never);
          return results;
        },
      };
    },
  };
}

describe('proveEngine', () => {
  it.each([
    ['Sigmoid', 'Tanh'],
    ['Softmax', 'LogSoftmax'],
    ['Exp', 'Softplus'],
    ['ArgMax', 'ArgMin'],
  ])('refuses an engine that computes %s as %s, and names the op', async (op, instead) => {
    await expect(proveEngine(engineWith(op, instead))).rejects.toMatchObject({
      code: 'NUMERIC_DEVICE_WRONG',
      message: expect.stringMatching(`^onnx on webgpu computes wrongly: ${op} of \\[.*gives .* in place of`),
      details: { engine: 'onnx', device: 'webgpu', op },
    });
  });

  it.each([0, NaN])('says what comes out as %s where each op by itself is right', async (spoilt) => {
    await expect(proveEngine(engineThatSpoils('loss', spoilt))).rejects.toMatchObject({
      code: 'NUMERIC_DEVICE_WRONG',
      message: expect.stringContaining(`loss gives ${spoilt} in place of -0.01`),
      details: { op: null, result: 'loss' },
    });
  });

  (missing === null ? it : it.skip)('finds WebGPU right', async () => {
    const engine = await provenEngine({ threads: 1, device: 'webgpu' });
    expect(engine.options.device).toBe('webgpu');
  });
});
