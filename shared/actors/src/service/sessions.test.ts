import { leastLoaded, roundRobin } from './routers';
import { Sessions, type Seat } from './sessions';

interface TestSeat extends Seat {
  load: number;
  generation: number;
  isHealthy: boolean;
}

const call = { endpoint: 'value', args: [] };
const seats = (...loads: number[]): TestSeat[] =>
  loads.map((load, index) => ({ index, load, sessions: 0, generation: 1, isHealthy: true }));

describe('Sessions', () => {
  it('bind at their first call, as the router says', () => {
    for (const [router, expected] of [
      [roundRobin(), [1, 0]],
      [leastLoaded(), [0, 0]],
    ] as const) {
      const sessions = new Sessions<TestSeat>(router);
      const replicas = seats(0, 5);
      const placed = ['a', 'b'].map((id) => sessions.place(id, replicas, call));
      expect(placed.map((one) => one.kind === 'bound' && one.seat.index)).toEqual(expected);
      expect([...sessions.placements()]).toEqual([
        ['a', expected[0]],
        ['b', expected[1]],
      ]);
    }
  });

  it('stay while their replica is healthy, whatever the loads', () => {
    const sessions = new Sessions<TestSeat>(leastLoaded());
    const replicas = seats(0, 1);
    sessions.place('a', replicas, call);
    replicas[0]!.load = 9;
    expect(sessions.place('a', replicas, call)).toEqual({ kind: 'stays', seat: replicas[0] });
    expect(replicas.map((seat) => seat.sessions)).toEqual([1, 0]);
  });

  it('move when their replica is lost, and count it', () => {
    const sessions = new Sessions<TestSeat>(leastLoaded());
    const replicas = seats(0, 1);
    sessions.place('a', replicas, call);
    replicas[0]!.isHealthy = false;
    expect(sessions.place('a', replicas.slice(1), call)).toEqual({
      kind: 'moved',
      seat: replicas[1],
      from: 0,
    });
    expect([sessions.moves, sessions.movesOf('a'), replicas.map((seat) => seat.sessions)]).toEqual([
      1,
      1,
      [0, 1],
    ]);
  });

  it('take a replica that was started anew for another one', () => {
    const sessions = new Sessions<TestSeat>(leastLoaded());
    const [only] = seats(0);
    sessions.place('a', [only!], call);
    only!.generation = 2;
    expect(sessions.place('a', [only!], call)).toMatchObject({ kind: 'moved', from: 0 });
    expect(sessions.place('a', [only!], call)).toMatchObject({ kind: 'stays' });
    expect(only!.sessions).toBe(1);
  });

  it('stay lost when they are not to move', () => {
    const sessions = new Sessions<TestSeat>(leastLoaded());
    const replicas = seats(0, 0);
    sessions.open('a', 'reject');
    sessions.place('a', replicas, call);
    replicas[0]!.generation = 2;
    for (let again = 0; again < 2; again++)
      expect(sessions.place('a', replicas, call)).toEqual({ kind: 'lost', from: 0 });
  });

  it('are forgotten at their end', () => {
    const sessions = new Sessions<TestSeat>(leastLoaded());
    const replicas = seats(0);
    sessions.open('a', 'move');
    expect([sessions.size, sessions.seatIndex('a')]).toEqual([1, null]);
    sessions.place('a', replicas, call);
    sessions.end('a');
    sessions.end('never there');
    expect([sessions.size, replicas[0]!.sessions, sessions.seatIndex('a')]).toEqual([0, 0, null]);
  });
});
