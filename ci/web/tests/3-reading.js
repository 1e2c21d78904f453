// What a reader does on a page.

import assert from 'node:assert/strict';
import { visit } from '../lib/browser.js';

export default function ({ site, server, browser, test }) {
  const [ko, en] = ['ko', 'en'];
  // A page with sections enough to scroll, in both languages.
  const { path } = site.chapters(ko).reduce((a, b) => ((b.html.match(/<h2/g) || []).length > (a.html.match(/<h2/g) || []).length ? b : a));
  const url = (language) => server.url(`${language}/${path}`);
  const bothLanguages = async (body) => {
    for (const language of site.languages) {
      try {
        await body(language);
      } catch (error) {
        error.message = `${language}/${path}: ${error.message}`;
        throw error;
      }
    }
  };

  // Where the bar sticks, Playwright's own click would scroll the page back to its top first.
  const touch = async (page, selector) => {
    const { x, y, width, height } = await page.locator(selector).boundingBox();
    await page.mouse.click(x + width / 2, y + height / 2);
  };

  test('the language switch stays in the section, and at the place within it', () => bothLanguages((language) => visit(browser, url(language), {}, async (page) => {
    // Sections that can be scrolled to the top of the window; the last ones of a page cannot.
    const ids = await page.$$eval('main h2[id]', (headings) => headings
      .filter((heading) => heading.getBoundingClientRect().top + innerHeight < document.documentElement.scrollHeight)
      .map((heading) => heading.id));
    assert.ok(ids.length > 1, 'the page is too short');
    const other = language === ko ? en : ko;
    for (const id of [ids[0], ids.at(-1)]) {
      await page.goto(url(language));
      await page.evaluate((id) => {
        const heading = document.getElementById(id);
        scrollTo({ top: scrollY + heading.getBoundingClientRect().top - 40, behavior: 'instant' });
      }, id);
      await Promise.all([page.waitForURL(`**/${other}/**`), touch(page, `.languages a[hreflang="${other}"]`)]);
      assert.equal(page.url(), `${url(other)}#${id}`);
      assert.equal(await page.getAttribute('html', 'lang'), other);
      // Once the browser has jumped and the script has set the place.
      await page.waitForFunction((id) => {
        const { top } = document.getElementById(id).getBoundingClientRect();
        return Math.abs(top - 40) < 30 || scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
      }, id, { timeout: 3000 }).catch(async () => assert.fail(`#${id} stands ${await page.$eval(`[id="${id}"]`, (heading) => heading.getBoundingClientRect().top)} pixels from the top, not about 40`));
    }
    await page.goto(url(language));
    await Promise.all([page.waitForURL(`**/${other}/**`), page.click(`.languages a[hreflang="${other}"]`)]);
    assert.equal(page.url(), url(other), 'at the top of a page there is no section to keep');
  })));

  test('the root page goes by the browser’s language, or by the reader’s last choice', async () => {
    for (const [locale, expected] of [['ko-KR', ko], ['en-GB', en]]) {
      await visit(browser, server.url(), { locale }, async (page) => {
        await page.waitForURL(`**/${expected}/**`);
      });
    }
    await visit(browser, url(en), { locale: 'en-US' }, async (page) => {
      await Promise.all([page.waitForURL('**/ko/**'), page.click('.languages a[hreflang="ko"]')]);
      await page.goto(server.url());
      await page.waitForURL('**/ko/**');
    });
    await visit(browser, server.url(), { locale: 'eo' }, async (page) => {
      assert.equal(page.url(), server.url(), 'a browser of neither language lets the reader choose');
      assert.equal(await page.locator('main a[hreflang]').count(), site.languages.length);
    });
    await visit(browser, server.url(), { javaScriptEnabled: false, locale: 'en-US' }, async (page) => {
      for (const language of site.languages) assert.equal(await page.locator(`main a[hreflang="${language}"]`).isVisible(), true);
      await page.click('a[hreflang="en"]');
      assert.equal(await page.getAttribute('html', 'lang'), en);
    });
  });

  test('without JavaScript a page is whole: text, contents, pages before and after, quiz', () => bothLanguages((language) => visit(browser, url(language), { javaScriptEnabled: false, viewport: { width: 390, height: 844 } }, async (page) => {
    assert.ok((await page.locator('main').innerText()).length > 500);
    assert.equal(await page.locator('[data-open-search]').isVisible(), false, 'a search button that does nothing');
    assert.equal(await page.locator('.theme-button').isVisible(), false, 'a theme button that does nothing');
    assert.equal(await page.locator('.copy').count(), 0);
    assert.equal(await page.locator('.sidebar').isVisible(), false);
    await page.click('.menu-button');
    assert.equal(await page.locator('.sidebar a[aria-current="page"]').isVisible(), true, 'the contents do not open');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('.sidebar').isVisible(), false, 'Escape does not close the contents');
    const next = page.locator('.pager a').last();
    const href = await next.evaluate((link) => link.href);
    await next.click();
    assert.equal(page.url(), href);
    const quiz = site.pages.find((page) => page.language === language && page.html.includes('<details class="quiz"') && page.path !== 'print.html');
    assert.ok(quiz, 'no page has a quiz');
    await page.goto(server.url(quiz.file));
    const details = page.locator('details.quiz').first();
    await details.locator('summary').click();
    assert.equal(await details.locator(':scope > :last-child').isVisible(), true);
    // Wide, the contents are there without a click.
    await page.setViewportSize({ width: 1280, height: 900 });
    assert.equal(await page.locator('.sidebar').isVisible(), true);
  })));

  test('the appearance follows the system until the reader chooses, and stays chosen', () => bothLanguages((language) => visit(browser, url(language), { colorScheme: 'light' }, async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).getPropertyValue('--bg').trim());
    const light = await ground();
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await ground();
    assert.notEqual(dark, light, 'a dark system changes nothing');
    const button = page.locator('[data-switch-theme]');
    const names = [await button.getAttribute('aria-label')];
    await button.click();
    assert.equal(await ground(), light);
    names.push(await button.getAttribute('aria-label'));
    await page.reload();
    assert.equal(await ground(), light, 'the choice is lost on reload');
    assert.equal(await button.getAttribute('aria-label'), names[1]);
    await button.click();
    await page.emulateMedia({ colorScheme: 'light' });
    assert.equal(await ground(), dark);
    names.push(await button.getAttribute('aria-label'));
    assert.equal(new Set(names).size, 3);
    await button.click();
    assert.equal(await ground(), light);
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.equal(await ground(), dark, 'back to the system it does not follow it');
    assert.equal(await page.evaluate(() => localStorage.getItem('theme')), null);
  })));

  test('code, output and commands can be copied, and the reader is told', () => bothLanguages(async (language) => {
    const page = site.page(language, ({ html }) => html.includes('<figure class="code"') && html.includes('class="listing-run"'));
    await visit(browser, server.url(page.file), { permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
      for (const [holder, text] of [['.listing-run', 'code'], ['figure.code', 'pre']]) {
        const first = page.locator(holder).first();
        await first.hover();
        await first.locator('.copy').click();
        const wanted = (await first.locator(text).first().textContent()).replace(/\n$/, '');
        assert.equal(await page.evaluate(() => navigator.clipboard.readText()), wanted);
        const said = await page.getAttribute('html', 'data-copied');
        assert.equal(await first.locator('.copy').textContent(), said);
        assert.equal(await page.textContent('#announce'), said);
      }
      const holders = await page.locator('figure.code, figure.output, .listing-run').count();
      assert.equal(await page.locator('.copy').count(), holders);
    });
    await visit(browser, server.url(page.file), {}, async (page) => {
      await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('refused')); });
      await page.locator('.listing-run .copy').first().click();
      assert.equal(await page.textContent('#announce'), await page.getAttribute('html', 'data-copy-failed'));
    });
  }));

  test('the keyboard alone reaches everything, and sees where it is', () => bothLanguages((language) => visit(browser, url(language), {}, async (page) => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip', 'the skip link is not first');
    assert.ok((await page.locator('.skip').boundingBox()).y >= 0, 'the skip link stays out of sight');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
    await page.reload();
    const expected = await page.evaluate(() => [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')].filter((element) => element.checkVisibility({ visibilityProperty: true })).length);
    const reached = new Set();
    for (let i = 0; i < expected * 2 + 20; i += 1) {
      await page.keyboard.press('Tab');
      const { key, seen } = await page.evaluate(() => {
        const element = document.activeElement;
        if (!element || element === document.body) return { key: null };
        element.dataset.reached ||= String(document.querySelectorAll('[data-reached]').length + 1);
        const style = getComputedStyle(element);
        return { key: element.dataset.reached, seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 };
      });
      if (key === null || (reached.has(key) && key === '1')) break;
      if (!reached.has(key)) assert.ok(seen, `no focus ring on ${await page.evaluate(() => document.activeElement.outerHTML.slice(0, 120))}`);
      reached.add(key);
    }
    const missed = await page.evaluate(() => [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')].filter((element) => !element.dataset.reached && element.checkVisibility({ visibilityProperty: true })).map((element) => element.outerHTML.slice(0, 100)));
    assert.deepEqual(missed, [], 'the tab key does not reach these');
  })));

  test('arrow keys are the reader’s own: they do not turn the page', () => visit(browser, url(ko), {}, async (page) => {
    await page.click('.foot > p');
    for (const key of ['ArrowRight', 'ArrowLeft', 's', 'p']) await page.keyboard.press(key);
    assert.equal(page.url(), url(ko));
    assert.equal(await page.locator('dialog[open]').count(), 0);
  }));

  test('what is touched is large enough', () => visit(browser, url(ko), { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, async (page) => {
    const small = await page.$$eval('.top a, .top button, .copy, summary', (elements) => elements
      .filter((element) => element.checkVisibility() && !element.closest('.figure-data'))
      .map((element) => ({ box: element.getBoundingClientRect(), what: element.outerHTML.slice(0, 60) }))
      .filter(({ box }) => box.width < 44 || box.height < 43.5).map(({ box, what }) => `${what}: ${box.width} × ${box.height}`));
    assert.deepEqual(small, []);
  }));

  test('on this page: the section being read is marked', () => visit(browser, url(en), { viewport: { width: 1440, height: 900 } }, async (page) => {
    const links = page.locator('.onpage a');
    const ids = await links.evaluateAll((all) => all.map((link) => decodeURIComponent(link.hash.slice(1))));
    assert.ok(ids.length > 1);
    await page.evaluate((id) => document.getElementById(id).scrollIntoView({ behavior: 'instant' }), ids[1]);
    await page.waitForSelector(`.onpage a[href="#${ids[1]}"][aria-current="true"]`);
    assert.equal(await page.locator('.onpage [aria-current]').count(), 1);
  }));

  test('on a phone both side areas open by touch and close again', () => visit(browser, url(en), { viewport: { width: 390, height: 844 } }, async (page) => {
    await page.click('.onpage-button');
    const link = page.locator('.onpage a').nth(1);
    assert.equal(await link.isVisible(), true);
    const hash = await link.evaluate((element) => element.hash);
    await link.click();
    assert.equal(new URL(page.url()).hash, hash);
    assert.equal(await page.locator('.onpage').isVisible(), false, 'it hides what was chosen');
    await page.click('.menu-button');
    assert.equal(await page.locator('.sidebar').isVisible(), true);
    await page.mouse.click(380, 800);
    assert.equal(await page.locator('.sidebar').isVisible(), false);
  }));

  test('the print page does not print by itself, and shows no chrome on paper', () => visit(browser, server.url(`${ko}/index.html`), {}, async (page, context) => {
    await context.addInitScript(() => {
      window.printed = 0;
      window.print = () => { window.printed += 1; };
    });
    await page.goto(server.url(`${ko}/print.html`), { waitUntil: 'load' });
    await page.evaluate(() => new Promise((resolve) => { requestIdleCallback(() => requestIdleCallback(resolve)); }));
    assert.equal(await page.evaluate(() => window.printed), 0);
    await page.click('[data-print]');
    assert.equal(await page.evaluate(() => window.printed), 1);
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    for (const chrome of ['.top', '.sidebar', '.foot', '[data-print]']) assert.equal(await page.locator(chrome).isVisible(), false, `${chrome} is printed`);
    const { ground, text } = await page.evaluate(() => ({ ground: getComputedStyle(document.documentElement).backgroundColor, text: getComputedStyle(document.body).color }));
    assert.equal(ground, 'rgb(255, 255, 255)');
    assert.ok(/^rgb\((\d\d?), /.test(text), `the text is ${text} on white paper`);
  }));

  test('the choice guide leaves what fits every answer, and all without JavaScript', async () => {
    const guides = site.pages.filter(({ html }) => html.includes('class="choice"') && !html.includes('data-print-page'));
    assert.ok(guides.length >= site.languages.length, 'no page has a choice guide');
    for (const { file } of guides.filter(({ path }) => path !== 'print.html')) {
      await visit(browser, server.url(file), {}, async (page) => {
        const rows = () => page.$$eval('.choice tbody tr', (all) => all.filter((row) => row.checkVisibility()).length);
        const every = await rows();
        assert.ok(every > 5, `${file}: ${every} ways`);
        const groups = await page.$$eval('.choice fieldset', (all) => all.map((one) => [...one.querySelectorAll('input')].map(({ name, value }) => ({ name, value }))));
        let fewer = 0;
        for (const [any, ...answers] of groups) {
          for (const { name, value } of answers) {
            await page.check(`.choice input[name="${name}"][value="${value}"]`);
            const fits = await page.$$eval('.choice tbody tr', (all, { name, value }) => all.map((row) => (row.getAttribute(`data-${name}`) ?? value).split(' ').includes(value) === row.checkVisibility()), { name, value });
            assert.ok(fits.every(Boolean), `${file}: ${name} = ${value} hides or leaves what it must not`);
            const left = await rows();
            assert.ok(left > 0, `${file}: ${name} = ${value} leaves nothing`);
            if (left < every) fewer += 1;
            assert.match(await page.textContent('.choice output'), new RegExp(`(^|\\D)${left}(\\D|$)`), `${file}: it says how many are left`);
          }
          await page.check(`.choice input[name="${any.name}"][value=""]`);
        }
        assert.ok(fewer > 0, `${file}: no answer rules anything out`);
        await page.check(`.choice input[name="${groups[0][1].name}"][value="${groups[0][1].value}"]`);
        await page.click('.choice button');
        await page.waitForFunction((every) => [...document.querySelectorAll('.choice tbody tr')].filter((row) => !row.hidden).length === every, every);
      });
      await visit(browser, server.url(file), { javaScriptEnabled: false }, async (page) => {
        assert.equal(await page.locator('.choice .questions').isVisible(), false);
        assert.ok(await page.locator('.choice tbody tr').count() > 5);
      });
    }
  });

  test('the protocols on one page are one page of A4', async () => {
    for (const language of site.languages) {
      await visit(browser, server.url(`${language}/ch16-summary/one-page.html`), { colorScheme: 'dark' }, async (page) => {
        const pdf = (await page.pdf({ preferCSSPageSize: true })).toString('latin1');
        const [, width, height] = /\/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)/.exec(pdf);
        assert.deepEqual([Math.round(width), Math.round(height)], [595, 842], `${language}: no A4`);
        assert.equal(pdf.match(/\/Type\s*\/Page\b/g).length, 1, `${language}: more than one page`);
      });
    }
  });
}
