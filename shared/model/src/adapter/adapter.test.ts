import { adapterSchema } from '@forge/config';
import { tiny } from '../generation/generator.fixture';
import { initializeParameters } from '../hugging-face/initialize';
import { trainedAdapter, wholeAdapter } from './adapter.fixture';
import { adapterParameterCount, adapterShapes } from './adapter-factors';
import { initializeAdapter } from './initialize-adapter';
import { mergeAdapter } from './merge-adapter';

const q = 'base_model.model.model.layers.1.self_attn.q_proj';

describe('adapterShapes', () => {
  it('has the names and shapes of PEFT, of all linear layers unless told', () => {
    const shapes = adapterShapes(tiny, { ...adapterSchema.parse({}), rank: 4 });
    expect(shapes.size).toBe(2 * 7 * tiny.layers);
    expect(shapes.get(`${q}.lora_A.weight`)).toEqual([4, 16]);
    expect(shapes.get('base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight')).toEqual([8, 4]);
    expect(shapes.get('base_model.model.model.layers.0.mlp.down_proj.lora_A.weight')).toEqual([4, 32]);
    const values = [...shapes.values()].reduce((sum, [rows, columns]) => sum + rows! * columns!, 0);
    expect(adapterParameterCount(tiny, { ...wholeAdapter, rank: 4 })).toBe(values);
  });

  it('has the targets alone', () => {
    const shapes = adapterShapes(tiny, { rank: 2, alpha: 1, targets: ['up_proj'] });
    expect([...shapes.keys()]).toEqual(
      [0, 1].flatMap((layer) =>
        ['A', 'B'].map(
          (factor) => `base_model.model.model.layers.${layer}.mlp.up_proj.lora_${factor}.weight`,
        ),
      ),
    );
  });

  it('refuses a rank above the width of a layer, and says what would do', () => {
    expect(() => adapterShapes(tiny, { ...wholeAdapter, rank: 9 })).toThrow(
      'adapter.rank: found 9, but model.layers.0.self_attn.k_proj is 8 wide; take 8 at most, or leave k_proj out of adapter.targets',
    );
    expect(adapterShapes(tiny, { ...wholeAdapter, rank: 16, targets: ['q_proj'] }).size).toBe(4);
  });
});

describe('initializeAdapter', () => {
  it('draws A within 1 / sqrt(inputs) and leaves B zero, by seed and name', () => {
    const factors = initializeAdapter(tiny, { ...wholeAdapter, seed: 5 });
    const a = factors.get(`${q}.lora_A.weight`)!.data;
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(1 / 4);
    expect(Math.max(...a.map(Math.abs))).toBeGreaterThan(0.2);
    expect(a.reduce((sum, x) => sum + x * x, 0) / a.length).toBeCloseTo(1 / 16 / 3, 2);
    expect(factors.get(`${q}.lora_B.weight`)!.data.every((x) => x === 0)).toBe(true);
    expect(initializeAdapter(tiny, { ...wholeAdapter, seed: 5 })).toEqual(factors);
    const others = initializeAdapter(tiny, { ...wholeAdapter, seed: 6 });
    expect(others.get(`${q}.lora_A.weight`)).not.toEqual(factors.get(`${q}.lora_A.weight`));
    expect(factors.get(`${q}.lora_A.weight`)).not.toEqual(
      factors.get(`${q.replace('layers.1', 'layers.0')}.lora_A.weight`),
    );
  });
});

describe('mergeAdapter', () => {
  it('adds scale B A, and shares what has no adapter', () => {
    const base = new Map([
      ['model.layers.0.mlp.up_proj.weight', { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
      ['model.norm.weight', { shape: [1], data: Float32Array.of(7) }],
    ]);
    const name = 'base_model.model.model.layers.0.mlp.up_proj.lora_';
    const factors = new Map([
      [`${name}A.weight`, { shape: [1, 3], data: Float32Array.of(1, 0, -1) }],
      [`${name}B.weight`, { shape: [2, 1], data: Float32Array.of(2, 3) }],
    ]);
    const merged = mergeAdapter(base, factors, 0.5);
    expect([...merged.get('model.layers.0.mlp.up_proj.weight')!.data]).toEqual([2, 2, 2, 5.5, 5, 4.5]);
    expect(merged.get('model.norm.weight')).toBe(base.get('model.norm.weight'));
    expect(base.get('model.layers.0.mlp.up_proj.weight')!.data[0]).toBe(1);
  });

  it('refuses factors that do not fit the model', () => {
    const base = initializeParameters(tiny, 1);
    const other = trainedAdapter({ ...tiny, layers: 3 });
    expect(() => mergeAdapter(base, other, 1)).toThrow(
      'model.layers.2.self_attn.q_proj.lora_A.weight: the model has no such linear layer',
    );
    const wide = trainedAdapter({ ...tiny, intermediateSize: 24 });
    expect(() => mergeAdapter(base, wide, 1)).toThrow(
      'model.layers.0.mlp.gate_proj: found factors [3, 16] and [24, 3], but the layer is [32, 16]',
    );
    const half = trainedAdapter(tiny);
    half.delete(`${q}.lora_B.weight`);
    expect(() => mergeAdapter(base, half, 1)).toThrow(
      `${q}.lora_A.weight: the other factor of its layer is missing`,
    );
  });
});
