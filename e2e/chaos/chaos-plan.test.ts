import { AGENT_KINDS, chaosPlan, forgettingPlan, KINDS } from './chaos-plan';

const victimsOf = (seed: number, kills: number) => chaosPlan(seed, kills).flatMap(({ victims }) => victims);

describe('chaosPlan', () => {
  it('has as many victims as asked for', () => {
    for (const kills of [1, 9, 10, 11, 12, 100]) expect(victimsOf(1, kills)).toHaveLength(kills);
  });

  it('kills every kind, two at once, and lets two hang, within the first eleven', () => {
    for (const seed of [1, 2, 3]) {
      const round = chaosPlan(seed, 11);
      const killed = round.filter(({ action }) => action === 'kill').flatMap(({ victims }) => victims);
      expect(new Set(killed)).toEqual(new Set(KINDS));
      expect(round.filter(({ victims }) => victims.length === 2)).toHaveLength(1);
      expect(round.filter(({ action }) => action === 'hang')).toHaveLength(2);
    }
  });

  it('lets every kind hang in the course of time', () => {
    const hangs = chaosPlan(1, 100).filter(({ action }) => action === 'hang');
    expect(new Set(hangs.flatMap(({ victims }) => victims))).toEqual(new Set(KINDS));
  });

  it('strikes the kinds that are named and no others', () => {
    const victims = chaosPlan(1, 40, AGENT_KINDS).flatMap((blow) => blow.victims);
    expect(victims).toHaveLength(40);
    expect(new Set(victims)).toEqual(new Set(AGENT_KINDS));
  });

  it('depends on the seed alone, and a longer series begins with a shorter one', () => {
    expect(chaosPlan(7, 40).slice(0, 8)).toEqual(chaosPlan(7, 100).slice(0, 8));
    expect(chaosPlan(7, 40)).not.toEqual(chaosPlan(8, 40));
  });
});

describe('forgettingPlan', () => {
  it('lets Redis forget so often, at moments that depend on the seed', () => {
    const plan = forgettingPlan(3, 4);
    expect(plan.map(({ action, victims }) => [action, victims])).toEqual(
      Array(4).fill(['forget', ['redis']]),
    );
    expect(plan).toEqual(forgettingPlan(3, 4));
    expect(plan).not.toEqual(forgettingPlan(4, 4));
  });
});
