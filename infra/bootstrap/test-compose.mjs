// npm run test:compose: builds the image, runs the stack with docker compose, scales it, kills a part, checks the
// ledger. Where no Docker engine answers it says so and skips. FORGE_BUILD_OPTIONS goes to docker build,
// FORGE_TEST_IMAGE names an image to use instead of building one. The last line is "N passed, N failed, N skipped".
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './prepare.mjs';

const MINUTE_MS = 60_000;
/** Held-out accuracy must rise by so much. */
const RISE = 0.1;
const STEPS_AFTER_KILL = 10;
const CHECKS = [
  'the stack comes up with two policies',
  'the dashboard shows the run, and steers it with the token only',
  'held-out accuracy rises',
  'a third policy joins',
  'training goes on when a policy is killed',
  'a stopped policy drains',
  'the ledger balances',
];

const project = `forge-test-${process.pid}`;
const image = process.env.FORGE_TEST_IMAGE ?? `${project}:cpu`;
const environment = {
  ...process.env,
  DOCKER_BUILDKIT: '1',
  COMPOSE_PROJECT_NAME: project,
  // An engine whose storage copies images takes its time.
  COMPOSE_HTTP_TIMEOUT: '600',
  COMPOSE_PROFILES: 'cpu',
  FORGE_IMAGE: image,
  FORGE_RUN_ID: 'test',
  FORGE_RECIPE: 'arithmetic-grpo',
  FORGE_OVERRIDES: 'seed=1 stopAtAccuracy=null',
  // Any free port.
  FORGE_DASHBOARD_PORT: '127.0.0.1:0',
};

function spawn(command, args, stdio = ['ignore', 'pipe', 'pipe']) {
  return spawnSync(command, args, {
    cwd: root,
    env: environment,
    stdio,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
}

function run(command, args) {
  const { status, stdout, stderr, error } = spawn(command, args);
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit ${status}\n${stdout}${stderr}`}`);
}

const say = (text) => process.stderr.write(`test:compose: ${text}\n`);

/** The command of compose on this machine; null when it is not there. */
function composeCommand() {
  if (spawn('docker', ['compose', 'version']).status === 0) return ['docker', 'compose'];
  return spawn('docker-compose', ['version']).status === 0 ? ['docker-compose'] : null;
}

function skipReason() {
  if (spawn('docker', ['version']).status !== 0) return 'no Docker engine answers';
  return composeCommand() === null ? 'neither docker compose nor docker-compose is installed' : null;
}

const reason = skipReason();
if (reason !== null) {
  say(`skipped: ${reason}`);
  console.log(`0 passed, 0 failed, ${CHECKS.length} skipped`);
  process.exit(0);
}

const [program, ...before] = composeCommand();
const compose = (...args) => run(program, [...before, ...args]);
const up = (policies) => compose('up', '-d', '--no-build', '--no-recreate', '--scale', `policy=${policies}`);
const forge = (...args) => compose('exec', '-T', 'coordinator', 'forge', ...args);
const containersOf = (service) => compose('ps', '-q', service).split('\n').filter(Boolean);

async function waitFor(what, minutes, look) {
  const until = Date.now() + minutes * MINUTE_MS;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > until) throw new Error(`${what}: not within ${minutes} minutes`);
    await sleep(2000);
  }
}

function live() {
  const [report] = JSON.parse(forge('status', '--json'));
  return report?.live ?? null;
}

/** Answer of `ask`, or null while the stack can't answer yet. */
async function attempt(ask) {
  try {
    return await ask();
  } catch {
    return null;
  }
}

const readyPolicies = () => live()?.services.policy.filter(({ isReady }) => isReady) ?? [];

function accuracies() {
  const rows = compose('exec', '-T', 'coordinator', 'cat', 'runs/test/metrics.jsonl').trim().split('\n');
  return rows.map((row) => JSON.parse(row)['eval/accuracy']).filter((accuracy) => accuracy !== undefined);
}

