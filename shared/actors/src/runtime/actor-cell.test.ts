import { ForgeError } from '@forge/errors';
import { waitFor } from '@forge/testing';
import { callContext, type CallContext } from '../actor/call-context';
import { endpoint } from '../actor/endpoint';
import { rootOwner } from '../actor/supervision';
import { ForgeActor } from '../forge-actor';
import { inProcessHost } from '../hosts/host';
import type { ActorMesh } from '../mesh/actor-mesh';
import { thisProc } from '../mesh/proc-mesh';
import { spawnService } from '../service/spawn-service';

const log: string[] = [];
beforeEach(() => {
  log.length = 0;
  gates.length = 0;
});
afterEach(async () => {
  await rootOwner.stopOwned();
});

/** Gates that hold `work` up; actors of this process share them with the test. */
const gates: (() => void)[] = [];
const openGates = (): void => {
  for (const open of gates.splice(0)) open();
};

class Worker extends ForgeActor {
  private child: ActorMesh<Worker> | null = null;

  override async cleanup(): Promise<void> {
    log.push(`${this.actorName} cleaned up`);
  }

  @endpoint()
  async work(name: string): Promise<string> {
    log.push(`${name} began`);
    await new Promise<void>((resolve) => gates.push(resolve));
    log.push(`${name} ended`);
    return name;
  }

  @endpoint({ concurrent: true })
  async beside(name: string): Promise<void> {
    log.push(name);
  }

  @endpoint({ concurrent: true })
  async obey(): Promise<void> {
    const { signal } = callContext();
    log.push('waits');
    await new Promise((resolve) => {
      signal.addEventListener('abort', resolve, { once: true });
    });
    log.push('cancelled');
  }

  @endpoint()
  context(): Pick<CallContext, 'session' | 'key' | 'headers'> {
    const { session, key, headers } = callContext();
    return { session, key, headers };
  }

  @endpoint()
  async *count(): AsyncGenerator<number> {
    try {
      for (let i = 0; ; i++) yield i;
    } finally {
      log.push('counted');
    }
  }

  @endpoint()
  async *breakAt(n: number): AsyncGenerator<number> {
    for (let i = 0; i < n; i++) yield i;
    throw new RangeError('enough');
  }

  @endpoint()
  async beget(): Promise<void> {
    this.child = await thisProc().spawn('child', Worker);
    await this.child.beside.callOne('born');
  }

  @endpoint()
  async passOnLoss(): Promise<void> {
    throw new ForgeError('TRANSIENT_REPLICA_LOST', 'another is gone', { pid: 1 });
  }
}

class Untidy extends ForgeActor {
  override async cleanup(): Promise<void> {
    throw new RangeError('it does not close');
  }

  @endpoint()
  touch(): void {
    log.push('touched');
  }
}

class Clash extends ForgeActor {
  @endpoint()
  stop(): void {
    log.push('never');
  }

  @endpoint()
  metrics(): void {
    log.push('never');
  }
}

const spawn = (): Promise<ActorMesh<Worker>> => thisProc().spawn('worker', Worker);

