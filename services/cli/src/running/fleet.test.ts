import type { RestartRequest, WantedProcesses } from '@forge/broker';
import { Fleet } from './fleet';
import type { ServiceProcess } from './supervisor';

const key = ({ service, replica }: ServiceProcess) => `${service}/${replica}`;

/** A supervisor whose processes are ready at once, unless told otherwise, and end at once. */
function fleetOf(counts: Record<string, number>) {
  const done: string[] = [];
  const said: string[] = [];
  const replicas = new Map(Object.entries(counts));
  const restarts = new Map<string, RestartRequest>();
  const holders = new Map<string, { process: ServiceProcess; pid: number }>();
  const successors = new Map<string, { process: ServiceProcess; pid: number }>();
  const broken = new Set<string>();
  let pids = 0;
  const launch = (process: ServiceProcess) => ({ process, pid: (pids += 1) });
  const supervisor = {
    start: (process: ServiceProcess) => {
      done.push(`start ${key(process)}`);
      holders.set(key(process), launch(process));
    },
    tryOut: (process: ServiceProcess) => {
      done.push(`try ${key(process)}`);
      (holders.has(key(process)) ? successors : holders).set(key(process), launch(process));
    },
    accept: (process: ServiceProcess) => {
      const successor = successors.get(key(process));
      if (successor === undefined) return;
      done.push(`accept ${key(process)}`);
      holders.set(key(process), successor);
      successors.delete(key(process));
    },
    drain: (process: ServiceProcess, { thenStart = false } = {}) => {
      done.push(`drain ${key(process)}`);
      holders.delete(key(process));
      if (thenStart) supervisor.start(process);
    },
    has: (process: ServiceProcess) => holders.has(key(process)),
    pidOf: (process: ServiceProcess) => (successors.get(key(process)) ?? holders.get(key(process)))?.pid,
    processesOf: (service: string) =>
      [...holders.values()].map(({ process }) => process).filter((process) => process.service === service),
  };
  const registry = {
    list: (service: string) =>
      Promise.resolve(
        [...holders.values(), ...successors.values()]
          .filter(({ process }) => process.service === service && !broken.has(key(process)))
          .map(({ process, pid }) => ({
            ...process,
            pid,
            isReady: true,
            url: '',
            answers: null,
            callsMade: [],
            seenAtMs: 0,
          })),
      ),
  };
  const controls = {
    wanted: (): Promise<WantedProcesses> => Promise.resolve({ replicas, restarts }),
    restarted: (name: string, request: string, problem = '') => {
      restarts.set(name, { request, outcome: problem });
      return Promise.resolve();
    },
  };
  const fleet = new Fleet({ supervisor, controls, registry, say: (text) => said.push(text) });
  /** The actions until nothing is under way. */
  const settle = async (): Promise<string[]> => {
    for (let turns = 0; (await fleet.turn()) && turns < 50; turns += 1);
    return done.splice(0);
  };
  const ask = (...names: string[]) => {
    for (const name of names) restarts.set(name, { request: `${name}-${pids}`, outcome: null });
  };
  const outcomes = () => Object.fromEntries([...restarts].map(([name, { outcome }]) => [name, outcome]));
  return { fleet, supervisor, replicas, broken, said, settle, ask, outcomes };
}

describe('Fleet', () => {
  it('starts what is wanted and missing, and drains what is too much', async () => {
    const { replicas, settle } = fleetOf({ trainer: 1, policy: 1 });
    expect(await settle()).toEqual(['start trainer/0', 'start policy/0']);
    replicas.set('policy', 3);
    expect(await settle()).toEqual(['start policy/1', 'start policy/2']);
    replicas.set('policy', 1);
    expect(await settle()).toEqual(['drain policy/1', 'drain policy/2']);
    expect(await settle()).toEqual([]);
  });

  it('starts the successor of a service of one copy before it drains that', async () => {
    const { settle, ask, outcomes } = fleetOf({ trainer: 1 });
    await settle();
    ask('trainer/0');
    expect(await settle()).toEqual(['try trainer/0', 'accept trainer/0']);
    expect(outcomes()).toEqual({ 'trainer/0': '' });
    ask('trainer/0');
    expect(await settle()).toEqual(['try trainer/0', 'accept trainer/0']);
  });

  it('replaces one replica after the other, with one more ready all the while', async () => {
    const { settle, ask, outcomes } = fleetOf({ policy: 2 });
    await settle();
    ask('policy/0', 'policy/1');
    expect(await settle()).toEqual([
      'try policy/2',
      ...['drain policy/0', 'start policy/0', 'drain policy/1', 'start policy/1'],
      'drain policy/2',
    ]);
    expect(outcomes()).toEqual({ 'policy/0': '', 'policy/1': '' });
  });

  it('waits for a replica that is not ready, and ends nothing meanwhile', async () => {
    const { settle, ask, broken, outcomes } = fleetOf({ policy: 2 });
    await settle();
    broken.add('policy/1');
    ask('policy/0');
    expect(await settle()).toEqual(['try policy/2']);
    broken.clear();
    expect(await settle()).toEqual(['drain policy/0', 'start policy/0', 'drain policy/2']);
    expect(outcomes()).toEqual({ 'policy/0': '' });
  });

  it('leaves everything as it is when a new process can not start', async () => {
    const { fleet, supervisor, settle, ask, outcomes, said } = fleetOf({ policy: 2 });
    await settle();
    ask('policy/0', 'policy/1');
    await fleet.turn();
    supervisor.drain({ service: 'policy', replica: '2' });
    await fleet.trialEnded({ service: 'policy', replica: '2' }, 'exit 1');
    expect(await settle()).toEqual(['try policy/2', 'drain policy/2']);
    const problem = 'a new policy ended before it was ready (exit 1)';
    expect(outcomes()).toEqual({ 'policy/0': problem, 'policy/1': problem });
    expect(said).toEqual([`policy/2: ${problem}; what runs goes on`]);
  });
});
