// What must hold on every page, seen in the browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { each, visit } from '../lib/browser.js';
import { none } from '../lib/site.js';

const AXE = readFileSync(fileURLToPath(import.meta.resolve ? import.meta.resolve('axe-core/axe.min.js') : new URL('../node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8');

// Runs axe in a page; its findings as lines.
async function axe(page, where, only) {
  const violations = await page.evaluate(async (rules) => {
    const options = { resultTypes: ['violations'], ...(rules && { runOnly: { type: 'rule', values: rules } }) };
    return (await window.axe.run(document, options)).violations.map(({ id, help, nodes }) =>
      ({ id, help, nodes: nodes.slice(0, 3).map((node) => `${node.target.join(' ')}${node.any[0]?.data?.contrastRatio ? ` ${node.any[0].data.contrastRatio} : 1` : ''}`) }));
  }, only);
  return violations.map(({ id, help, nodes }) => `${where}: ${id}: ${help}: ${nodes.join(' | ')}`);
}

export default function ({ site, server, browser, test }) {
  const pages = [{ file: 'index.html', language: '' }, { file: '404.html', language: '' }, ...site.pages];
  // The chooser must not leave before it has been looked at.
  const stay = { locale: 'eo' };

  // A page and its translations have one structure (`cargo book check` sees to it), and axe takes most
  // of this suite's time: it sees each page in one of its languages, the next page in the next.
  const paths = [...new Set(site.pages.map(({ path }) => path))].sort();
  const axed = ({ path, language }) => !path || site.languages.indexOf(language) === paths.indexOf(path) % site.languages.length;

  // One visit a page serves three tests.
  let inspected;
  const inspect = () => inspected ||= (async () => {
    const found = { axe: [], wide: [], loading: [] };
    await each(pages, async (one) => {
      const { file, path } = one;
      const context = await browser.newContext({ ...stay, viewport: { width: 320, height: 700 }, colorScheme: 'light', reducedMotion: 'reduce' });
      const page = await context.newPage();
      page.on('request', (request) => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== server.origin) found.loading.push(`${file}: asks for ${request.url()}`); });
      page.on('response', (response) => { if (response.status() >= 400) found.loading.push(`${file}: ${response.status()} for ${response.url()}`); });
      page.on('pageerror', (error) => found.loading.push(`${file}: script error: ${error.message}`));
      page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) found.loading.push(`${file}: console: ${message.text()}`); });
      await page.goto(server.url(file), { waitUntil: 'load' });
      // Nothing is hidden from the tools in closed boxes.
      await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
      found.wide.push(...await page.evaluate((file) => {
        const wide = document.documentElement.scrollWidth;
        if (wide <= 320) return [];
        const beyond = [...document.querySelectorAll('body *')].filter((element) => element.getBoundingClientRect().right > 321 && element.checkVisibility()).slice(0, 3);
        return [`${file}: ${wide} pixels wide, because of ${beyond.map((element) => `<${element.localName} class="${element.className.baseVal ?? element.className}">`).join(', ')}`];
      }, file));
      // The print page holds all other pages; what axe says of them it says there.
      if (path !== 'print.html' && axed(one)) {
        await page.setViewportSize({ width: 1280, height: 900 });
        await page.evaluate(AXE);
        found.axe.push(...await axe(page, `${file} (light)`));
        await page.emulateMedia({ colorScheme: 'dark' });
        found.axe.push(...await axe(page, `${file} (dark)`, ['color-contrast', 'link-in-text-block']));
      }
      await context.close();
    });
    return found;
  })();

  test('axe finds nothing on any page, in one of its languages, light or dark', async () => none((await inspect()).axe));

  test('no page scrolls sideways at 320 pixels', async () => none((await inspect()).wide));

  test('no page asks another host for anything, fails to load or has a script error', async () => none((await inspect()).loading));

  test('axe finds nothing in the open search and the open contents of a phone', async () => {
    const found = await each(site.languages, (language) => visit(browser, server.url(site.chapters(language)[0].file), { viewport: { width: 390, height: 844 }, reducedMotion: 'reduce' }, async (page) => {
      await page.evaluate(AXE);
      await page.click('.menu-button');
      const contents = await axe(page, `${language}, contents open`);
      await page.keyboard.press('Escape');
      await page.click('[data-open-search]');
      await page.fill('#search-input', 'tcp');
      await page.waitForSelector('.search-results a');
      return [...contents, ...await axe(page, `${language}, search open`)];
    }));
    none(found);
  });

  test('a page is light: at most 150 kB (gzip) in 12 requests, the search not among them', async () => {
    const heaviest = site.languages.map((language) => site.chapters(language).reduce((a, b) => (b.html.length > a.html.length ? b : a)));
    const seen = [];
    for (const { file } of heaviest) {
      const from = server.log.length;
      await visit(browser, server.url(file), {}, (page) => page.waitForLoadState('networkidle'));
      const requests = server.log.slice(from);
      const bytes = requests.reduce((sum, one) => sum + one.bytes, 0);
      assert.ok(bytes <= 150_000, `${file} takes ${bytes} bytes`);
      assert.ok(requests.length <= 12, `${file} takes ${requests.length} requests: ${requests.map((one) => one.path).join(' ')}`);
      assert.deepEqual(requests.filter((one) => /search|minisearch/.test(one.path)).map((one) => one.path), []);
      seen.push(`${file} ${(bytes / 1000).toFixed(1)} kB in ${requests.length} requests`);
    }
    return seen.join(', ');
  });

  test('an address that is not there gives the 404 page, whose links work', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const response = await page.goto(server.url(`${site.languages[0]}/no/such/page.html`));
    assert.equal(response.status(), 404);
    assert.equal(await page.locator('h1').count(), 1);
    await page.click('main a');
    assert.ok(site.languages.some((language) => page.url() === server.url(`${language}/index.html`)), `its link leads to ${page.url()}`);
    assert.equal(await page.locator('.sidebar a').first().evaluate((link) => link.href.startsWith(document.baseURI)), true);
    await context.close();
  });
}
