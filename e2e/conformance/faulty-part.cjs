// Preloaded into a service: lets it break the wire in the ways that FAULTS names, separated by commas.
const { createHash } = require('node:crypto');
const { readFileSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { dirname, join } = require('node:path');
const { isMainThread } = require('node:worker_threads');

const faults = (process.env.FAULTS ?? '').split(',');
const has = (fault) => faults.includes(fault);
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** An announcement whose blob `change` has changed, consistently. */
function republished(announcement, change) {
  const { path, version, epoch } = announcement;
  const bytes = change(readFileSync(path));
  const hash = sha256(bytes);
  const blob = join(dirname(path), `${hash}.safetensors`);
  writeFileSync(blob, bytes);
  changeManifest(announcement, (manifest) => ({ ...manifest, sha256: hash }));
  return { ...announcement, path: blob, sha256: hash, version, epoch };
}

function changeManifest({ path, version, epoch }, change) {
  const file = join(dirname(path), `v${version}-e${epoch}.json`);
  writeFileSync(file, JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8')))));
}

const withRenamedTensor = (bytes) =>
  Buffer.from(bytes.toString('latin1').replace('model.norm.weight', 'model.form.weight'), 'latin1');
const withNaN = (bytes) => {
  const spoilt = Buffer.from(bytes);
  spoilt.writeFloatLE(NaN, bytes.length - 4);
  return spoilt;
};

/** Lets a method do something else; `faulty` gets what it did before. It stays the endpoint that it was. */
function spoil(owner, method, faulty) {
  const original = owner[method];
  owner[method] = function (...args) {
    return faulty.call(this, original.bind(this), ...args);
  };
  Object.defineProperty(owner[method], 'length', { value: original.length });
  for (const symbol of Object.getOwnPropertySymbols(original)) owner[method][symbol] = original[symbol];
}

/** Spoils the prototypes of the parts of a RunState, which no module exports, when a run is asked for its recipe. */
function spoilParts(prototype, act) {
  let isSpoilt = false;
  spoil(prototype, 'config', function (original) {
    const parts = new Proxy(this, { get: (run, name) => Object.getPrototypeOf(run[name]) });
    if (!isSpoilt) act(parts);
    isSpoilt = true;
    return original();
  });
}

function spoilTrainer({ RunState: { prototype } }) {
  /** The announcement before, and the epoch this trainer took. */
  let [before, own] = [null, null];
  spoilParts(prototype, ({ weights, streams, rejections, controls }) => {
    spoil(weights, 'announce', (original, announcement) => {
      let told = announcement;
      if (has('wrong-hash')) told = { ...told, sha256: 'f'.repeat(64) };
      if (has('renamed-tensor')) told = republished(told, withRenamedTensor);
      before = told;
      return original(told);
    });
    const nothing = { publish: null, rollback: null, rollbacksInARow: 0 };
    if (has('ignores-requests')) spoil(weights, 'wanted', () => Promise.resolve(nothing));
    if (has('skips-pending')) spoil(streams, 'readOwn', () => Promise.resolve([]));
    if (has('dies-of-nonsense'))
      spoil(rejections, 'rejectBatch', () => Promise.reject(new Error('what is that?')));
    if (has('ignores-fence'))
      spoil(controls, 'steering', async (original) => ({ ...(await original()), epoch: own }));
  });
  spoil(prototype, 'newEpoch', async (original) => (own = await original()));
  spoil(prototype, 'commitStep', async function (original, step, announcement, rolledBack, metrics) {
    let told = announcement;
    if (has('nan-weights') && step === 0) told = republished(told, withNaN);
    if (has('unchanged-weights') && step === 0) {
      const { path, sha256 } = before;
      changeManifest(told, (manifest) => ({ ...manifest, sha256 }));
      told = { ...told, path, sha256 };
    }
    if (has('no-groups')) changeManifest(told, (manifest) => ({ ...manifest, trained: null }));
    if (has('ignores-fence'))
      told = { ...told, epoch: Number(await this.redis.hget(this.keys.run, 'epoch')) };
    await original(step, told, rolledBack, has('no-metrics') ? { loss: 1 } : metrics);
    if (has('writes-state') && step === 0) await this.redis.hincrby(this.keys.run, 'nextIndex', 1);
  });
  if (has('ignores-lag'))
    spoil(prototype, 'readBatch', async (original, ...args) => {
      const leased = await original(...args);
      return leased && { ...leased, maxStaleness: 1000 };
    });
  if (has('never-saves'))
    spoil(prototype, 'emit', (original, event) =>
      event.state === 'saved' ? Promise.resolve() : original(event),
    );
}

function spoilPolicy({ RunState: { prototype } }) {
  const { decode, encode, groupSchema } = require('../../shared/contracts/dist/index.js');
  spoilParts(prototype, ({ weights, deadLetters }) => {
    if (has('never-asks')) spoil(weights, 'askAgain', () => Promise.resolve());
    if (has('no-letters')) spoil(deadLetters, 'keep', () => Promise.resolve());
  });
  spoil(prototype, 'publishGroup', async function (original, index, payload, origin, event) {
    const group = decode(groupSchema, payload, 'group');
    const [first] = group.episodes;
    const chosen = first.mask.indexOf(1);
    if (has('nan-logprobs')) first.logprobs[chosen] = NaN;
    if (has('other-logprobs')) first.logprobs[chosen] -= 1;
    if (has('short-mask')) first.mask = first.mask.slice(1);
    if (has('trains-prompt')) {
      first.mask[chosen - 1] = 1;
      first.versions[chosen - 1] = first.versions[chosen];
    }
    if (has('too-few')) group.episodes.pop();
    for (const one of group.episodes) {
      if (has('old-version')) one.versions.fill(0, one.mask.indexOf(1));
      if (has('no-rewards')) one.rewards = {};
    }
    if (has('other-hash'))
      group.weightHashes = Object.fromEntries(
        Object.keys(group.weightHashes).map((version) => [version, 'f'.repeat(64)]),
      );
    const bytes = encode(group);
    const answer = await original(index, bytes, has('no-origin') ? undefined : origin, event);
    if (has('publishes-twice') && answer === 'duplicate')
      await this.redis.xadd(this.keys.groups, '*', 'index', String(index), 'payload', bytes);
    return answer;
  });
  if (has('publishes-twice'))
    spoil(prototype, 'standing', async (original, job) => {
      const standing = await original(job);
      return standing === 'done' ? 'due' : standing;
    });
  if (has('no-letters')) spoil(prototype, 'rejectGroup', () => Promise.resolve(false));
  if (has('no-answers'))
    spoil(prototype, 'emit', (original, event) =>
      event.kind === 'evaluation' ? Promise.resolve() : original(event),
    );
}

function spoilReward({ Reward: { prototype } }) {
  spoil(prototype, 'score', async (original, items) => {
    if (has('dies-of-nonsense') && items[0]?.sample?.id === '') process.exit(7);
    const results = await original(has('reverses') ? [...items].reverse() : items);
    if (has('nan-scores')) return results.map(() => ({ score: { reward: NaN, rewards: {} } }));
    if (has('wrong-sum'))
      return results.map(({ score }) => ({ score: { ...score, reward: score.reward + 1 } }));
    return has('too-few') ? results.slice(1) : results;
  });
}

if (has('exit-code')) {
  const { exit } = process;
  process.exit = (code) => exit.call(process, code === 0 ? 3 : code);
}

const ACTS = {
  trainer: ['broker', spoilTrainer],
  policy: ['broker', spoilPolicy],
  reward: ['rl-actors', spoilReward],
};
/** The package by whose classes a service does its work, and what spoils them; its threads stay as they are. */
const [name, act] = isMainThread ? ACTS[/services\/(\w+)\//.exec(process.argv[1])[1]] : [];
const load = Module._load;
let isSpoilt = !isMainThread;
Module._load = function (request, ...rest) {
  const loaded = load.call(this, request, ...rest);
  if (request !== `@forge/${name}` || isSpoilt) return loaded;
  isSpoilt = true;
  act(loaded);
  return loaded;
};
