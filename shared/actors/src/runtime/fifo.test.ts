import { Fifo } from './fifo';

describe('Fifo', () => {
  it('gives back in order, also after many', () => {
    const fifo = new Fifo<number>();
    let next = 0;
    for (let i = 0; i < 5_000; i++) fifo.add(i);
    for (let i = 0; i < 4_000; i++) expect(fifo.take()).toBe(next++);
    for (let i = 5_000; i < 6_000; i++) fifo.add(i);
    expect(fifo.size).toBe(2_000);
    while (fifo.size > 0) expect(fifo.take()).toBe(next++);
    expect([next, fifo.take()]).toEqual([6_000, undefined]);
  });

  it('takes one out of the middle, and all at once', () => {
    const fifo = new Fifo<string>();
    for (const item of ['a', 'b', 'c', 'd']) fifo.add(item);
    fifo.take();
    expect([fifo.remove('c'), fifo.remove('a'), fifo.size]).toEqual([true, false, 2]);
    expect([fifo.drain(), fifo.size]).toEqual([['b', 'd'], 0]);
  });
});
