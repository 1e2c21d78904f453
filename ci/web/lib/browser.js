// The browser, and what tests do with it time and again.

import { chromium } from 'playwright-core';

export const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium';
export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

export const start = () => chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });

/** Opens a page in a context of its own, hands it to `body`, closes it. Errors of scripts fail. */
export async function visit(browser, url, options, body) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: 'en-US', ...options });
  const errors = [];
  try {
    context.setDefaultTimeout(10_000);
    const page = await context.newPage();
    page.on('pageerror', (error) => errors.push(`script error: ${error.message}`));
    page.on('console', (message) => message.type() === 'error' && errors.push(`console: ${message.text()}`));
    await page.goto(url, { waitUntil: 'load' });
    const result = await body(page, context);
    if (errors.length) throw new Error(errors.join('\n'));
    return result;
  } finally {
    await context.close();
  }
}

/** Runs `body` for each item, two at a time, and gives all the problems that it returns. */
export async function each(items, body) {
  const problems = [];
  const queue = items.slice();
  await Promise.all([0, 1].map(async () => {
    for (let item = queue.shift(); item; item = queue.shift()) problems.push(...(await body(item) || []));
  }));
  return problems.sort();
}
