import { join } from 'node:path';
import type { ShownMessage } from '@forge/contracts';
import type { Browser } from 'playwright-core';
import { DashboardUnderTest } from '../services/dashboard/src/test-run.fixture';
import {
  accessibilityProblems,
  findChromium,
  keepScreenshot,
  LOOKS,
  openPage,
  overflow,
  startChromium,
  type Look,
} from './browser';

jest.setTimeout(300_000);

const chromium = findChromium();
if (chromium === null)
  console.warn('no Chromium here (CHROMIUM_PATH, /usr/bin/chromium): conversations are not looked at');
const describeWithChromium = chromium === null ? describe.skip : describe;

const opening: ShownMessage[] = [
  { role: 'system', text: 'You keep a shop. Use the tools, and answer with the sum alone.' },
  { role: 'user', text: 'What do 17 chairs at 24.50 and 3 tables at 119 cost?' },
];
const solved: ShownMessage[] = [
  ...opening,
  {
    role: 'assistant',
    text: 'Chairs first.',
    reasoning: 'Seventeen times 24.50 is more than I can do in my head.',
    toolCalls: [{ name: 'calculator', arguments: '{"expression":"17 * 24.50","digits":2}' }],
    reward: 0.25,
  },
  { role: 'tool', name: 'calculator', text: '416.50' },
  {
    role: 'assistant',
    text: '',
    fork: 'template-drops-thinking',
    toolCalls: [
      { name: 'calculator', arguments: '{"expression":"3 * 119"}' },
      { name: 'calculator', arguments: '{"expression":"416.50 +' },
    ],
    reward: 0,
  },
  { role: 'tool', name: 'calculator', text: '357' },
  { role: 'tool', name: 'calculator', text: 'SyntaxError: expected a number behind +' },
  { role: 'assistant', text: '773.50', reward: 0.75 },
  { role: 'agent', text: 'calculator: 2 calls\ncalculator: 1 of them failed' },
];
const failed: ShownMessage[] = [
  ...opening,
  { role: 'assistant', text: 'That is about 800.', reward: 0 },
  { role: 'user', text: 'Not about. What exactly?\nTake your time.' },
  { role: 'assistant', text: 'Eight hundred.', reward: -0.5 },
];
const tokensOf = (...texts: string[]) => ({
  texts,
  logprobs: texts.map((_, t) => -t / 2),
  versions: texts.map(() => 4),
});
const conversed = {
  ...{ index: 12, version: 4, prompt: 'user: What do 17 chairs cost?' },
  ...{ texts: ['Chairs first.\n773.50', 'That is about 800.\nEight hundred.'], rewards: [1, -0.5] },
  rewardsByFunction: [{ exact: 1 }, { exact: 0 }],
  tokens: [tokensOf('Ch', 'airs', ' first', '.'), tokensOf('That', ' is')],
  conversations: [solved, failed],
  ends: [null, 'turns'],
};
const single = { index: 7, version: 4, prompt: '1+1=', texts: ['2', '3'], rewards: [1, 0] };

const under = new DashboardUnderTest();
let browser: Browser;

describeWithChromium('the page of a rollout of several turns', () => {
  let base: string;

  beforeAll(async () => {
    browser = await startChromium(chromium!);
    under.directory('talks', { state: 'finished' });
    under.write('talks', 'samples.jsonl', single, conversed);
    const pageDir = join(__dirname, '../services/dashboard/dist/web');
    base = (await under.start({ pageDir })).url;
  });
  afterAll(async () => {
    await browser?.close();
    await under.stop();
  });

  it.each(Object.keys(LOOKS) as Look[])('is a conversation, in the look %s', async (look) => {
    const { page, context, faults } = await openPage(browser, base, look);
    await page.goto(`${base}/#/runs/talks/rollouts/12`);
    await page.getByText('773.50', { exact: true }).waitFor();
    const first = page.locator('.conversation').first();
    expect(await first.locator('.speaker').allTextContents()).toEqual([
      ...['System', 'User', 'Policy', 'Tool calculator'],
      ...['Policy', 'Tool calculator', 'Tool calculator', 'Policy', 'Standard error of the agent'],
    ]);
    expect(await first.locator('.turn-reward').allTextContents()).toEqual(['+0.25', '0', '+0.75']);
    expect(await first.locator('.break').allTextContents()).toEqual([
      'New part: the chat template leaves out earlier thinking',
    ]);
    expect(await first.locator('.tool-call dd').allTextContents()).toEqual(['17 * 24.50', '2', '3 * 119']);
    expect(await first.locator('.tool-call pre').allTextContents()).toEqual(['{"expression":"416.50 +']);
    expect(await page.locator('.break.is-end').allTextContents()).toEqual([
      'Cut off: it had as many turns as it may have',
    ]);
    expect(await page.getByText('3 turns in 2 parts').count()).toBe(1);
    expect(await page.getByText('Seventeen times').isVisible()).toBe(false);
    await page.getByText('Thoughts').click();
    await page.getByText('Seventeen times').waitFor();
    await keepScreenshot(page, look, 'rollout-of-several-turns');
    expect([await overflow(page), await accessibilityProblems(page, look)]).toEqual([0, []]);
    await page.getByText('Generated tokens').first().click();
    await page.locator('.token', { hasText: 'airs' }).waitFor();
    expect(faults).toEqual([]);
    await context.close();
  });

  it('shows one of a single turn as before', async () => {
    const { page, context } = await openPage(browser, base, 'light');
    await page.goto(`${base}/#/runs/talks/rollouts/7`);
    await page.getByText('1+1=').waitFor();
    expect(await page.locator('.completion-text').allTextContents()).toEqual(['2', '3']);
    expect(await page.locator('.conversation').count()).toBe(0);
    await context.close();
  });
});
