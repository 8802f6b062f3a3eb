import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { thisProc } from '@forge/actors';
import type { Completion } from '@forge/contracts';
import { episode } from '@forge/rl';
import { metricCollector } from '@forge/telemetry';
import { waitFor } from '@forge/testing';
import { Trainer } from '../trainer/trainer';
import { Policy } from './policy';
import { rolloutPolicy } from './rollout-policy';

const model = join(__dirname, '../../../../models/arithmetic');
const agent = join(__dirname, '../../../../models/agent');
const greedy = { temperature: 0, maxTokens: 10 };
const dir = mkdtempSync(join(tmpdir(), 'forge-policy-'));
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const spawn = (worker: object = {}, sampling: object = {}) =>
  thisProc().spawn('policy', Policy, {
    worker: { model, ...worker },
    sampling: { maxTokens: 10, ...sampling },
  });

describe('Policy', () => {
  it('answers a prompt as often as it is asked to', async () => {
    const policy = await spawn({}, { n: 3 });
    const drawn = await policy.generate.callOne('12+7=');
    const [best] = await policy.generate.callOne('82-1=', { ...greedy, n: 1 });
    expect(drawn).toHaveLength(3);
    // The base model has not learned this one yet.
    expect(best).toMatchObject({ text: '<11>11', versions: best!.tokenIds.map(() => 0), stopReason: 'end' });
    await policy.stop();
  });

  it('draws the same for the same ids, whatever else is asked for, and anew without', async () => {
    const policy = await spawn({}, { n: 2, temperature: 2 });
    const [first, , again, fresh] = await Promise.all([
      policy.generate.callOne('12+7=', {}, ['a', 'b']),
      policy.generate.callOne('9+9='),
      policy.generate.callOne('12+7=', {}, ['b', 'a']),
      policy.generate.callOne('12+7=', { n: 16 }),
    ]);
    expect([...again].reverse()).toEqual(first);
    expect(new Set(fresh.map(({ text }) => text)).size).toBeGreaterThan(1);
    await policy.stop();
  });

  it('tells a chat template the day it is configured with', async () => {
    const chat = join(dir, 'chat');
    cpSync(model, chat, { recursive: true });
    writeFileSync(join(chat, 'chat_template.jinja'), "{{ strftime_now('%d') }}+{{ messages[0].content }}=");
    const policy = await spawn({ model: chat, date: '2025-03-12' }, greedy);
    const [[rendered], [written]] = await Promise.all([
      policy.generate.callOne([{ role: 'user', content: '7' }]),
      policy.generate.callOne('12+7='),
    ]);
    expect(rendered!.promptTokenIds).toEqual(written!.promptTokenIds);
    await policy.stop();
  });

  it('continues token ids as they are', async () => {
    const policy = await spawn({}, greedy);
    const [[written], [continued]] = await Promise.all([
      policy.generate.callOne('12+7='),
      policy.generate.callOne({ tokenIds: [3, 4, 12, 2, 9, 15] }),
    ]);
    expect(written!.promptTokenIds).toEqual([3, 4, 12, 2, 9, 15]);
    expect(continued).toEqual(written);
    await expect(policy.generate.callOne({ tokenIds: [] })).rejects.toMatchObject({
      code: 'CONTRACT_INVALID_MESSAGE',
    });
    await expect(policy.generate.callOne({ tokenIds: [400] })).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
    await policy.stop();
  });

  it('computes of a later turn what is new, unless it keeps nothing, and answers the same', async () => {
    const recorded = metricCollector();
    const total = (key: string): number => {
      const state = recorded.totals.get(key);
      return state?.reduce === 'sum' ? state.total : 0;
    };
    const answers: Completion[][] = [];
    for (const [prefixCacheMb, computed] of [
      [0, 99 + 109],
      [1, 99 + 45],
    ] as const) {
      const before = { computed: total('tokens/prefilled'), reused: total('tokens/reused') };
      const policy = await spawn({ model: agent, prefixCacheMb }, greedy);
      for (const length of [100, 110]) {
        const tokenIds = Array.from({ length }, (_, t) => 3 + (t % 10));
        answers.push(await policy.generate.callOne({ tokenIds }));
      }
      await waitFor('what was computed', () => total('tokens/prefilled') >= before.computed + computed);
      expect(total('tokens/prefilled') - before.computed).toBe(computed);
      expect(total('tokens/reused') - before.reused).toBe(99 + 109 - computed);
      await policy.stop();
    }
    expect(answers.slice(2)).toEqual(answers.slice(0, 2));
  });

  it('holds conversations in the tokens it sampled, the same ones for the same id', async () => {
    const chat = join(dir, 'talk');
    cpSync(model, chat, { recursive: true });
    const template =
      "{% for m in messages %}{{ m.content }}{{ '=' if m.role == 'user' else '<eos>' }}{% endfor %}";
    writeFileSync(join(chat, 'chat_template.jinja'), template);
    const policy = await spawn({ model: chat }, { temperature: 1.5 });
    const talk = async (id: string) => {
      const talking = rolloutPolicy(policy, id).conversation([{ role: 'user', content: '12+7' }], {
        maxTurns: 3,
        sampling: { maxTokens: 6 },
      });
      while ((await talking.next()) !== null) talking.add({ role: 'user', content: '9+9' });
      return talking;
    };
    const [one, again, other] = await Promise.all([talk('a'), talk('a'), talk('b')]);
    expect(one.parts).toEqual(again.parts);
    expect(one.parts).not.toEqual(other.parts);
    expect([one.end, one.forks, one.parts.length, one.parts[0]!.length]).toEqual(['turns', [], 1, 3]);
    const [first, second] = one.parts[0]!;
    const ended = first!.stopReason === 'end' ? [] : [1];
    expect(second!.promptTokenIds).toEqual([
      ...first!.promptTokenIds,
      ...first!.tokenIds,
      ...ended,
      ...[2, 11, 12, 2, 11, 15],
    ]);
    const [episode] = one.episodes({ reward: 1, rewards: {} });
    const chosen = one.parts[0]!.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
    expect(episode!.mask.reduce((sum, chosen) => sum + chosen, 0)).toBe(chosen);
    expect(await policy.mismatch.callOne(episode!)).toBeLessThan(1e-4);
    await expect(policy.renderChat.callOne({ messages: [] })).rejects.toMatchObject({
      code: 'CONTRACT_INVALID_MESSAGE',
    });
    await policy.stop();
  });

  it('frees the place of a call that is cancelled', async () => {
    const policy = await spawn({ maxBatch: 1, chunk: 1 });
    const caller = new AbortController();
    const call = policy.generate.with({ signal: caller.signal }).callOne('12+7=', { n: 1024 });
    await waitFor('the first tokens', async () => (await policy.stats.callOne()).tokens > 0);
    expect((await policy.stats.callOne()).queuedRows).toBeGreaterThan(900);
    caller.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await waitFor('an empty queue', async () => {
      const { activeRows, queuedRows } = await policy.stats.callOne();
      return activeRows + queuedRows === 0;
    });
    await policy.stop();
  });

  it('streams what its completions grow by, each token once, and at last the completions', async () => {
    const policy = await spawn({ chunk: 2 });
    const ids = ['a', 'b'];
    const grown = new Map(ids.map((id) => [id, { tokenIds: [] as number[], logprobs: [] as number[] }]));
    let completions: Completion[] = [];
    let growths = 0;
    for await (const [, item] of policy.stream.stream('12+7=', { temperature: 2 }, ids)) {
      if (Array.isArray(item)) completions = item;
      else {
        const one = grown.get(item.rolloutId)!;
        one.tokenIds.push(...item.tokenIds);
        one.logprobs.push(...item.logprobs);
        growths += 1;
      }
    }
    expect(completions).toEqual(await policy.generate.callOne('12+7=', { temperature: 2 }, ids));
    expect(growths).toBeGreaterThan(2);
    for (const [k, { tokenIds, logprobs }] of [...grown.values()].entries()) {
      const whole = completions[k]!;
      const text = await policy.settledText.callOne({ tokenIds });
      expect(text.length).toBeGreaterThan(0);
      expect(whole.text.startsWith(text)).toBe(true);
      expect(whole.tokenIds.slice(0, tokenIds.length)).toEqual(tokenIds);
      expect(whole.logprobs.slice(0, tokenIds.length)).toEqual(logprobs);
      expect(whole.tokenIds.length - tokenIds.length).toBeLessThanOrEqual(2);
    }
    await policy.stop();
  });

  it('frees the places of a stream that is left', async () => {
    const policy = await spawn({ maxBatch: 1, chunk: 1 });
    const items = policy.stream.stream('12+7=', { n: 1024 })[Symbol.asyncIterator]();
    await items.next();
    await items.return?.();
    await waitFor('an empty queue', async () => {
      const { activeRows, queuedRows } = await policy.stats.callOne();
      return activeRows + queuedRows === 0;
    });
    expect((await policy.stats.callOne()).tokens).toBeLessThan(1000);
    await policy.stop();
  });

  it('tells a stream why it fails', async () => {
    const policy = await spawn();
    const read = (prompt: string, sampling: object) =>
      policy.stream.stream(prompt, sampling)[Symbol.asyncIterator]().next();
    await expect(read('1+1=', { temperature: -1 })).rejects.toMatchObject({
      code: 'CONTRACT_INVALID_MESSAGE',
    });
    await expect(read('1'.repeat(70), {})).rejects.toMatchObject({ code: 'CAPACITY_PROMPT_TOO_LONG' });
    await policy.stop();
  });

  it('generates with new weights from the next chunk on, and stamps each token with its version', async () => {
    const [policy, trainer] = await Promise.all([
      spawn({ maxBatch: 1, chunk: 1 }),
      thisProc().spawn('trainer', Trainer, {
        model,
        dir,
        algorithm: { name: 'reinforce' },
        optimizer: { learningRate: 3e-3, warmupSteps: 0 },
      }),
    ]);
    const prompt = '82-1=';
    const base = await trainer.publishWeights.callOne();
    const [before] = await policy.generate.callOne(prompt, greedy);
    expect(before!.weightHashes).toEqual({ '0': base.sha256 });
    const wrong = episode(before!, { reward: 0, rewards: {} });
    expect(await policy.mismatch.callOne(wrong)).toBeLessThan(1e-4);
    await trainer.trainStep.callOne([{ ...wrong, advantage: -1 }]);
    const announcement = await trainer.publishWeights.callOne();

    const completions: Completion[] = [];
    const underWay = (async () => {
      do completions.push(...(await policy.generate.callOne(prompt, { n: 256 })));
      while (completions.at(-1)!.versions.at(-1) === 0);
    })();
    await waitFor('the first tokens', async () => (await policy.stats.callOne()).tokens > 20);
    expect(await policy.applyWeights.callOne(announcement)).toBe(1);
    await underWay;
    const stamped = completions.flatMap(({ versions }) => versions);
    const hashes = { '0': base.sha256, '1': announcement.sha256 };
    for (const { versions, weightHashes } of completions)
      expect(weightHashes).toEqual(
        Object.fromEntries(Object.entries(hashes).filter(([v]) => versions.includes(Number(v)))),
      );
    expect([stamped[0], stamped.at(-1)]).toEqual([0, 1]);
    expect(stamped).toEqual([...stamped].sort((a, b) => a - b));

    expect(await policy.version.callOne()).toBe(1);
    const [after] = await policy.generate.callOne(prompt, greedy);
    expect(after!.text).not.toBe(before!.text);
    expect(await policy.mismatch.callOne(episode(after!, { reward: 0, rewards: {} }))).toBeLessThan(1e-4);
    await Promise.all([policy.stop(), trainer.stop()]);
  });

  it('names what is wrong with a config, a call or a file', async () => {
    await expect(spawn({ threads: 0 })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'PolicyConfig: worker.threads: found 0, expected a number >= 1',
    });
    await expect(spawn({ model: dir })).rejects.toMatchObject({ code: 'CONFIG_MODEL_MISSING' });
    const policy = await spawn();
    const call = policy.generate.callOne('1+1=', { temperature: -1 });
    await expect(call).rejects.toMatchObject({ code: 'CONTRACT_INVALID_MESSAGE' });
    const gone = {
      schemaVersion: 1 as const,
      version: 9,
      epoch: 0,
      path: join(dir, 'v9'),
      sizeBytes: 1,
      sha256: '0'.repeat(64),
    };
    await expect(policy.applyWeights.callOne(gone)).rejects.toMatchObject({ code: 'STALE_WEIGHTS' });
    expect(await policy.version.callOne()).toBe(0);
    await policy.stop();
  });
});
