import { Extent } from './extent';

describe('Extent', () => {
  const mesh = Extent.of({ hosts: 2, gpus: 4 });

  it('counts ranks with the last dimension fastest', () => {
    expect([mesh.size, mesh.ranks()]).toEqual([8, [0, 1, 2, 3, 4, 5, 6, 7]]);
    expect(mesh.coordinates(6)).toEqual({ hosts: 1, gpus: 2 });
    expect(mesh.positionOf({ hosts: 1, gpus: 2 })).toBe(6);
  });

  it('is a single place without dimensions', () => {
    const one = Extent.of({});
    expect([one.size, one.ranks(), one.positionOf({})]).toEqual([1, [0], 0]);
  });

  it('drops a dimension by an index and keeps ranks', () => {
    const column = mesh.slice({ gpus: 1 });
    expect([column.dimensions, column.ranks()]).toEqual([{ hosts: 2 }, [1, 5]]);
    expect(mesh.slice({ hosts: 1, gpus: 3 }).ranks()).toEqual([7]);
  });

  it('narrows a dimension by a range, also of a part', () => {
    const part = mesh.slice({ gpus: [1, 3] });
    expect([part.dimensions, part.ranks()]).toEqual([{ hosts: 2, gpus: 2 }, [1, 2, 5, 6]]);
    expect(part.slice({ gpus: 1, hosts: 1 }).ranks()).toEqual([6]);
    expect(part.coordinates(3)).toEqual({ hosts: 1, gpus: 1 });
  });

  it.each([
    [{ cpus: 0 }, /cpus is no dimension of the mesh: hosts=2, gpus=4/],
    [{ gpus: 4 }, /gpus: 4 is outside 0 to 3/],
    [{ gpus: -1 }, /gpus: -1 is outside/],
    [{ gpus: [2, 2] }, /gpus: \[2, 2\] is outside/],
    [{ gpus: [2, 5] }, /gpus: \[2, 5\] is outside/],
  ] as const)('refuses %j', (selection, message) => {
    expect(() => mesh.slice(selection)).toThrow(message);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses a size of %d', (size) => {
    expect(() => Extent.of({ gpus: size })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('needs an index for every dimension of a point', () => {
    expect(() => mesh.positionOf({ hosts: 0 })).toThrow(/no index for dimension gpus/);
  });
});
