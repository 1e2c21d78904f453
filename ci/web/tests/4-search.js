// The search, in both languages.

import assert from 'node:assert/strict';
import { visit } from '../lib/browser.js';
import { none } from '../lib/site.js';

// A query, and what a page that it finds must say.
const QUERIES = {
  ko: [
    ['연결', /연결[을이은]/, /^연결$/],
    ['셰이크', /핸드셰이크/, /^셰이크$/],
    ['3-way 핸드셰이크', /3-way/i],
    ['tcp', /TCP/],
    ['TCP', /TCP/],
    ['hand shake', /handshake/i],
    ['handshke', /handshake/i],
    ['shake', /handshake/i, /^shake$/i],
    ['포트 번호', /포트 번호/],
    ['포트', /포트/],
    ['핸드쉐이크', /핸드셰이크/],
    ['\u1111\u1169\u1110\u1173', /포트/], // As a Mac may type it: in single letters.
  ],
  en: [
    ['handshake', /handshake/i],
    ['hand shake', /handshake/i],
    ['handshke', /handshake/i],
    ['shake', /handshake/i, /^shake$/i],
    ['3-way handshake', /(3|three)-way handshake/i],
    ['tcp', /TCP/],
    ['TCP', /TCP/],
    ['port number', /port number/i],
    ['connec', /connect/i],
  ],
};
const NOTHING = ['qqqqzzzzxxxx', '뷁뷁뷁', '!!', '   ', ''];

