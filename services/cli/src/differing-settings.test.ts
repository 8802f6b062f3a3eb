import { differingSettings } from './differing-settings';

describe('differingSettings', () => {
  it('names what differs, is added or is gone, lists by index', () => {
    const a = {
      seed: 1,
      trainer: { threads: 2, schedule: 'constant' },
      rewards: [{ name: 'exact' }],
      old: 1,
    };
    const b = {
      seed: 1,
      trainer: { threads: 4, schedule: 'constant' },
      rewards: [{ name: 'length' }],
      new: 1,
    };
    expect(differingSettings(a, b)).toEqual(['trainer.threads', 'rewards.0.name', 'old', 'new']);
  });

  it('takes infinity for itself', () => {
    expect(differingSettings({ maxStaleness: Infinity }, { maxStaleness: Infinity })).toEqual([]);
  });
});