const steps = [
  async () => {
    up(2);
    await waitFor('two ready policies', 10, () =>
      attempt(() => (readyPolicies().length === 2 ? true : null)),
    );
  },
  async () => {
    const url = `http://${compose('port', 'dashboard', '8080').trim()}`;
    const page = await waitFor('the page', 2, () => attempt(async () => (await fetch(url)).text()));
    if (!page.includes('<script')) throw new Error(`it shows ${page}`);
    const view = await waitFor('its steps', 5, () =>
      attempt(async () => {
        const { live } = await (await fetch(`${url}/api/runs/test`)).json();
        return live.version > 0 ? live : null;
      }),
    );
    const policies = view.replicas.filter(({ service, isReady }) => service === 'policy' && isReady);
    if (policies.length !== 2) throw new Error(`it shows ${policies.length} ready policies`);
    const token = compose('exec', '-T', 'dashboard', 'cat', '/run/forge/dashboard-token').trim();
    const post = async (what, authorization) => {
      const headers = { authorization: `Bearer ${authorization}` };
      return (await fetch(`${url}/api/runs/test/${what}`, { method: 'POST', headers })).status;
    };
    const answers = [
      await post('pause', 'guessed'),
      await post('pause', token),
      await post('unpause', token),
    ];
    if (`${answers}` !== '401,204,204') throw new Error(`it answers ${answers}`);
  },
  async () => {
    const seen = await waitFor('a rise', 15, () =>
      attempt(() => {
        const all = accuracies();
        return all.length > 1 && all.at(-1) >= all[0] + RISE ? all : null;
      }),
    );
    return `${seen[0]} -> ${seen.at(-1)}`;
  },
  async () => {
    up(3);
    await waitFor('three ready policies', 10, () =>
      attempt(() => (readyPolicies().length === 3 ? true : null)),
    );
  },
  async () => {
    const from = live().version;
    run('docker', ['kill', '--signal=KILL', containersOf('policy')[0]]);
    await waitFor(`${STEPS_AFTER_KILL} more steps`, 5, () =>
      attempt(() => (live().version >= from + STEPS_AFTER_KILL ? true : null)),
    );
    return `from step ${from}`;
  },
  async () => {
    const id = readyPolicies()[0].replica;
    run('docker', ['stop', '--time', '60', id]);
    const code = run('docker', ['inspect', '--format', '{{.State.ExitCode}}', id]).trim();
    if (code !== '0') throw new Error(`it exited with ${code}`);
  },
  async () => forge('ledger', 'test', '--verify').trim().split('\n').at(-1),
];

function build() {
  if (process.env.FORGE_TEST_IMAGE) return;
  // A machine whose registries have a certificate authority of their own says so to Node by this variable.
  const ca = process.env.NODE_EXTRA_CA_CERTS
    ? ['--secret', `id=ca,src=${process.env.NODE_EXTRA_CA_CERTS}`]
    : [];
  const options = (process.env.FORGE_BUILD_OPTIONS ?? '').split(' ').filter(Boolean);
  const args = [
    'build',
    '-f',
    'infra/docker/Dockerfile',
    '--target',
    'cpu',
    '-t',
    image,
    // The stack is the same without; FORGE_BUILD_OPTIONS may ask for it.
    '--build-arg',
    'TENSORFLOW=no',
    ...ca,
    ...options,
    '.',
  ];
  say(`building ${image} ...`);
  if (spawn('docker', args, ['ignore', 2, 2]).status !== 0)
    throw new Error(`docker ${args.join(' ')} failed`);
}

function tearDown() {
  say(`removing ${project} ...`);
  spawn(program, [...before, 'down', '--volumes', '--remove-orphans', '--timeout', '60'], ['ignore', 2, 2]);
  if (!process.env.FORGE_TEST_IMAGE) spawn('docker', ['rmi', image]);
}

for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    tearDown();
    process.exit(130);
  });

let passed = 0;
try {
  build();
  for (const step of steps) {
    const detail = await step();
    say(`ok: ${CHECKS[passed]}${detail ? ` (${detail})` : ''}`);
    passed += 1;
  }
} catch (error) {
  say(`failed: ${CHECKS[passed]}: ${error.message}`);
  say(spawn(program, [...before, 'logs', '--tail', '20']).stdout);
} finally {
  tearDown();
}
const isDone = passed === CHECKS.length;
console.log(`${passed} passed, ${isDone ? 0 : 1} failed, ${isDone ? 0 : CHECKS.length - passed - 1} skipped`);
process.exit(isDone ? 0 : 1);
