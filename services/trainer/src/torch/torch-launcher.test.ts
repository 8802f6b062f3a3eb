import { rankArguments, reasonIn } from './torch-launcher';

describe('rankArguments', () => {
  it('starts one process alone, and several under torchrun, which restarts nothing', () => {
    expect(rankArguments({ processes: 1, nodes: 1 })).toEqual(['-m', 'forge_torch']);
    expect(rankArguments({ processes: 4, nodes: 1 }).join(' ')).toBe(
      '-m torch.distributed.run --standalone --nproc-per-node 4 --max-restarts 0 -m forge_torch',
    );
  });

  it('is the first of several machines', () => {
    expect(rankArguments({ processes: 8, nodes: 2, address: '10.0.0.1:29500' }).join(' ')).toBe(
      '-m torch.distributed.run --nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 29500 --nproc-per-node 8 --max-restarts 0 -m forge_torch',
    );
  });
});

describe('reasonIn', () => {
  it('finds the error by which the trainer says it ends', () => {
    const found = reasonIn('torch: STALE_EPOCH: trainer 1 was replaced by 2');
    expect(found).toMatchObject({ code: 'STALE_EPOCH', message: 'trainer 1 was replaced by 2' });
  });

  it.each([
    'torch: final model saved',
    'torch: MADE_UP: no such code',
    'STALE_EPOCH: of another program',
    '[rank0]: RuntimeError: out of memory',
  ])('finds none in %j', (line) => {
    expect(reasonIn(line)).toBeNull();
  });
});
