import { loadRecipe } from './load-recipe';
import { join } from 'node:path';
import { engineOfReplica, generationServer } from './generation-server';

const recipes = join(__dirname, '../../../infra/recipes');
const engineOf = (...overrides: string[]) =>
  loadRecipe('arithmetic-grpo', overrides, { searchDirs: [recipes] }).policy.engine;
const url = 'http://127.0.0.1:8000';

describe('policy.engine', () => {
  it('is an engine of this machine, or a server with its defaults', () => {
    expect(generationServer(engineOf())).toBeNull();
    expect(generationServer(engineOf(`policy.engine.vllm.url=${url}`))).toEqual({
      ...{ kind: 'vllm', url, update: 'drain', canaryTolerance: 0.25, timeoutMs: 600_000, waitSeconds: 60 },
    });
    expect(
      generationServer(engineOf(`policy.engine={ sglang: { url: ${url}, update: pause } }`)),
    ).toMatchObject({
      ...{ kind: 'sglang', update: 'pause' },
    });
  });

  it.each([
    [
      'policy.engine=cuda',
      /policy\.engine: found "cuda", expected one of auto, onnx, tensorflow, or a server/,
    ],
    ['policy.engine.vllm.model=m', /policy\.engine: .+vllm\.url/],
    ['policy.engine.vllm.url=ftp://host', /policy\.engine\.vllm\.url: found "ftp:.+, expected/],
    ['policy.engine.vllm.url=http://user:secret@host', /a key comes by apiKeyEnv/],
    [
      'policy.engine.vlm.url=http://host',
      /policy\.engine\.vlm: unknown key; did you mean policy\.engine\.vllm\?/,
    ],
    ['policy.engine.vllm.uptade=pause', /unknown key; did you mean policy\.engine\.vllm\.update\?/],
    [`policy.engine={ vllm: { url: ${url} }, sglang: { url: ${url} } }`, /one of vllm, sglang and openai/],
  ])('refuses %s in words', (override, message) => {
    expect(() => engineOf(override)).toThrow(message);
  });
});

describe('engineOfReplica', () => {
  const engine = {
    vllm: {
      ...{ url: ['http://a', 'http://b', 'http://c'], update: 'drain' as const },
      timeoutMs: 1,
      waitSeconds: 1,
      canaryTolerance: 1,
    },
  };
  it('shares out the addresses', () => {
    const urls = ['0', '1', '2', '3', 'pod-a', 'pod-b'].map(
      (replica) => generationServer(engineOfReplica(engine, replica))!.url,
    );
    expect(urls.slice(0, 4)).toEqual(['http://a', 'http://b', 'http://c', 'http://a']);
    expect(urls[4]).not.toBe(urls[5]);
    expect(engineOfReplica('onnx', '1')).toBe('onnx');
  });
});
