import { spawnService } from '@forge/actors';
import { isRunning } from '@forge/testing';
import { FrailActor } from './frail-actor.fixture';

describe('an actor whose worker thread dies', () => {
  it('goes with its process, and is replaced', async () => {
    const service = await spawnService({ failurePolicy: 'keep' }, FrailActor);
    const pid = await service.pid.choose();
    await expect(service.crash.choose()).rejects.toThrow();
    const fresh = await service.pid.choose();
    expect([fresh === pid, isRunning(pid)]).toEqual([false, false]);
    expect(service.metrics().service.restarts).toBe(1);
    await service.shutdown();
  });
});
