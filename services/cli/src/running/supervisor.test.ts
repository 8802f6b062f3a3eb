import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeArguments, Supervisor } from './supervisor';

const dir = mkdtempSync(join(tmpdir(), 'forge-supervisor-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** The fate of services that start with `environment`. */
function supervised(environment: NodeJS.ProcessEnv) {
  const told: string[] = [];
  let onTold = (): void => undefined;
  const tell = (what: string) => (_: unknown, reason: string, isHopeless?: boolean) => {
    told.push([what, reason, isHopeless ?? ''].join(' | '));
    onTold();
  };
  const supervisor = new Supervisor({
    logDirectory: dir,
    socketDirectory: dir,
    environment: { PATH: process.env['PATH'], FORGE_RUN_ID: 'run', ...environment },
    restartsPerMinute: 10,
    drainMs: 5_000,
    onTrialEnd: tell('trial ended'),
    onRestart: tell('started again'),
    onFailure: tell('failed'),
  });
  return { supervisor, told, next: () => new Promise<void>((resolve) => (onTold = resolve)) };
}

const policy = { service: 'policy', replica: '0' };
const WHY = 'exit 2: CONFIG_INVALID: environment variable REDIS_URL: ';

describe('Supervisor', () => {
  it('gives up a service at once that ends with 2, with its last line as the reason', async () => {
    const { supervisor, told, next } = supervised({});
    supervisor.start(policy);
    await next();
    expect(told).toEqual([expect.stringMatching(`^failed \\| ${WHY}.+ \\| true$`)]);
    await supervisor.stop(5_000);
  });

  it('goes on after a trial that ends with 2, and says why it ended', async () => {
    const { supervisor, told, next } = supervised({});
    supervisor.tryOut(policy);
    await next();
    expect(told).toEqual([expect.stringMatching(`^trial ended \\| ${WHY}.+ \\| $`)]);
    expect(supervisor.has(policy)).toBe(false);
    await supervisor.stop(5_000);
  });

  it('bounds the young generation of a service, and so does the image', async () => {
    const { supervisor, next } = supervised({});
    supervisor.start(policy);
    const [argument] = nodeArguments();
    expect(readFileSync(`/proc/${supervisor.pidOf(policy)}/cmdline`, 'utf8').split('\0')).toContain(argument);
    await next();
    await supervisor.stop(5_000);
    const entrypoint = readFileSync(join(__dirname, '../../../../infra/docker/entrypoint.sh'), 'utf8');
    expect(entrypoint).toContain(`exec node ${argument} "$main"`);
  });
});
