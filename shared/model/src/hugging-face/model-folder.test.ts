import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HubServer } from '@forge/testing';
import { parametersHash } from '@forge/weights';
import { loadModel } from './hugging-face';
import { modelFolder } from './model-folder';

const base = join(__dirname, '../../../../models/arithmetic');
const FILES = Object.fromEntries(readdirSync(base).map((name) => [name, readFileSync(join(base, name))]));
const { 'model.safetensors': WEIGHTS, ...DESCRIBED } = FILES;

let server: HubServer;
let dir: string;
const before = process.cwd();
beforeEach(async () => {
  server = await HubServer.start([
    {
      name: 'me/tiny',
      files: { ...FILES, 'modeling.py': 'code', 'pytorch_model.bin': 'pickle', 'onnx/model.onnx': '' },
    },
  ]);
  dir = mkdtempSync(join(tmpdir(), 'forge-folder-'));
  process.env.HF_ENDPOINT = server.endpoint;
  process.env.HF_HOME = dir;
  process.chdir(dir);
});
afterEach(async () => {
  process.chdir(before);
  delete process.env.HF_ENDPOINT;
  delete process.env.HF_HOME;
  delete process.env.HF_HUB_OFFLINE;
  await server.stop();
  rmSync(dir, { recursive: true });
});

describe('a model by its name', () => {
  it('is the same model as that of the directory, by the commit from then on', async () => {
    const { dir: folder, model } = await modelFolder('me/tiny');
    expect(model).toBe(`me/tiny@${server.commit('models/me/tiny')}`);
    expect(readdirSync(folder).sort()).toEqual(Object.keys(FILES).sort());
    const [local, loaded] = [await loadModel(base), await loadModel(model)];
    expect(parametersHash(loaded.parameters)).toBe(parametersHash(local.parameters));
    expect(loaded.dir).toBe(folder);
  });

  it('needs no hub once it is pinned and there, nor offline', async () => {
    const first = await modelFolder('me/tiny');
    server.put({ name: 'me/tiny', files: { ...FILES, 'config.json': '{}' } });
    server.requests.length = 0;
    expect(await modelFolder(first.model)).toEqual(first);
    process.env.HF_HUB_OFFLINE = '1';
    expect(await modelFolder('me/tiny')).toEqual(first);
    expect(server.requests).toEqual([]);
  });

  it('fetches what another tool that fetched a part of it left out', async () => {
    const template = { ...FILES, 'chat_template.jinja': '{{ messages }}' };
    server.put({ name: 'me/chat', files: template });
    const { HubRepository } = await import('@forge/hub');
    const part = await HubRepository.open('model', { name: 'me/chat', revision: null });
    await part.download(Object.keys(FILES));
    const { dir: folder } = await modelFolder('me/chat');
    expect(readFileSync(join(folder, 'chat_template.jinja'), 'utf8')).toBe('{{ messages }}');
  });

  it('has the shards that its index lists, and no others', async () => {
    const index = {
      weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors', c: '../../evil.safetensors' },
    };
    const shards = {
      'model-1.safetensors': 'one',
      'model-2.safetensors': 'two',
      'model-3.safetensors': 'three',
    };
    server.put({
      name: 'me/sharded',
      files: { ...DESCRIBED, ...shards, 'model.safetensors.index.json': JSON.stringify(index) },
    });
    const first = await modelFolder('me/sharded');
    const names = readdirSync(first.dir).filter((name) => name.endsWith('.safetensors'));
    expect(names.sort()).toEqual(['model-1.safetensors', 'model-2.safetensors']);
    server.requests.length = 0;
    expect(await modelFolder(first.model)).toEqual(first);
    expect(server.requests).toEqual([]);
  });
});

describe('a name that is a directory as well', () => {
  it('is the directory', async () => {
    mkdirSync(join(dir, 'me/tiny'), { recursive: true });
    expect(await modelFolder('me/tiny')).toEqual({ dir: 'me/tiny', model: 'me/tiny' });
    expect(server.requests).toEqual([]);
  });

  it('and neither is said to be neither, with what is near', async () => {
    mkdirSync(join(dir, 'models/tiny'), { recursive: true });
    await expect(modelFolder('models/tinny')).rejects.toMatchObject({
      code: 'CONFIG_MODEL_MISSING',
      message: `there is no directory models/tinny (did you mean models/tiny?), and ${server.endpoint} has no model models/tinny; one that is private needs HF_TOKEN`,
    });
    await server.stop();
    await expect(modelFolder('models/tinny')).rejects.toMatchObject({
      code: 'TRANSIENT_HUB_UNREACHABLE',
      message:
        /^there is no directory models\/tinny \(did you mean models\/tiny\?\), and http.* does not answer \(ECONNREFUSED\), after 1 attempt; .* or name a directory$/,
    });
  });

  it('is not looked for on the hub when it has the form of a path only', async () => {
    for (const path of ['./models/none', '/models/none', 'none', 'a/b/c'])
      expect(await modelFolder(path)).toEqual({ dir: path, model: path });
    await expect(loadModel('./none')).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
    expect(server.requests).toEqual([]);
  });
});

describe('a repository that is no use', () => {
  it.each([
    [
      'weights that are pickle',
      { ...DESCRIBED, 'pytorch_model.bin': 'x' },
      'CONFIG_MODEL_UNSUPPORTED',
      /found pytorch_model\.bin, expected model\.safetensors; pickle .* is never fetched/,
    ],
    [
      'no tokenizer.json',
      { ...FILES, 'tokenizer.json': undefined, 'tokenizer.model': 'x' },
      'CONFIG_TOKENIZER_INVALID',
      /found tokenizer\.model, tokenizer_config\.json, expected tokenizer\.json; make it with transformers/,
    ],
    [
      'an adapter',
      { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'x' },
      'CONFIG_MODEL_UNSUPPORTED',
      /found an adapter, expected whole weights/,
    ],
    [
      'no config.json',
      { 'tokenizer.json': '{}', 'model.safetensors': WEIGHTS },
      'CONFIG_MODEL_MISSING',
      /has no file config\.json/,
    ],
  ])('is refused before anything large is fetched: %s', async (_, files, code, message) => {
    const given = Object.entries(files).filter(([, bytes]) => bytes !== undefined);
    server.put({ name: 'me/useless', files: Object.fromEntries(given) as Record<string, string> });
    await expect(modelFolder('me/useless')).rejects.toMatchObject({ code, message });
    expect(server.requests.filter(({ isOfStore }) => isOfStore)).toEqual([]);
  });
});
