// Runs the tests of tests/ against a built site, one after the other in one browser, and closes
// with a line of counts. `run` beside this file installs what it needs and starts it.

import { readdir } from 'node:fs/promises';
import { start } from './lib/browser.js';
import { serve } from './lib/server.js';
import { open } from './lib/site.js';

const [folder, filter = ''] = process.argv.slice(2);
const site = await open(folder);
const server = await serve(site);
const browser = await start();
const tests = [];
const context = { site, server, browser, test: (name, body) => tests.push({ name, body }) };

for (const file of (await readdir(new URL('tests/', import.meta.url))).sort()) {
  (await import(new URL(`tests/${file}`, import.meta.url))).default(context);
}

const began = Date.now();
let passed = 0;
let failed = 0;
for (const { name, body } of tests.filter((one) => one.name.includes(filter))) {
  const start = Date.now();
  try {
    const report = await body();
    passed += 1;
    console.log(`ok    ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)${report ? `: ${report}` : ''}`);
  } catch (error) {
    failed += 1;
    const message = error.code === 'ERR_ASSERTION' || error.problems ? error.message : error.stack;
    console.log(`FAIL  ${name}\n${message.replace(/^/gm, '      ')}`);
  }
}
await browser.close();
server.close();
console.log(`${site.pages.length} pages in ${site.languages.length} languages, ${((Date.now() - began) / 1000).toFixed(0)} s`);
console.log(`web: ${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
