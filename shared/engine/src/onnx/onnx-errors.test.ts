import { add, Graph, sum } from '@forge/graph';
import { missingWebGpu } from '@forge/testing';
import { createEngine, type HostTensor } from '..';
import { runError, sessionError } from './onnx-errors';

const missing = missingWebGpu();
if (missing !== null) process.stderr.write(`skipped: ${missing}\n`);

describe('errors of onnxruntime', () => {
  it.each([
    ['[Device] is lost.', 'TRANSIENT_DEVICE_LOST'],
    ['vkQueueSubmit failed with VK_ERROR_DEVICE_LOST', 'TRANSIENT_DEVICE_LOST'],
    ['CUDA failure 719: unspecified launch failure ; GPU=0', 'TRANSIENT_DEVICE_LOST'],
    ['Buffer size (6400000000) exceeds the max buffer size limit (1073741824).', 'CAPACITY_DEVICE_MEMORY'],
    ['vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY', 'CAPACITY_DEVICE_MEMORY'],
    ['CUDA failure 2: out of memory ; GPU=0', 'CAPACITY_DEVICE_MEMORY'],
    ['BFC Arena ran out of memory trying to allocate 8 bytes', 'CAPACITY_DEVICE_MEMORY'],
    ['Failed to allocate memory for requested buffer of size 68719476736', 'CAPACITY_DEVICE_MEMORY'],
    ['CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED', 'CAPACITY_DEVICE_MEMORY'],
    ['std::bad_alloc', 'CAPACITY_DEVICE_MEMORY'],
    ['Got invalid dimensions for input: x', 'SHAPE_MISMATCH'],
  ])('are told apart: %s', (reason, code) => {
    expect(runError('webgpu', new Error(reason)).code).toBe(code);
  });

  it('name the device that is not there', () => {
    const error = sessionError('webgpu', new Error('Failed to get a WebGPU adapter: No supported adapters'));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', details: { device: 'webgpu' } });
  });

  (missing === null ? it : it.skip)(
    'say what to lower when a device has too little memory, and it goes on',
    async () => {
      const graph = new Graph();
      const outer = sum(add(graph.input('x', 'float32', ['R', 1]), graph.input('y', 'float32', [1, 'C'])));
      const program = await createEngine({ threads: 1, device: 'webgpu' }).compile({ outer });
      const run = (size: number) => {
        const ones = (shape: number[]): HostTensor => ({
          ...{ dtype: 'float32', shape },
          data: new Float32Array(size).fill(1),
        });
        return program.run({ x: ones([size, 1]), y: ones([1, size]) });
      };
      await expect(run(40_000)).rejects.toMatchObject({
        code: 'CAPACITY_DEVICE_MEMORY',
        message: expect.stringContaining('trainer.microBatchTokens'),
      });
      expect((await run(100)).host.outer!.data).toEqual(Float32Array.of(20_000));
      await program.release();
    },
  );
});
