import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { waitFor } from '@forge/testing';

/** A way between a host and all others that is no perfect one. */
export interface Cable {
  /** Time a frame takes in one direction. */
  delayMs: number;
  /** Share of frames that are lost. */
  loss: number;
}

const BRIDGE = 'forge0';
/** Address of the test itself. */
const OWN = 254;

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/**
 * Hosts with addresses of their own on one network: network namespaces on a bridge. It wants a network namespace that it may do
 * with what it likes, as `npm run test:hosts` makes it; what it made goes with that.
 */
export class HostNetwork {
  private readonly numbers = new Map<string, number>();
  private readonly cables: ChildProcess[] = [];

  constructor() {
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', BRIDGE, 'type', 'bridge');
    ip('link', 'set', BRIDGE, 'up');
    ip('addr', 'add', `10.77.0.${OWN}/24`, 'dev', BRIDGE);
  }

  /** Adds a host, with an imperfect cable or so many megabits a second in each direction where one is given. */
  async add(host: string, cable?: Cable, megabits?: number): Promise<void> {
    const number = this.numbers.size + 1;
    this.numbers.set(host, number);
    const [plug, device] = [plugOf(host), `${host}-eth`];
    ip('netns', 'add', host);
    if (cable === undefined) ip('link', 'add', plug, 'type', 'veth', 'peer', 'name', device);
    else await this.lay(plug, device, cable);
    ip('link', 'set', device, 'netns', host);
    ip('link', 'set', plug, 'master', BRIDGE, 'up');
    ip('-n', host, 'link', 'set', 'lo', 'up');
    ip('-n', host, 'addr', 'add', `${this.addressOf(host)}/24`, 'dev', device);
    ip('-n', host, 'link', 'set', device, 'up');
    if (megabits === undefined) return;
    const bucket = ['root', 'tbf', 'rate', `${megabits}mbit`, 'burst', '256kb', 'latency', '100ms'];
    execFileSync('tc', ['qdisc', 'add', 'dev', plug, ...bucket]);
    execFileSync('tc', ['-n', host, 'qdisc', 'add', 'dev', device, ...bucket]);
  }

  addressOf(host: string): string {
    return `10.77.0.${this.numbers.get(host)}`;
  }

  /** Pulls the plug of a host: nothing reaches it, and nobody is told. */
  cut(host: string): void {
    ip('link', 'set', plugOf(host), 'down');
  }

  mend(host: string): void {
    ip('link', 'set', plugOf(host), 'up');
  }

  /** The command that runs another one on a host, where the directory `seen` is the host's own one `own`. */
  commandOn(
    host: string,
    { own, seen }: { own: string; seen: string },
    command: readonly string[],
  ): [string, ...string[]] {
    const mounted = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
    return [
      'ip',
      'netns',
      'exec',
      host,
      'unshare',
      '--mount',
      'sh',
      '-c',
      mounted,
      'sh',
      own,
      seen,
      ...command,
    ];
  }

  /** Ends the processes of imperfect cables, and removes the hosts. */
  close(): void {
    for (const cable of this.cables) cable.kill('SIGKILL');
    // An imperfect cable takes its plug with it.
    for (const host of this.numbers.keys()) spawnSync('ip', ['link', 'del', plugOf(host)]);
    for (const host of this.numbers.keys()) ip('netns', 'del', host);
    ip('link', 'del', BRIDGE);
  }

  private async lay(plug: string, device: string, { delayMs, loss }: Cable): Promise<void> {
    const seed = String(this.numbers.size);
    const script = join(__dirname, 'lossy-link.py');
    const cable = spawn('python3', [script, plug, device, String(delayMs), String(loss), seed], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.cables.push(cable);
    let said = '';
    cable.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()));
    await waitFor('an imperfect cable', () => said.includes('ready'));
  }
}

function plugOf(host: string): string {
  return `${host}-plug`;
}