describe('an actor', () => {
  it('answers one message at a time, in the order they were sent', async () => {
    const worker = await spawn();
    const sent = [worker.work.callOne('a'), worker.work.callOne('b'), worker.beside.callOne('c')];
    await waitFor('the first', () => log.includes('a began'));
    await new Promise(setImmediate);
    expect(log).toEqual(['a began']);
    openGates();
    await waitFor('the second', () => log.includes('b began'));
    openGates();
    await Promise.all(sent);
    expect(log).toEqual(['a began', 'a ended', 'b began', 'b ended', 'c']);
  });

  it('lets a concurrent message wait for its turn, and nobody wait for it', async () => {
    const worker = await spawn();
    const caller = new AbortController();
    const obeying = worker.obey.with({ signal: caller.signal }).callOne();
    await worker.beside.callOne('passes');
    expect(log).toEqual(['waits', 'passes']);
    caller.abort();
    await expect(obeying).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it.each(['signal', 'timeout', 'stop'])(
    'learns through its signal that nobody waits any more: %s',
    async (why) => {
      const worker = await spawn();
      const caller = new AbortController();
      const options = why === 'timeout' ? { timeoutMs: 30 } : { signal: caller.signal };
      const call = worker.obey.with(options).callOne();
      const outcome = call.then(
        () => 'ended',
        (error: unknown) => ForgeError.from(error).code,
      );
      await waitFor('the call', () => log.length > 0);
      if (why === 'signal') caller.abort();
      if (why === 'stop') await worker.stop({ drainMs: 0 });
      expect(await outcome).toBe({ signal: 'CANCELLED', timeout: 'TRANSIENT_TIMEOUT', stop: 'ended' }[why]);
      await waitFor('the end', () => log.includes('cancelled'));
    },
  );

  it('does not begin what was cancelled while it waited', async () => {
    const worker = await spawn();
    const caller = new AbortController();
    const first = worker.work.callOne('a');
    const second = worker.work.with({ signal: caller.signal }).callOne('b');
    await waitFor('the first', () => log.includes('a began'));
    caller.abort();
    await expect(second).rejects.toMatchObject({ code: 'CANCELLED' });
    // A round trip later the cancellation has arrived as well.
    await (await spawn()).beside.callOne('elsewhere');
    openGates();
    await first;
    await worker.beside.callOne('c');
    expect(log).toEqual(['a began', 'elsewhere', 'a ended', 'c']);
  });

  it('knows session, key and headers of a call', async () => {
    const service = await spawnService({ hosts: [inProcessHost()] }, Worker);
    const inSession = await service.context.with({ session: 's' }).choose();
    const other = await service.context.choose();
    expect([inSession.session, other.session, other.headers]).toEqual(['s', undefined, undefined]);
    expect(inSession.key).not.toBe(other.key);
    expect(() => callContext()).toThrow(/code that an endpoint runs/);
  });

  it('ends an iteration that its caller ends', async () => {
    const worker = await spawn();
    const seen: number[] = [];
    for await (const [, i] of worker.count.stream()) if (seen.push(i) === 3) break;
    await waitFor('the end', () => log.includes('counted'));
    expect(seen).toEqual([0, 1, 2]);
    // It holds no later message up.
    await worker.context.callOne();
  });

  it('gives items before the exception that ends them', async () => {
    const worker = await spawn();
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const [, i] of worker.breakAt.stream(2)) seen.push(i);
    };
    await expect(loop()).rejects.toMatchObject({ code: 'BUG_ENDPOINT', message: 'enough' });
    expect(seen).toEqual([0, 1]);
  });

  it('drains what has come, then stops what it spawned, then cleans up', async () => {
    const worker = await spawn();
    const working = worker.work.callOne('a');
    const begetting = worker.beget.callOne();
    await waitFor('the first', () => log.includes('a began'));
    const stopped = worker.stop();
    await new Promise(setImmediate);
    expect(log).toEqual(['a began']);
    openGates();
    await stopped;
    expect([await working, await begetting]).toEqual(['a', undefined]);
    expect(log).toEqual(['a began', 'a ended', 'born', 'child cleaned up', 'worker cleaned up']);
  });

  it('tells whoever stops it what its cleanup threw, and the others stop all the same', async () => {
    const host = inProcessHost();
    const procs = await host.spawnProcs({ procs: 1 });
    await procs.spawn('worker', Worker);
    await procs.spawn('untidy', Untidy);
    await expect(procs.stop()).rejects.toMatchObject({
      code: 'BUG_ENDPOINT',
      message: 'it does not close',
      details: { actor: 'untidy', endpoint: 'cleanup' },
    });
    expect(log).toEqual(['worker cleaned up']);
  });

  it('marks the loss of another replica as that of another', async () => {
    const service = await spawnService({ hosts: [inProcessHost()] }, Worker);
    await expect(service.passOnLoss.choose()).rejects.toMatchObject({
      code: 'TRANSIENT_REPLICA_LOST',
      details: { pid: 1, thrownBy: `${service.name}_0.passOnLoss` },
    });
    expect(service.metrics().service.restarts).toBe(0);
  });

  it('may have no endpoint by the name of something every handle has', async () => {
    await expect(thisProc().spawn('clash', Clash)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { endpoint: 'stop' },
    });
    await expect(spawnService({ hosts: [inProcessHost()] }, Clash)).rejects.toMatchObject({
      details: { endpoint: 'metrics' },
    });
  });
});
