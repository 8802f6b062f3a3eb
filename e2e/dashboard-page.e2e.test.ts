import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connectRedis, RunState, type Redis } from '@forge/broker';
import type { Sample } from '@forge/contracts';
import { loadTask } from '@forge/recipe-parts';
import { isAlive, readRun, redisUrlOf } from '@forge/runs';
import { waitFor } from '@forge/testing';
import type { Browser, Page } from 'playwright-core';
import type { RolloutView, RunView, SampleRollout } from '../services/dashboard/src/api';
import {
  accessibilityProblems,
  findChromium,
  keepScreenshot,
  openPage,
  overflow,
  startChromium,
  type Look,
  type WatchedPage,
} from './browser';
import { directoryWithModel, smallRecipe } from './service-processes';

jest.setTimeout(900_000);

const chromium = findChromium();
if (chromium === null)
  console.warn('no Chromium here (CHROMIUM_PATH, /usr/bin/chromium): the page is not looked at');
const describeWithChromium = chromium === null ? describe.skip : describe;

const forge = join(__dirname, '..', 'services/cli/bin/forge.cjs');
const TOKEN = 'a token of this test';
const SCORE_MS = 300;
const TABS = ['curves', 'pipeline', 'rollouts', 'ledger', 'weights', 'steer', 'settings'];

let dir: string;
let runsDir: string;
/** While this file is there, a reward throws. */
let breaks: string;
let base: string;
let browser: Browser;
let dashboard: ChildProcess;
const children: ChildProcess[] = [];
const redises: Redis[] = [];

function start(...args: string[]): ChildProcess {
  const env: NodeJS.ProcessEnv = { ...process.env, REDIS_URL: '', FORGE_DASHBOARD_TOKEN: TOKEN };
  const child = spawn(process.execPath, [forge, ...args], { cwd: dir, env, stdio: 'ignore' });
  children.push(child);
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGINT');
  await once(child, 'close');
}