export default function ({ site, server, browser, test }) {
  const open = async (page) => {
    // A closed dialog keeps the focus until the next frame, and a slash there is a letter.
    await page.waitForFunction(() => document.activeElement.id !== 'search-input');
    await page.keyboard.press('/');
    await page.waitForSelector('dialog[open] #search-input:focus');
  };
  const ask = async (page, query) => {
    await page.fill('#search-input', query);
    await page.waitForFunction(() => !document.querySelector('#search').dataset.loading.startsWith(document.querySelector('.search-status').textContent || '\0'));
  };
  const start = (language) => server.url(site.chapters(language)[0].file);

  for (const language of site.languages) {
    const queries = QUERIES[language];
    if (!queries) continue;
    const text = (html) => html.slice(html.indexOf('<main'), html.indexOf('</main>')).replace(/<svg[^]*?<\/svg>/g, '').replace(/<[^>]+>/g, '');
    // A word can be found once the book has it; the little library below has them all.
    const asked = queries.filter(([, said]) => site.chapters(language).some(({ html }) => said.test(text(html))));
    test(`search in ${language} finds what it must, and shows why`, () => visit(browser, start(language), {}, async (page) => {
      assert.ok(asked.length > queries.length / 2, 'the book has too few of the words');
      await open(page);
      for (const [query, said, mark = /./] of asked) {
        await ask(page, query);
        await page.waitForSelector('.search-results a', { timeout: 5000 }).catch(() => assert.fail(`«${query}» finds nothing: ${JSON.stringify(query)}`));
        await page.waitForFunction(() => document.querySelector('.search-results .excerpt').textContent, null, { timeout: 5000 }).catch(() => assert.fail(`«${query}» shows no excerpt`));
        const results = await page.$$eval('.search-results a', (links) => links.map((link) => ({ href: link.getAttribute('href'), title: link.querySelector('.title').textContent, marks: [...link.querySelectorAll('mark')].map((mark) => mark.textContent) })));
        const first = new URL(results[0].href, server.url(`${language}/`));
        const found = site.pages.find((page) => server.url(page.file) === first.origin + first.pathname);
        assert.ok(found, `«${query}» leads to ${results[0].href}`);
        assert.match(text(found.html), said, `«${query}» puts ${found.file} first`);
        if (first.hash) assert.ok(found.html.includes(`id="${decodeURIComponent(first.hash.slice(1))}"`), `«${query}»: ${found.file} lacks ${first.hash}`);
        assert.ok(results.slice(0, 8).some(({ marks }) => marks.some((marked) => mark.test(marked))), `«${query}» marks ${JSON.stringify(results[0].marks)}`);
        const status = await page.textContent('.search-status');
        assert.match(status, /\d/, `«${query}»: no count in «${status}»`);
      }
      for (const query of NOTHING) {
        await ask(page, query);
        await page.waitForFunction(() => !document.querySelector('.search-results a'), null, { timeout: 3000 }).catch(() => assert.fail(`«${query}» finds something`));
        const status = await page.textContent('.search-status');
        if (query.trim()) assert.ok(status.includes(query), `«${query}»: the reader is told «${status}»`);
        else assert.equal(status, '');
      }
      return `${asked.length} of ${queries.length} queries have something to find`;
    }));

    test(`search in ${language} is quick`, () => visit(browser, start(language), {}, async (page) => {
      const times = await page.evaluate(async (queries) => {
        const search = await import(document.documentElement.dataset.searchScript.replace(/^(?!\/|https?:)/, `${location.href.replace(/[^/]*$/, '')}`));
        const from = performance.now();
        await search.load();
        const load = performance.now() - from;
        const each = queries.map((query) => {
          const runs = Array.from({ length: 5 }, () => {
            const start = performance.now();
            search.query(query);
            return performance.now() - start;
          }).sort((a, b) => a - b);
          return { query, median: runs[2] };
        });
        return { load, each };
      }, [...queries.map(([query]) => query), ...NOTHING]);
      const slowest = times.each.reduce((a, b) => (b.median > a.median ? b : a));
      assert.ok(slowest.median <= 20, `«${slowest.query}» takes ${slowest.median.toFixed(1)} ms`);
      return `slowest query ${slowest.median.toFixed(1)} ms («${slowest.query}»), loading ${times.load.toFixed(0)} ms`;
    }));
  }

  test('every term of the glossary is found on the page that explains it, first or second', async () => {
    const counts = [];
    for (const language of site.languages) {
      await visit(browser, start(language), {}, async (page) => {
        await page.goto(server.url(`${language}/glossary.html`));
        const terms = await page.$$eval('.glossary dt', (all) => all.map((dt) => ({
          // Both languages' names, each as it stands and without what is in brackets.
          names: [[...dt.childNodes].find((node) => node.nodeType === 3).data.trim(), ...[...dt.querySelectorAll('span[lang]')].map((span) => span.textContent)],
          home: dt.nextElementSibling.querySelector('a')?.href,
        })));
        assert.ok(terms.length > 100, `the glossary has ${terms.length} terms`);
        assert.deepEqual(terms.filter(({ home }) => !home).map(({ names }) => names[0]), [], 'no page explains');
        await open(page);
        const missed = [];
        for (const { names, home } of terms) {
          for (const name of new Set(names.flatMap((name) => [name, name.replace(/\(.*\)/, '').trim()]))) {
            await page.fill('#search-input', name);
            await page.waitForFunction(() => document.querySelector('.search-results .excerpt')?.textContent);
            const found = await page.$$eval('.search-results a', (links) => links.slice(0, 2).map((link) => link.href.split('#')[0]));
            if (!found.includes(home.split('#')[0])) missed.push(`«${name}»: ${found.join(', ')}, and not ${home}`);
          }
        }
        none(missed);
        counts.push(terms.length);
      });
    }
    return `${counts.join(' and ')} terms`;
  });

  // A little library whose right answers are known: title, heading and text of each page.
  const LIBRARY = [
    ['Timers', 'When a timeout ends', 'A timer runs, and the window closes. '],
    ['Windows', '', 'The receive window. '],
    ['Flow', 'The window', 'Flow control and the window. '],
    ['Other', '', 'A window, a window, a window. '],
    ['핸드셰이크', '', 'TCP를 쓰는 3-way handshake, 연결을 맺는다. '],
    ['포트', '', '포트 번호를 정한다. 이 연결은 '],
  ];
  const ANSWERS = [
    ['window', [2, 1, 3, 0], 'a heading that says so, then a title that begins so, then text'],
    ['windows', [1], 'the title that says so first'],
    ['time out', [0], 'two words that the page writes as one'],
    ['ndshak', [4], 'the middle of a word'],
    ['handshale', [4], 'a wrong letter'],
    ['handshale zzz', [], 'but not what no page has'],
    ['연결', [5, 4], 'whatever is joined to a word'],
    ['연', [5, 4], 'a syllable alone'],
    ['셰이크', [4], 'the middle of a Hangul word'],
    ['핸드쉐이크', [4], 'a wrong syllable'],
    ['3-way 핸드셰이크', [4], 'both scripts and a number'],
    ['포트 번호', [5], 'two Hangul words'],
    ['tcp', [4], 'a word with a particle joined to it'],
    ['포트 tcp', [], 'all words are asked for'],
    ['timer', [1, 0], 'the page that explains a term, also one that does not write it so'],
    ['흐름제어', [2], 'a term of two words, spaced as one likes'],
    ['timer runs', [0], 'but a term with something else is no term'],
  ];

  test('the index is read as it is written, and the ranking is right', () => visit(browser, start('en'), {}, async (page) => {
    const read = await page.evaluate(async (library) => {
      const search = await import(new URL(document.documentElement.dataset.searchScript, document.baseURI).href);
      // Each term whole, its postings in the few symbols that six pages need.
      const terms = {};
      library.forEach((texts, number) => texts.forEach((text, field) => {
        for (const term of search.tokens(text)) ((terms[term] ||= {})[number] ||= [0, 0, 0])[field] += 1;
      }));
      const written = Object.entries(terms).map(([term, postings]) => {
        let next = 0;
        return `0${term}` + Object.entries(postings).map(([number, [title, heading, body]]) => {
          const posting = `${title ? '*' : ''}${heading ? '+' : ''}${body ? (body > 1 ? ':' : '') : '-'}${String.fromCharCode(65 + Number(number) - next)}`;
          next = Number(number) + 1;
          return posting;
        }).join('');
      }).join('');
      window.library = JSON.stringify({ v: 2, pages: library.map(([title], number) => [`${number}.html`, title, '']), explained: [['Timer', 1, ''], ['흐름 제어', 2, 'flow']], terms: written });
      // What ci/book/src/search.rs's own tests write.
      const decode = (terms, n) => Object.fromEntries(search.decode({ v: 2, pages: Array.from({ length: n }, () => ['', '', '']), terms }).index);
      const { index } = search.decode({ v: 2, pages: Array.from({ length: 600 }, () => ['', '', '']), terms: '0a@0b]A0c][A' });
      return { shared: decode('0portAA4sAB', 3), where: decode('0x*+A+-A;A=A', 4), large: index.map(([, fields]) => Object.keys(fields[2])[0]) };
    }, LIBRARY);
    assert.deepEqual(read.shared, { port: { 2: { 0: 1, 1: 1 } }, ports: { 2: { 0: 1, 2: 1 } } });
    assert.deepEqual(read.where, { x: { 0: { 0: 1 }, 1: { 0: 1, 1: 1 }, 2: { 0: 1, 2: 5, 3: 10 } } });
    assert.deepEqual(read.large, ['35', '36', '504']);
    const answers = await page.evaluate(async (queries) => {
      const search = await import(new URL(document.documentElement.dataset.searchScript, document.baseURI).href);
      const real = window.fetch;
      window.fetch = () => Promise.resolve(new Response(window.library));
      await search.load();
      window.fetch = real;
      return queries.map((query) => search.query(query).map((result) => result.page));
    }, ANSWERS.map(([query]) => query));
    ANSWERS.forEach(([query, wanted, why], i) => {
      assert.deepEqual(answers[i].slice(0, wanted.length || undefined), wanted, `«${query}»: ${why}`);
      if (!wanted.length) assert.equal(answers[i].length, 0);
    });
  }));

  test('the index and the browser agree on what a title’s terms are', async () => {
    for (const language of site.languages) {
      await visit(browser, start(language), {}, async (page) => {
        const missing = await page.evaluate(async () => {
          const words = document.documentElement.dataset;
          const search = await import(new URL(words.searchScript, document.baseURI).href);
          const file = await (await fetch(new URL(words.search, document.baseURI))).json();
          const index = new Map(search.decode(file).index);
          return file.pages.flatMap(([path, title], number) => search.tokens(title).filter((term) => !index.get(term)?.[0]?.[number]).map((term) => `${path}: «${term}» of «${title}»`));
        });
        assert.deepEqual(missing, []);
      });
    }
  });

  test('the search is loaded when it is first opened, and once', () => visit(browser, start('ko'), {}, async (page) => {
    const asked = () => server.log.slice(from).map((one) => one.path).filter((path) => /search/.test(path));
    const from = server.log.length;
    await page.reload({ waitUntil: 'networkidle' });
    assert.deepEqual(asked(), []);
    await open(page);
    await ask(page, 'tcp');
    await page.waitForSelector('.search-results a');
    await page.keyboard.press('Escape');
    await page.click('[data-open-search]');
    await page.waitForSelector('.search-results a');
    assert.equal(asked().length, 3, `asked for ${asked().join(' ')}`);
  }));

  test('the search is used by keyboard alone', () => visit(browser, start('en'), {}, async (page) => {
    await open(page);
    await ask(page, 'handshake');
    await page.waitForSelector('.search-results a');
    const focused = () => page.evaluate(() => [...document.querySelectorAll('.search-results a')].indexOf(document.activeElement));
    await page.keyboard.press('ArrowDown');
    assert.equal(await focused(), 0);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowUp');
    assert.equal(await focused(), 0);
    await page.keyboard.press('ArrowUp');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'search-input');
    const first = await page.$eval('.search-results a', (link) => link.href);
    await Promise.all([page.waitForURL(first), page.keyboard.press('Enter')]);
    assert.equal(await page.locator('dialog[open]').count(), 0);
    await open(page);
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('dialog[open]').count(), 0);
  }));

  test('a search that cannot be loaded says so, and works once it can', () => visit(browser, start('ko'), {}, async (page) => {
    const failed = await page.getAttribute('#search', 'data-failed');
    await page.evaluate(() => {
      window.original = window.fetch;
      window.fetch = () => Promise.reject(new Error('offline'));
    });
    await open(page);
    await page.waitForFunction((failed) => document.querySelector('.search-status').textContent === failed, failed);
    await page.keyboard.press('Escape');
    await page.evaluate(() => { window.fetch = window.original; });
    await open(page);
    await ask(page, 'tcp');
    await page.waitForSelector('.search-results a');
  }));
}
