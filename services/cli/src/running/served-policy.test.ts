import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { recipeSchema } from '@forge/config';
import { checkServedPolicy, requireServers } from './served-policy';

const url = 'http://127.0.0.1:8000';
const recipe = (engine: object | string, sections: object = {}) =>
  recipeSchema.parse({
    ...{ name: 'served', model: 'models/none', steps: 5, task: { kind: 'arithmetic' } },
    ...{ algorithm: { name: 'grpo' }, rewards: [{ name: 'exact' }], policy: { engine } },
    ...sections,
  });
const corrected = { algorithm: { name: 'grpo', correction: [{ name: 'tis' }] } };
const fixed = { maxStaleness: Infinity, evaluation: { everySteps: 0 } };

describe('checkServedPolicy', () => {
  it('says nothing of engines of this machine, and of servers whose log-probs are corrected', () => {
    expect(checkServedPolicy(recipe('auto'))).toBeNull();
    expect(checkServedPolicy(recipe({ vllm: { url } }, corrected))).toBeNull();
    const truncated = { algorithm: { name: 'grpo', truncatedImportanceSampling: 2 } };
    expect(checkServedPolicy(recipe({ sglang: { url } }, truncated))).toBeNull();
  });

  it('warns where nothing corrects for a server', () => {
    expect(checkServedPolicy(recipe({ sglang: { url } }))).toMatch(
      /^policy\.engine: .+ algorithm\.correction\.0\.name=tis/,
    );
  });

  it.each([
    ['policy.engine', {}],
    ['evaluation.everySteps', { maxStaleness: Infinity }],
    ['stopAtAccuracy', { ...fixed, stopAtAccuracy: 0.9 }],
    ['adapter', { ...fixed, adapter: {} }],
    ['trainer.publishDtype', { ...fixed, trainer: { publishDtype: 'BF16' } }],
  ])('refuses to train at a server that takes no weights, by %s', (field, sections) => {
    const check = () => checkServedPolicy(recipe({ openai: { url } }, sections));
    expect(check).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(check).toThrow(new RegExp(`^${field}: found`));
  });

  it('refuses more replicas than servers where whole weights are put', () => {
    const policy = { replicas: 3, engine: { vllm: { url: [url, url] } } };
    expect(() => checkServedPolicy(recipe('auto', { policy, ...corrected }))).toThrow(
      /^policy\.replicas: found 3, expected at most 2/,
    );
    expect(
      checkServedPolicy(recipe('auto', { policy: { ...policy, replicas: 2 }, ...corrected })),
    ).toBeNull();
    expect(checkServedPolicy(recipe('auto', { policy, adapter: {}, ...corrected }))).toBeNull();
  });

  it('distils from a server that takes no weights where any lag is allowed', () => {
    expect(checkServedPolicy(recipe({ openai: { url } }, { ...fixed, ...corrected }))).toBeNull();
  });

  it.each([
    [{ temperature: 0.7, topK: 20 }, /^sampling\.topK: found 20, expected 0 with vllm/],
    [{ temperature: 0.7, topP: 0.9 }, /^sampling\.topP: found 0.9, expected 1 with vllm/],
  ])('refuses sampling %j, whose log-probs vLLM does not give', (sampling, message) => {
    expect(() => checkServedPolicy(recipe({ vllm: { url } }, { sampling }))).toThrow(message);
    expect(checkServedPolicy(recipe({ sglang: { url } }, { sampling, ...corrected }))).toBeNull();
    expect(
      checkServedPolicy(
        recipe({ vllm: { url } }, { sampling: { ...sampling, temperature: 1 }, ...corrected }),
      ),
    ).toBeNull();
  });
});

describe('requireServers', () => {
  it('takes a server that says anything, and names the one of several that is not there', async () => {
    await requireServers(recipe('onnx'));
    const server = createServer((_, response) => response.writeHead(404).end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const there = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await requireServers(recipe({ sglang: { url: there } }));
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const absent = `http://127.0.0.1:${(gone.address() as AddressInfo).port}`;
    gone.close();
    await expect(requireServers(recipe({ sglang: { url: [there, absent] } }))).rejects.toMatchObject({
      code: 'TRANSIENT_GENERATOR_UNREACHABLE',
      message: expect.stringMatching(
        `^policy\\.engine\\.sglang\\.url: ${absent} does not answer \\(.*ECONNREFUSED`,
      ),
    });
    server.close();
  });
});
