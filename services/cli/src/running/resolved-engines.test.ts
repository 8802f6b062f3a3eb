import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recipeSchema, type Recipe } from '@forge/config';
import { midConfig, midModels, smallConfig } from '../planning/planning.fixture';
import { requireEngines, withEngines } from './resolved-engines';

const before = { ...process.env };
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'forge-engines-'));
  process.env = { ...before, XDG_CACHE_HOME: dir };
  delete process.env.FORGE_LIBTENSORFLOW;
});
afterEach(() => {
  process.env = before;
  rmSync(dir, { recursive: true });
});

/** Makes TensorFlow look installed. */
function install(): void {
  for (const file of ['tfjs_binding.node', 'libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'])
    writeFileSync(join(dir, file), '');
  process.env.FORGE_LIBTENSORFLOW = dir;
}

function recipe(sections: object): Recipe {
  return recipeSchema.parse({
    name: 'test',
    model: 'models/none',
    steps: 5,
    task: { kind: 'arithmetic' },
    algorithm: { name: 'grpo' },
    rewards: [{ name: 'exact' }],
    ...sections,
  });
}

const enginesOf = ({ trainer, policy, reference }: Recipe): unknown[] =>
  [trainer, policy, reference].map(({ engine }) => engine);
const LARGE = midModels;
const SMALL = { config: smallConfig, reference: smallConfig };

describe('withEngines', () => {
  it('takes onnx where TensorFlow is not installed', () => {
    expect(enginesOf(withEngines(recipe({}), LARGE))).toEqual(['onnx', 'onnx', 'onnx']);
  });

  it('takes tensorflow to train a large model where it is installed, and for all of it on CUDA', () => {
    install();
    const asked = recipe({ reference: { device: 'cuda' } });
    const resolved = withEngines(asked, LARGE);
    expect(enginesOf(resolved)).toEqual(['tensorflow', 'onnx', 'tensorflow']);
    expect(enginesOf(withEngines(asked, SMALL))).toEqual(['onnx', 'onnx', 'onnx']);
    const named = recipe({ trainer: { engine: 'onnx' }, policy: { engine: 'tensorflow' } });
    expect(enginesOf(withEngines(named, LARGE))).toEqual(['onnx', 'tensorflow', 'onnx']);
    rmSync(join(dir, 'tfjs_binding.node'));
    expect(withEngines(resolved, LARGE)).toEqual(resolved);
  });

  it('says nothing of a reference model that is not used', () => {
    const asked = recipe({ reference: { replicas: 0, engine: 'onnx', mathMode: 'bfloat16' } });
    expect(withEngines(asked, LARGE).reference).toEqual(asked.reference);
  });

  it('chooses for a reward model by its own size, and names its place', () => {
    install();
    const rewards = [{ name: 'exact' }, { name: 'model', model: 'models/judge', device: 'cuda' }];
    const asked = recipe({ rewards });
    const chosen = withEngines(asked, { ...SMALL, rewardModel: { ...midConfig, head: 'score' } });
    expect(chosen.rewards).toEqual([asked.rewards[0], { ...asked.rewards[1], engine: 'tensorflow' }]);
    expect(enginesOf(chosen)).toEqual(['onnx', 'onnx', 'onnx']);
    const wrong = recipe({
      rewards: [{ ...rewards[1], device: 'cpu', engine: 'onnx', mathMode: 'bfloat16' }],
    });
    expect(() => withEngines(wrong, { ...SMALL, rewardModel: smallConfig })).toThrow('rewards.0.mathMode: ');
    rmSync(join(dir, 'tfjs_binding.node'));
    expect(() => requireEngines({ ...chosen, reference: { ...chosen.reference, replicas: 0 } })).toThrow(
      'rewards.1.engine: found tensorflow',
    );
  });

  it('refuses bfloat16 by onnxruntime on the CPU, and takes tensorflow where it may', () => {
    const asked = recipe({ policy: { engine: 'onnx', mathMode: 'bfloat16' } });
    expect(() => withEngines(asked, LARGE)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message:
          'policy.mathMode: found bfloat16; onnxruntime has no bfloat16 products on cpu; set policy.engine=tensorflow, or policy.mathMode=float32',
      }) as Error,
    );
    expect(withEngines(recipe({ trainer: { mathMode: 'bfloat16' } }), SMALL).trainer.engine).toBe(
      'tensorflow',
    );
  });
});

describe('requireEngines', () => {
  it('refuses what is not installed by the command that installs it', () => {
    const asked = recipe({ trainer: { engine: 'tensorflow', device: 'cuda' } });
    expect(() => requireEngines(asked)).toThrow(
      expect.objectContaining({
        code: 'ENGINE_NOT_INSTALLED',
        message:
          'trainer.engine: found tensorflow; TensorFlow is not installed for GPUs; run `npx forge engine install tensorflow --gpu`',
      }) as Error,
    );
    install();
    expect(() => requireEngines(asked)).not.toThrow();
    rmSync(join(dir, 'libtensorflow_cc.so.2'));
    expect(() => requireEngines(asked)).toThrow(/FORGE_LIBTENSORFLOW names, lacks libtensorflow_cc\.so\.2/);
  });
});
