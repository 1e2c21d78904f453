// `cargo book serve` in the reader's browser: the open page follows what is saved.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { visit } from '../lib/browser.js';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const TOOL = path.join(process.env.CARGO_TARGET_DIR || path.join(PROJECT, 'target'), 'debug/book');
const PAGE = 'src/en/ch01-basics/connection.md';

/** Serves a copy of the book, hands its folder and address to `body`, and ends it by Ctrl-C. */
async function serving(body) {
  assert.ok(existsSync(TOOL), `${TOOL} is not there: build it first, with cargo build -p book`);
  const folder = await mkdtemp(path.join(tmpdir(), 'book-serve-'));
  let server;
  try {
    for (const part of ['book.toml', 'src', 'theme', 'listings', 'ci/book/styleguide']) {
      await cp(path.join(PROJECT, part), path.join(folder, part), { recursive: true });
    }
    server = spawn(TOOL, ['serve', '--port', '0'], { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = new Promise((resolve) => server.once('exit', resolve));
    const address = await new Promise((resolve, reject) => {
      let said = '';
      server.stdout.on('data', (data) => {
        said += data;
        const found = /http:\/\/[\d.:]+/.exec(said);
        if (found) resolve(found[0]);
      });
      ended.then((code) => reject(new Error(`it ended with ${code}: ${said}`)));
    });
    await body(folder, address);
    server.kill('SIGINT');
    assert.equal(await ended, 0, 'Ctrl-C ends it');
  } finally {
    server?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

export default function ({ browser, test }) {
  test('a served page follows what is saved, in its place, and shows why a build failed', () => serving(async (folder, address) => {
    const file = path.join(folder, PAGE);
    const text = await readFile(file, 'utf8');
    await visit(browser, `${address}/en/ch01-basics/connection.html`, {}, async (page) => {
      await page.evaluate(() => scrollTo({ top: 1500, behavior: 'instant' }));
      const place = await page.evaluate(() => scrollY);
      assert.ok(place > 1000, 'the page is long enough to be scrolled');

      await writeFile(file, text.replace('{#connection}\n', '{#connection}\n\nSaved just now.\n'));
      await page.getByText('Saved just now.').waitFor({ state: 'attached' });
      await page.waitForFunction((wanted) => Math.abs(scrollY - wanted) < 120, place);

      await writeFile(file, text.replace('{{#listing basics-connection}}', '{{#listing basics-conection}}'));
      const alert = page.getByRole('alert');
      await alert.waitFor();
      const shown = await alert.textContent();
      assert.match(shown, /connection\.md:\d+: there is no listing `basics-conection`/);
      assert.equal(await page.getByText('Saved just now.').count(), 1, 'the last good page stays');

      await writeFile(file, text);
      await alert.waitFor({ state: 'detached' });
      await page.getByText('Saved just now.').waitFor({ state: 'detached' });

      const css = path.join(folder, 'theme/book.css');
      await writeFile(css, `${await readFile(css, 'utf8')}\nh1 { color: rgb(1, 2, 3) !important; }\n`);
      await page.waitForFunction(() => getComputedStyle(document.querySelector('h1')).color === 'rgb(1, 2, 3)');
    });
  }));
}
