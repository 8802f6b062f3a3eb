import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

const root = join(__dirname, '..');

/** Directory of the screenshots to look at. */
export const SCREENSHOTS = join(root, '.forge', 'screenshots');

const USUAL_PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** The browser of this machine: CHROMIUM_PATH, or in one of the usual places; null when it is missing. */
export function findChromium(): string | null {
  const places = process.env['CHROMIUM_PATH'] === undefined ? USUAL_PLACES : [process.env['CHROMIUM_PATH']];
  return places.find((path) => existsSync(path)) ?? null;
}

/** Ways to look at a page. */
export const LOOKS = {
  light: { viewport: { width: 1280, height: 860 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 860 }, colorScheme: 'dark' },
  phone: { viewport: { width: 375, height: 740 }, colorScheme: 'light', hasTouch: true, isMobile: true },
} as const;
export type Look = keyof typeof LOOKS;

/** A page that notes what it should not do: errors, requests to others, anything its policy forbids. */
export interface WatchedPage {
  page: Page;
  context: BrowserContext;
  faults: string[];
}

export function startChromium(executablePath: string): Promise<Browser> {
  // Chromium has no sandbox for root; the page is ours.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}

export async function openPage(browser: Browser, base: string, look: Look): Promise<WatchedPage> {
  const context = await browser.newContext({ ...LOOKS[look], reducedMotion: 'reduce' });
  // A busy machine has its time; how fast the page is, is not looked at here.
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A request that fails is the server's business; it is said on the page.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      faults.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith('data:'))
      faults.push(`request: ${request.url()}`);
  });
  return { page, context, faults };
}

/** Keeps how a page looks, all of it. */
export async function keepScreenshot(page: Page, look: Look, name: string): Promise<void> {
  const directory = join(SCREENSHOTS, look);
  mkdirSync(directory, { recursive: true });
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
}

interface AxeResults {
  violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[];
}

/** Rules to check in each look: all in `light`, colours only in the dark, all but colours on a phone. */
const RULES: Record<Look, object> = {
  light: {},
  dark: { runOnly: ['color-contrast'] },
  phone: { rules: { 'color-contrast': { enabled: false } } },
};

/** Problems axe finds in a page for people who can't see or point well, a line each. */
export async function accessibilityProblems(page: Page, look: Look): Promise<string[]> {
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  const { violations } = await page.evaluate<AxeResults>(`axe.run(${JSON.stringify(RULES[look])})`);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html} ${node.failureSummary ?? ''}`),
  );
}

/** Pixels by which the page is wider than its viewport. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
}
