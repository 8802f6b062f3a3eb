import { gather, grad, Graph, sum } from '@forge/graph';
import { createEngine } from '..';

describe('the gradient of a gather', () => {
  it('sums the gradients of repeated tokens exactly on several threads, every time', async () => {
    const [vocabulary, width, tokens] = [64, 32, 4096];
    const graph = new Graph();
    const table = graph.input('table', 'float32', [vocabulary, width]);
    const ids = Array.from({ length: tokens }, (_, i) => (i * i) % 7);
    const [gradient] = grad(sum(gather(table, graph.constant(ids, [tokens], 'int64'))), [table]);
    const program = await createEngine({ threads: 4 }).compile({ gradient: gradient! });
    const counts = Array.from({ length: vocabulary }, (_, v) => ids.filter((id) => id === v).length);
    for (let run = 0; run < 50; run++) {
      const { host } = await program.run({
        table: { dtype: 'float32', shape: [vocabulary, width], data: new Float32Array(vocabulary * width) },
      });
      host.gradient!.data.forEach((x, i) => {
        if (Number(x) !== counts[Math.floor(i / width)])
          throw new Error(`row ${Math.floor(i / width)}: ${x}`);
      });
    }
    await program.release();
  });
});
