import { leastLoaded, powerOfTwoChoices, roundRobin, routerOf, type Candidate } from './routers';

const call = { endpoint: 'value', args: [] };
const replicas = (...loads: number[]): Candidate[] =>
  loads.map((load, index) => ({ index, load, sessions: 0 }));

describe('roundRobin', () => {
  it('takes each in turn, beginning with the second', () => {
    const [router, three] = [roundRobin(), replicas(0, 0, 0)];
    expect([1, 2, 3, 4, 5, 6].map(() => router(three, call).index)).toEqual([1, 2, 0, 1, 2, 0]);
    expect(roundRobin()(replicas(9), call).index).toBe(0);
  });

  it('goes on where there are fewer', () => {
    const router = roundRobin();
    router(replicas(0, 0, 0), call);
    router(replicas(0, 0, 0), call);
    expect(router(replicas(0, 0), call).index).toBe(1);
  });
});

describe('leastLoaded', () => {
  it('takes the lowest load, the first of equals', () => {
    expect(leastLoaded()(replicas(3, 1, 2), call).index).toBe(1);
    expect(leastLoaded()(replicas(2, 1, 1), call).index).toBe(1);
  });

  it('prefers fewer sessions among equals', () => {
    const [a, b] = replicas(1, 1);
    expect(leastLoaded()([{ ...a!, sessions: 2 }, b!], call).index).toBe(1);
  });
});

describe('powerOfTwoChoices', () => {
  it('takes the less loaded of two different ones', () => {
    const draws = [0.5, 0.999, 0, 0];
    const router = powerOfTwoChoices(() => draws.shift()!);
    // 0.5 of 4 draws 2, 0.999 of the other 3 draws the third after it: 1; then 0 and 1.
    const four = replicas(0, 7, 8, 0);
    expect([router(four, call).index, router(four, call).index]).toEqual([1, 0]);
    expect(powerOfTwoChoices(() => 0.9)(replicas(5), call).index).toBe(0);
  });

  it('never takes the only loaded one of two', () => {
    let seed = 1;
    const random = (): number => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
    const router = powerOfTwoChoices(random);
    for (let i = 0; i < 200; i++) expect(router(replicas(1, 0), call).index).toBe(1);
  });
});

describe('a router of the user', () => {
  it('sees endpoint and arguments', () => {
    const router = routerOf((candidates, { args }) => candidates[Number(args[0])]!);
    expect(router(replicas(0, 0, 0), { endpoint: 'value', args: [2] }).index).toBe(2);
  });

  it('may pick candidates only', () => {
    const stranger: Candidate = { index: 7, load: 0, sessions: 0 };
    expect(() => routerOf(() => stranger)(replicas(0), call)).toThrow(/picked replica 7/);
    expect(() => routerOf(() => undefined as never)(replicas(0), call)).toThrow(/picked nothing/);
  });
});
