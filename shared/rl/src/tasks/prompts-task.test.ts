import { promptsTask } from './prompts-task';

describe('promptsTask', () => {
  it('gives every prompt once an epoch and holds out none', () => {
    const task = promptsTask(['Once', 'Twice', 'Thrice'], { seed: 1 });
    const prompts = [0, 1, 2].map((i) => task.sample(i).prompt);
    expect([...prompts].sort()).toEqual(['Once', 'Thrice', 'Twice']);
    expect([3, 4, 5].map((i) => task.sample(i).prompt).sort()).toEqual([...prompts].sort());
    expect(task.sample(0).id).toMatch(/^prompt-[012]$/);
    expect(task.heldOut).toEqual([]);
  });
});