async function startDashboard(): Promise<void> {
  dashboard = start('dashboard', '--dir', runsDir, '--port', new URL(base).port);
  await waitFor(
    'the dashboard',
    () =>
      fetch(`${base}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    60_000,
  );
}

async function get<T>(path: string): Promise<T> {
  return (await (await fetch(`${base}/api${path}`)).json()) as T;
}
const viewOf = (id: string): Promise<RunView> => get(`/runs/${id}`);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The Redis of a running run. */
async function redisOf(id: string): Promise<Redis> {
  const { record } = readRun(runsDir, id, isAlive)!;
  const redis = await connectRedis(redisUrlOf(record!), { name: 'test', giveUpAfterMs: 5_000 });
  redises.push(redis);
  return redis;
}

/**
 * A reward that throws for one prompt, the next that comes, while a file is there; it keeps the prompt in it. Not for
 * one of an evaluation, which is not rolled out again, nor for a short one, which soon comes again by itself. It takes
 * its time without computing: the browser needs the machine, too.
 */
const fragileReward = (file: string, heldOut: readonly Sample[]): string => `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const file = ${JSON.stringify(file)};
const spared = new Set(${JSON.stringify(heldOut.map(({ prompt }) => prompt))});
export default () => ({ name: 'fragile', score: async ({ prompt }) => {
  await new Promise((resolve) => setTimeout(resolve, ${SCORE_MS}));
  if (!existsSync(file)) return 0;
  if (readFileSync(file, 'utf8') === '' && prompt.length > 7 && !spared.has(prompt)) writeFileSync(file, prompt);
  if (readFileSync(file, 'utf8') === prompt) throw new Error('out of order');
  return 0;
} });`;

/** A run as another version of Forge would have written it. */
function writeForeignRun(): void {
  const [known] = readdirSync(runsDir);
  const record = JSON.parse(readFileSync(join(runsDir, known!, 'run.json'), 'utf8')) as object;
  mkdirSync(join(runsDir, 'foreign'));
  writeFileSync(
    join(runsDir, 'foreign', 'run.json'),
    JSON.stringify({ ...record, id: 'foreign', schemaVersion: 999 }),
  );
}

const at = (id: string, part = ''): string => `${base}/#/runs/${id}${part === '' ? '' : `/${part}`}`;
const text = (page: Page, selector: string): Promise<string> => page.locator(selector).first().innerText();
/** Waits for a text; where it does not come, what is there instead is kept. */
async function see(page: Page, what: string | RegExp): Promise<void> {
  try {
    await page.getByText(what).first().waitFor();
  } catch (error) {
    await keepScreenshot(page, 'light', 'failure');
    throw error;
  }
}

/** Shows each view in a look, sees that it is fit for everyone, and keeps how it looks. */
async function lookAtAll(
  { page }: WatchedPage,
  look: Look,
  views: readonly [name: string, address: string][],
): Promise<void> {
  const wrong: string[] = [];
  for (const [name, address] of views) {
    await page.goto(address);
    await page.locator('main h1').first().waitFor();
    await page.waitForTimeout(600);
    const tooWide = await overflow(page);
    if (tooWide > 0) wrong.push(`${name}: ${tooWide} pixels too wide`);
    await keepScreenshot(page, look, name);
    wrong.push(...(await accessibilityProblems(page, look)).map((problem) => `${name}: ${problem}`));
  }
  expect(wrong).toEqual([]);
}

describeWithChromium('the page of the dashboard', () => {
  beforeAll(async () => {
    dir = await directoryWithModel();
    runsDir = join(dir, 'runs');
    base = `http://127.0.0.1:${await freePort()}`;
    const recipe = smallRecipe(dir, {
      name: 'shown',
      steps: 100_000,
      task: { kind: 'arithmetic', maxDigits: 4, heldOut: 80 },
      policy: { replicas: 2 },
      trainer: { learningRate: 0.003, warmupSteps: 0, checkpointEverySteps: 50, keepVersions: 40 },
      rewards: [{ name: 'length', targetTokens: 3 }, { name: 'exact' }, { module: join(dir, 'fragile.js') }],
      evaluation: { everySteps: 10, samples: 80, reward: 'exact' },
      output: { dir: runsDir, sampleRollouts: 2 },
    });
    breaks = join(dir, 'breaks');
    writeFileSync(join(dir, 'fragile.js'), fragileReward(breaks, (await loadTask(recipe)).heldOut));
    writeFileSync(join(dir, 'shown.yaml'), JSON.stringify(recipe));
    const before = start('run', 'shown.yaml', 'steps=12', 'seed=4', 'trainer.learningRate=0.01');
    await once(before, 'close');
    writeForeignRun();
    await startDashboard();
    browser = await startChromium(chromium!);
  }, 240_000);

  afterAll(async () => {
    await browser.close();
    for (const redis of redises) redis.disconnect();
    // A run that is killed leaves its services behind.
    await Promise.all(children.map((child) => ended(child)));
    rmSync(dir, { recursive: true, force: true });
  });

  it('shows a live run in every view, steers it, sees it recover and end', async () => {
    const run = start('run', 'shown.yaml');
    const over = once(run, 'close');
    const watched = await openPage(browser, base, 'light');
    const { page, faults } = watched;

    // Runs, as they come.
    await page.goto(base);
    await page.locator('tr', { hasText: 'running' }).waitFor();
    await see(page, 'can’t be shown');
    const id = await text(page, 'tr:has(.state-running) th a');
    await page.locator('tr:has(.state-running) th a').click();
    await page.locator('.line-chart canvas').first().waitFor();
    expect(page.url()).toBe(at(id));

    // The headline follows the run.
    const stepOf = async (): Promise<number> =>
      Number((await text(page, '.facts .step-bar')).split(' of')[0]!.replaceAll(/\D/g, ''));
    const step = await stepOf();
    await waitFor('more steps', async () => (await stepOf()) > step + 5, 60_000);
    expect(await text(page, '.verdict')).not.toBe('');
    expect(await page.locator('.pipeline-node').count()).toBe(6);
    await page.locator('.heat-map rect').first().waitFor();
    expect(await text(page, '.ledger p')).toContain('it adds up');

    // An invalid message becomes a dead letter, and so does a group whose reward throws.
    const redis = await redisOf(id);
    const runState = new RunState(redis, id);
    const { groups } = runState.keys;
    await redis.xadd(groups, '*', 'index', '5', 'payload', 'no group');
    writeFileSync(breaks, '');

    // Try without a token, with a wrong one, and with the right one.
    await page.goto(at(id, 'steer'));
    await see(page, 'Changes need the token.');
    expect(await page.getByRole('button', { name: 'Pause' }).isDisabled()).toBe(true);
    await page.locator('main').getByLabel('Token').fill('a wrong token, for sure');
    await page.locator('main').getByRole('button', { name: 'Use', exact: true }).click();
    await page.getByRole('button', { name: 'Pause' }).click();
    await see(page, 'The token is wrong');
    await keepScreenshot(page, 'light', 'wrong-token');
    expect((await viewOf(id)).live!.isPaused).toBe(false);
    await page.goto(`${base}/#token=${encodeURIComponent(TOKEN)}`);
    await page.waitForURL(at(id));
    expect(await page.evaluate('location.href')).not.toContain('token');

    await page.goto(at(id, 'steer'));
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.locator('.badge.state-paused').waitFor();
    await see(page, 'Admission is paused');
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.locator('.badge.state-running').waitFor();
    await page.getByLabel('maxStaleness').fill('1');
    await page.locator('form', { hasText: 'maxStaleness' }).getByRole('button', { name: 'Set' }).click();
    await see(page, 'of 1 allowed');
    await see(page, /maxStaleness \d → 1/);

    // A second replica of a service.
    await page.getByLabel('Replicas of reward').fill('2');
    const rewards = page.locator('form', { hasText: 'Replicas of reward' });
    await rewards.getByRole('button', { name: 'Set' }).click();
    await see(page, '2 replicas of reward were asked for');
    await rewards.getByText('Ready: 2.').waitFor();
    await page.goto(at(id, 'pipeline'));
    await page.locator('tr', { hasText: 'reward/1' }).getByText('● ready').waitFor();
    await page.locator('.pipeline-node', { hasText: /reward\s*× 2/ }).waitFor();

    // A group that failed for good is rolled out again once its reward is repaired.
    await page.goto(at(id, 'ledger'));
    const failed = page.locator('.letter', { hasText: 'out of order' });
    await failed.waitFor();
    expect(await failed.innerText()).toContain('3 attempts');
    const given = Number((await failed.getByRole('link').innerText()).replaceAll(/\D/g, ''));
    rmSync(breaks);
    await failed.getByRole('button', { name: 'Replay' }).click();
    await see(page, `r-${given} was asked to be tried again`);
    await failed.waitFor({ state: 'detached' });
    const again = await waitFor('its rollout', async () => {
      const { groups } = await runState.ledgerSnapshot();
      const [found] = [...groups].find(([, { replayOf }]) => replayOf === given) ?? [];
      return found;
    });
    await page.goto(at(id, `rollouts/${again}`));
    await page.getByRole('link', { name: `rollout ${given}`, exact: true }).click();
    await see(page, 'discarded: failed');

    // Back to an earlier version.
    await page.goto(at(id, 'weights'));
    await page.getByRole('button', { name: 'Roll back to version' }).nth(5).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Roll back to version' }).click();
    await see(page, 'was asked for');
    await page.goto(at(id));
    await see(page, /rolled back to \d+/);

    // A policy dies, and another one takes its place.
    await page.goto(at(id, 'pipeline'));
    const policy = (await viewOf(id)).live!.replicas.find(({ service }) => service === 'policy')!;
    process.kill(policy.pid, 'SIGKILL');
    const row = page.locator('tr', { hasText: `policy/${policy.replica}` });
    await waitFor(
      'the restart',
      async () => (await row.locator('[data-label=Restarts]').innerText()) === '1',
      60_000,
    );
    await row.getByText('● ready').waitFor();

    // Go from a sample to its history, its trace and its step.
    await page.goto(at(id, 'rollouts'));
    await page.getByRole('button', { name: 'Hold still' }).click();
    await page.locator('.tokens').first().focus();
    await page.keyboard.press('ArrowRight');
    await see(page, /log-prob .* nats, probability .*, version \d+/);
    let rollout = '';
    await waitFor('a sample that was trained, and the end of its trace', async () => {
      const samples = await get<SampleRollout[]>(`/runs/${id}/samples`);
      for (const { index } of samples) {
        const { history, spans } = await get<RolloutView>(`/runs/${id}/rollouts/${index}`);
        const isOver = spans.some(({ parentId }) => parentId === null);
        if (history?.state === 'trained' && isOver) rollout = String(index);
      }
      return rollout !== '';
    });
    await page
      .getByRole('link', { name: /^Rollout \d/ })
      .first()
      .click();
    await page.waitForURL(/rollouts\/\d+$/);
    await page.goto(at(id, `rollouts/${rollout}`));
    await see(page, 'In the batch of');
    await page
      .getByRole('button', { name: /^generate/ })
      .first()
      .click();
    await see(page, 'gen_ai.usage.output_tokens');
    await page.getByRole('link', { name: /^step \d+/ }).click();
    await see(page, 'Measured');
    const trained = page.url().split('/').at(-1)!;
    expect((await get<RolloutView>(`/runs/${id}/rollouts/${rollout}`)).history).toMatchObject({
      step: Number(trained),
      produced: { version: Number(trained) },
    });
    // Go back: a step links to the rollouts of its batch.
    await page.getByRole('link', { name: rollout, exact: true }).click();
    await see(page, 'In the batch of');

    // Look at every view in every look.
    const [older] = (await get<RunView['run'][]>('/runs')).filter(({ state }) => state === 'finished');
    const ofRun: [string, string][] = [
      ['overview', at(id)],
      ...TABS.map((tab): [string, string] => [tab, at(id, tab)]),
      ['rollout', at(id, `rollouts/${rollout}`)],
      ['step', at(id, `steps/${trained}`)],
    ];
    const views: [string, string][] = [
      ...ofRun,
      ['runs', `${base}/#/`],
      ['compare', `${base}/#/compare/${id}/${older!.id}`],
      ['unknown-run', at('nothing')],
      ['foreign-run', at('foreign')],
      ['unknown-view', `${base}/#/nothing`],
    ];
    await lookAtAll(watched, 'light', views);
    for (const look of ['dark', 'phone'] as const) {
      const other = await openPage(browser, base, look);
      await other.page.goto(`${base}/#token=${encodeURIComponent(TOKEN)}`);
      await other.page.waitForURL(at(id));
      await lookAtAll(other, look, views);
      expect(other.faults).toEqual([]);
      await other.context.close();
    }

    // The dead letter is thrown away.
    await page.goto(at(id, 'ledger'));
    await page.getByText('Payload').first().click();
    await page
      .getByRole('button', { name: /^Discard/ })
      .first()
      .click();
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Discard/ })
      .click();
    await see(page, 'is discarded');
    await see(page, 'There are none');

    // Redis goes away and comes back.
    const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))![1]);
    await page.goto(at(id));
    process.kill(redisPid, 'SIGSTOP');
    await page.locator('.banner').waitFor();
    expect(await text(page, '.banner')).toContain('does not answer');
    await keepScreenshot(page, 'light', 'redis-away');
    process.kill(redisPid, 'SIGCONT');
    await page.locator('.banner').waitFor({ state: 'detached' });

    // The dashboard's server goes and comes back, too.
    dashboard.kill('SIGKILL');
    await see(page, 'The dashboard’s server does not answer');
    await keepScreenshot(page, 'light', 'server-away');
    await startDashboard();
    await page.locator('.banner').waitFor({ state: 'detached' });

    // The end, and after it: nothing can be changed then.
    await redis.xadd(groups, '*', 'index', '6', 'payload', 'no group');
    await page.goto(at(id, 'ledger'));
    await page.getByRole('button', { name: /^Replay/ }).waitFor();
    const last = (await viewOf(id)).run.step + 20;
    await page.goto(at(id, 'steer'));
    await page.getByLabel('steps', { exact: true }).fill(String(last));
    await page
      .locator('form', { hasText: 'The run ends after' })
      .getByRole('button', { name: 'Set' })
      .click();
    await page.locator('.badge.state-finished').waitFor({ timeout: 90_000 });
    await over;
    await see(page, 'The run is over (finished)');
    await lookAtAll(
      watched,
      'light',
      ofRun.map(([name, address]) => [`${name}-finished`, address]),
    );
    await page.goto(at(id, 'pipeline'));
    await see(page, 'No replicas: The run is over');
    await page.goto(at(id, 'weights'));
    await see(page, 'The run is over');
    await page.locator('main tbody tr').first().waitFor();
    await keepScreenshot(page, 'light', 'weights-finished');
    expect(await page.getByRole('button', { name: /^Roll back/ }).count()).toBe(0);
    await page.goto(at(id, 'ledger'));
    await page.getByRole('button', { name: /^Discard/ }).waitFor();
    await keepScreenshot(page, 'light', 'ledger-finished');
    expect(await page.getByRole('button', { name: /^Replay/ }).count()).toBe(0);
    expect(faults).toEqual([]);
  });

  it('can be used with the keyboard alone, and keeps to the chosen colours', async () => {
    const { page, context } = await openPage(browser, base, 'light');
    await page.goto(base);
    await page.getByRole('checkbox').first().waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await see(page, 'Choose another one');

    const ground = (): Promise<string> =>
      page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    const light = await ground();
    await page.getByLabel('Colours').selectOption('dark');
    const dark = await ground();
    expect(dark).not.toBe(light);
    await page.reload();
    expect(await ground()).toBe(dark);
    await context.close();
  });
});
