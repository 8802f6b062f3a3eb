import { startTestRedis, type TestRedis } from '@forge/testing';
import type { Redis } from 'ioredis';
import { RunState } from '../run/run-state';
import { SpanLog } from './span-log';

let redis: TestRedis;
let connection: Redis;
beforeAll(async () => {
  redis = await startTestRedis();
  connection = await redis.connect();
});
afterAll(() => redis.stop());

const line = (name: string) => JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ name }] }] }] });
let count = 0;

function open(limit?: number) {
  const state = new RunState(connection, `spans-${count++}`);
  const spans = new SpanLog(connection, state, limit);
  const taken: string[] = [];
  const take = () =>
    spans.take((lines) => {
      taken.push(...lines.map(String));
      return Promise.resolve();
    });
  return { state, spans, taken, take };
}

describe('SpanLog', () => {
  it('hands over what it was given, once', async () => {
    const { state, spans, taken, take } = open();
    for (let k = 0; k < 100; k++) await spans.add(line(`span ${k}`));
    await take();
    await take();
    expect(taken).toEqual(Array.from({ length: 100 }, (_, k) => line(`span ${k}`)));
    expect(await connection.xlen(state.keys.spans)).toBe(0);
  });

  it('keeps what it could not hand over', async () => {
    const { spans, taken, take } = open();
    await spans.add(line('a'));
    await expect(spans.take(() => Promise.reject(new Error('full')))).rejects.toThrow('full');
    await take();
    expect(taken).toEqual([line('a')]);
  });

  it('drops the oldest when nobody takes them', async () => {
    const { spans, taken, take } = open(64 * 100);
    for (let k = 0; k < 400; k++) await spans.add(line(`span ${k}`));
    await take();
    // Redis trims whole nodes of its tree, of a hundred entries each.
    expect(taken.length).toBeLessThanOrEqual(200);
    expect(taken.at(-1)).toBe(line('span 399'));
  });

  it('refuses what is no line of the format, and counts it', async () => {
    const { state, spans, taken, take } = open();
    const add = (field: string, value: string | Buffer) =>
      connection.xadd(state.keys.spans, '*', field, value);
    await spans.add(line('a'));
    await add('line', '{"resourceSpans":[');
    await add('line', Buffer.from([0xff, 0x00, 0x7b]));
    await add('line', '[]');
    await add('line', '{"resourceSpans":[1]}');
    await add('line', '{"resourceSpans":\n[]}');
    await add('line', '['.repeat(100_000));
    await add('event', line('b'));
    await spans.add(line('c'));
    await take();
    expect(taken).toEqual([line('a'), line('c')]);
    expect(await connection.xlen(state.keys.spans)).toBe(0);
    expect(await state.rejections.totals()).toEqual({ 'spans/not-json': 3, 'spans/wrong-shape': 4 });
    const [told] = await state.rejections.flush();
    expect(told).toMatchObject({ place: 'spans', counts: { 'not-json': 3, 'wrong-shape': 4 } });
  });
});
