import type { MetricsRow } from '../../../src/api';
import { RunFeed } from './run-feed';

class Source {
  static opened: Source[] = [];
  readonly listeners = new Map<string, (event: { data: string }) => void>();
  constructor(readonly address: string) {
    Source.opened.push(this);
  }
  addEventListener(name: string, listener: (event: { data: string }) => void): void {
    this.listeners.set(name, listener);
  }
  close(): void {}
}

const answers: Record<string, unknown> = {
  '/api/runs/r': { run: { id: 'r' } },
  '/api/runs/r/metrics': [{ step: 1 }],
};
let frames: (() => void)[] = [];
const globals = {
  EventSource: Source,
  fetch: (path: string) => Promise.resolve(new Response(JSON.stringify(answers[path] ?? []))),
  requestAnimationFrame: (draw: () => void) => frames.push(draw),
  cancelAnimationFrame: () => (frames = []),
};
const before = new Map(Object.keys(globals).map((key) => [key, Reflect.get(globalThis, key) as unknown]));
beforeAll(() => void Object.assign(globalThis, globals));
afterAll(() => before.forEach((value, key) => Reflect.set(globalThis, key, value)));

const draw = (): void => frames.splice(0).forEach((frame) => frame());

it('tells all that came since the last frame at once, and nothing once it is closed', async () => {
  const told: (readonly MetricsRow[])[] = [];
  const feed = new RunFeed('r', ({ rows }) => told.push(rows));
  while (Source.opened.length === 0) await new Promise((resolve) => setTimeout(resolve));
  draw();
  expect(told.map((rows) => rows.map(({ step }) => step))).toEqual([[1]]);

  const [source] = Source.opened;
  expect(source!.address).toBe('/api/runs/r/events?after=1');
  for (let step = 2; step < 40; step++)
    source!.listeners.get('metrics')!({ data: JSON.stringify([{ step }]) });
  expect(told).toHaveLength(1);
  draw();
  expect(told).toHaveLength(2);
  expect(told[1]).toHaveLength(39);

  source!.listeners.get('metrics')!({ data: JSON.stringify([{ step: 40 }]) });
  feed.close();
  draw();
  expect(told).toHaveLength(2);
});
