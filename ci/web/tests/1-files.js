// What can be said of the site's files without a browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { HtmlValidate } from 'html-validate';
import { none } from '../lib/site.js';

const decode = (text) => text.replace(/&amp;/g, '&').replace(/&quot;/g, '"').replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(code));
const attributes = (html, name) => [...html.replace(/<script[\s>][^]*?<\/script>/g, '').matchAll(new RegExp(`\\s${name}="([^"]*)"`, 'g'))].map((match) => decode(match[1]));

export default function ({ site, server, test }) {
  const all = [{ file: 'index.html', html: site.read('index.html') }, { file: '404.html', html: site.read('404.html') }, ...site.pages];

  test('every page is valid HTML', async () => {
    const validator = new HtmlValidate({
      extends: ['html-validate:standard', 'html-validate:a11y'],
      rules: {
        // mdBook's void elements and doctype spelling are of either style; both are valid.
        'void-style': 'off',
        'doctype-style': 'off',
        // Long titles and wide tables are the editor's to judge, not the validator's.
        'long-title': 'off',
        // Where ids are given by authors in any script.
        'valid-id': ['error', { relaxed: true }],
        // Inline styles carry numbers of figures, such as a bar's length.
        'no-inline-style': 'off',
      },
    });
    const problems = [];
    // The print page is all pages in one, of megabytes: the validator would take longer over it than
    // over all of them. What only it can have wrong are ids that two pages share.
    const [print, rest] = [all.filter(({ path }) => path === 'print.html'), all.filter(({ path }) => path !== 'print.html')];
    for (const { file, html } of print) {
      const seen = new Set();
      for (const id of attributes(html, 'id')) {
        if (seen.has(id)) problems.push(`${file}: the id ${id} is there twice`);
        seen.add(id);
      }
    }
    for (const { file, html } of rest) {
      const report = await validator.validateString(html, file);
      for (const { messages } of report.results) {
        for (const { line, column, message, ruleId } of messages) {
          problems.push(`${file}:${line}:${column}: ${message} (${ruleId})`);
        }
      }
    }
    none(problems);
  });

  test('every link and resource inside the site is there, and every fragment', () => {
    const ids = new Map(all.map(({ file, html }) => [file, new Set([...attributes(html, 'id'), ...attributes(html, 'name')])]));
    const problems = [];
    let seen = 0;
    for (const { file, html } of all) {
      const base = new URL(attributes(html.match(/<base[^>]*>/)?.[0] ?? '', 'href')[0] ?? server.url(file), server.url(file));
      for (const link of [...attributes(html, 'href'), ...attributes(html, 'src'), ...attributes(html, 'data-search'), ...attributes(html, 'data-search-script'), ...attributes(html, 'data-search-library')]) {
        const url = new URL(link, base);
        if (url.origin !== server.origin || link === base.pathname) continue;
        seen += 1;
        const inside = decodeURIComponent(url.pathname.slice(site.prefix.length));
        const target = inside === '' || inside.endsWith('/') ? `${inside}index.html` : inside;
        if (!url.pathname.startsWith(site.prefix) || !site.files.includes(target)) problems.push(`${file}: ${link} leads nowhere`);
        else if (url.hash && !ids.get(target)?.has(decodeURIComponent(url.hash.slice(1)))) problems.push(`${file}: ${link} names an id that ${target} lacks`);
      }
    }
    none(problems);
    assert.ok(seen > all.length * 5, `only ${seen} links were found`);
    return `${seen} links`;
  });

  test('no comment of the build is left in a page', () => {
    none(all.flatMap(({ file, html }) => (html.match(/<!--site:[^>]*>|\{\{[#/]?\w[^}]*\}\}/g) || []).filter((left) => !/^\{\{#(listing|output|figure|proof|rfc|glossary|status)/.test(left)).map((left) => `${file}: ${left}`)));
  });

  test('each page names its language, its other languages and itself', () => {
    const problems = [];
    for (const { file, html, language, path } of site.pages) {
      if (!new RegExp(`<html lang="${language}"`).test(html)) problems.push(`${file}: <html lang> is not ${language}`);
      if (/^(404|print)\.html$/.test(path) || html.includes('name="robots" content="noindex"')) continue;
      const head = html.slice(0, html.indexOf('</head>'));
      const alternates = [...head.matchAll(/<link rel="alternate" hreflang="([^"]+)" href="([^"]+)">/g)];
      if (!alternates.length) continue; // Pages outside of the contents, such as the style guide.
      for (const other of [...site.languages, 'x-default']) {
        if (!alternates.some(([, hreflang]) => hreflang === other)) problems.push(`${file}: no alternate for ${other}`);
      }
      for (const [, hreflang, href] of alternates) {
        const { pathname } = new URL(href);
        if (hreflang !== 'x-default' && !pathname.replace(/\/$/, '/index.html').endsWith(`/${hreflang}/${path}`)) problems.push(`${file}: the alternate for ${hreflang} is ${href}`);
      }
      if (!/<link rel="canonical" href="[^"]+">/.test(head)) problems.push(`${file}: no canonical address`);
      if (!/<meta name="description" content="[^"]{20,}">/.test(head)) problems.push(`${file}: no description`);
    }
    none(problems);
  });

  test('every page exists in every language, at the same path', () => {
    const problems = [];
    for (const { path } of site.pages) {
      for (const language of site.languages) if (!site.files.includes(`${language}/${path}`)) problems.push(`${language}/${path} is missing`);
    }
    none([...new Set(problems)]);
  });

  test('the two languages have the same section ids in the same order', () => {
    const sections = (html) => [...html.matchAll(/<h[1-6][^>]*\sid="([^"]+)"/g)].map((match) => match[1]).join(' ');
    const [first, ...others] = site.languages;
    none(site.pages.filter((page) => page.language === first && page.path !== 'print.html' && page.path !== 'glossary.html').flatMap(({ path, html }) => others
      .filter((other) => sections(site.read(`${other}/${path}`)) !== sections(html))
      .map((other) => `${path}: ${first} has «${sections(html)}», ${other} «${sections(site.read(`${other}/${path}`))}»`)));
  });

  test('the vendored MiniSearch is the npm package’s own file under its licence', () => {
    const here = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
    const vendored = here('../../../theme/vendor/minisearch.js');
    const header = `/*! MiniSearch ${JSON.parse(here('../node_modules/minisearch/package.json')).version}`;
    assert.ok(vendored.startsWith(header), `it does not begin with «${header}»`);
    assert.ok(vendored.includes(here('../node_modules/minisearch/LICENSE.txt')), 'its licence is missing');
    assert.ok(vendored.endsWith(`*/\n${here('../node_modules/minisearch/dist/es/index.js')}`), 'it differs from the package');
  });

  test('the search index stays small', () => {
    const indexes = site.files.filter((file) => /^[^/]+\/search-[0-9a-f]+\.json$/.test(file));
    assert.equal(indexes.length, site.languages.length);
    return indexes.map((file) => {
      const size = gzipSync(site.read(file), { level: 9 }).length;
      assert.ok(size <= 200_000, `${file} has ${size} bytes (gzip)`);
      return `${file.split('/')[0]} ${(size / 1000).toFixed(1)} kB`;
    }).join(', ');
  });
}
