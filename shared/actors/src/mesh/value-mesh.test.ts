import { ForgeError } from '@forge/errors';
import { Extent } from '../actor/extent';
import { PartialFailure, ValueMesh } from './value-mesh';

describe('ValueMesh', () => {
  const mesh = new ValueMesh(Extent.of({ hosts: 2, gpus: 2 }).slice({ gpus: 1 }), ['a', 'b']);

  it('keeps the shape and the ranks', () => {
    expect([mesh.size, mesh.dimensions, mesh.get({ hosts: 1 })]).toEqual([2, { hosts: 2 }, 'b']);
    expect([...mesh]).toEqual([
      [1, 'a'],
      [3, 'b'],
    ]);
    expect(mesh.map((value, rank) => value + rank).values).toEqual(['a1', 'b3']);
  });

  it('has an item only when it is one', () => {
    expect(new ValueMesh(Extent.of({}), [7]).item()).toBe(7);
    expect(() => mesh.item()).toThrow(/a mesh of one, this one has hosts=2/);
  });
});

describe('PartialFailure', () => {
  it('names who failed and carries the results of the others', () => {
    const no = new ForgeError('CAPACITY_EXCEEDED', 'no', { limit: 1 });
    const results = [
      { status: 'fulfilled', value: 1 },
      { status: 'rejected', reason: no },
    ] as const;
    const error = new PartialFailure('c.add', results, [4, 6]);
    expect([error.code, error.failedRanks, error.results[0]]).toEqual(['CAPACITY_EXCEEDED', [6], results[0]]);
    expect(error.message).toBe('c.add failed on 1 of 2 (6): no');
    expect(error.toWire().details).toMatchObject({ limit: 1, failedRanks: [6], errors: { 6: no.toWire() } });
  });
});
