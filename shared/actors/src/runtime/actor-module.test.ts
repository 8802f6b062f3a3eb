import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { rootOwner } from '../actor/supervision';
import { Counter, hidden } from '../counter.fixture';
import { ForgeActor } from '../forge-actor';
import { thisHost, thisProc } from '../index';
import { moduleOf, type ActorModule } from './actor-module';
import { AGENT } from './actor-runtime';

afterAll(() => rootOwner.stopOwned());

describe('moduleOf', () => {
  it('tells the file that is compiled from where the class is defined', () => {
    expect(moduleOf(Counter)).toEqual({
      file: join(__dirname, '../../dist/counter.fixture.js'),
      inProject: 'shared/actors/dist/counter.fixture.js',
      className: 'Counter',
    });
  });

  it('needs a name and an endpoint to go by', () => {
    class Bare extends ForgeActor {}
    expect(() => moduleOf(Bare)).toThrow(/Bare .*declares no @endpoint\(\)/);
    expect(() => moduleOf((() => class extends ForgeActor {})())).toThrow(/has no name/);
  });
});

describe('a class that is not exported', () => {
  it('can be used in this process, and in no other', async () => {
    const local = await thisProc().spawn('hidden', hidden.hiddenClass);
    expect(await local.value.callOne()).toBe(1);
    const procs = await thisHost().spawnProcs({ procs: 1 });
    await expect(procs.spawn('hidden', hidden.hiddenClass)).rejects.toMatchObject({
      code: 'CONFIG_ACTOR_UNLOADABLE',
      message: /dist\/counter\.fixture\.js does not export it: write "export class Hidden"/,
    });
  });
});

describe('a TypeScript program without a build', () => {
  // Below the package, so that it finds @forge/actors.
  const dir = mkdtempSync(join(__dirname, '../../dist/program-'));
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });
  const run = promisify(execFile);
  const jiti = join(__dirname, '../../../../node_modules/jiti/lib/jiti-cli.mjs');
  const classes = `
    import { endpoint, ForgeActor, runMain, thisHost } from '@forge/actors';
    console.log(process.send === undefined ? 'program' : 'actor process');
    export class Greeter extends ForgeActor {
      constructor(private readonly greeting: string) { super(); }
      @endpoint() greet(name: string): string { return this.greeting + ' ' + name; }
    }
    const main = async (): Promise<void> => {
      const procs = await thisHost().spawnProcs({ procs: 2 });
      const greeters = await procs.spawn('greeters', Greeter, 'hello');
      console.log((await greeters.greet.call('Ada')).values.join(', '));
      await procs.stop();
    };`;

  it.each(['main.ts', 'main.mts', 'main.cts'])('runs its main part once (%s)', async (name) => {
    const file = join(dir, name);
    writeFileSync(file, `${classes} runMain(main);`);
    const { stdout } = await run(process.execPath, [jiti, file]);
    expect(stdout.trim().split('\n')).toEqual([
      'program',
      'actor process',
      'actor process',
      'hello Ada, hello Ada',
    ]);
  });

  it('is told to use runMain when it would run again in its actor processes', async () => {
    const file = join(dir, 'bare.ts');
    writeFileSync(
      file,
      `${classes} main().catch((error) => { console.log(error.code, error.message); if (process.send === undefined) process.exit(3); });`,
    );
    await expect(run(process.execPath, [jiti, file])).rejects.toMatchObject({
      code: 3,
      stdout: expect.stringMatching(/CONFIG_ACTOR_UNLOADABLE .*put that into runMain/) as string,
    });
  });
});

describe('a class of a program on another machine', () => {
  const missing = '/on/another/machine/counter.js';
  const here = join(__dirname, '../../dist/counter.fixture.js');
  const inProject = relative(process.cwd(), here);

  it.each([
    ['at the same place in the project', missing, inProject],
    ['at the same path', here, 'lib/none.js'],
    ['at the same path, outside of the project', here, null],
  ])('is found %s', async (_where, file, place) => {
    expect(await spawnFrom({ file, inProject: place, className: 'Counter' })).toBeUndefined();
  });

  it('is missing when it is at neither', async () => {
    const module = { file: missing, inProject: 'lib/none.js', className: 'Counter' };
    await expect(spawnFrom(module)).rejects.toMatchObject({
      code: 'CONFIG_ACTOR_UNLOADABLE',
      message: `the actor class Counter can't be loaded in another process: ${hostname()} has neither ${process.cwd()}/lib/none.js nor ${missing}`,
    });
  });

  async function spawnFrom(module: ActorModule): Promise<unknown> {
    const [actorProcess] = await thisHost().start(1, 0);
    const args = ['counter', module, { name: 'counter', point: { rank: 0, coordinates: {} } }, []];
    try {
      return await actorProcess!.channel.call({ actor: AGENT, endpoint: 'spawn', args, key: '' });
    } finally {
      await actorProcess!.kill();
    }
  }
});
