// Makes theme/card-LANG.png, the picture that stands for the book where a page is shared, from the
// book's title and description in theme/words.toml: `node ci/web/card.js`.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { start } from './lib/browser.js';

const theme = new URL('../../theme/', import.meta.url);
const words = readFileSync(new URL('words.toml', theme), 'utf8');
const table = (key) => words.split(/^\[/m).find((part) => part.startsWith(`${key}]`));
const word = (key, language) => new RegExp(`^${language} = "(.*)"$`, 'm').exec(table(key))[1];
const languages = [...table('book-title').matchAll(/^(\w+) = /gm)].map(([, code]) => code);

const page = (language) => `<!DOCTYPE html><html lang="${language}"><style>
body { margin: 0; box-sizing: border-box; width: 1200px; height: 630px; padding: 84px 96px; border-left: 14px solid #0b5c66;
  background: #fdfcfa; color: #1e2327; font-family: system-ui, "Noto Sans CJK KR", sans-serif; word-break: keep-all;
  display: flex; flex-direction: column; justify-content: space-between; }
h1 { max-width: 940px; margin: 0; font-size: 76px; line-height: 1.22; letter-spacing: -.015em; text-wrap: balance; }
p { max-width: 900px; margin: 0; color: #59626a; font-size: 34px; line-height: 1.5; }
svg { width: 92px; height: 92px; fill: none; stroke: #59626a; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round; }
.signal { stroke: #0b5c66; }
</style>
<svg viewBox="0 0 24 24"><path d="M5 3v18M19 3v18"/><path class="signal" d="M5 7l13 3.5m-3.2-2.7 3.2 2.7-3.9 1.2M19 14.5 6 18m3.9 1.2L6 18l3.2-2.7"/></svg>
<h1>${word('book-title', language)}</h1>
<p>${word('book-description', language)}</p>`;

const browser = await start();
for (const language of languages) {
  const tab = await browser.newPage({ viewport: { width: 1200, height: 630 } });
  await tab.setContent(page(language));
  const path = fileURLToPath(new URL(`card-${language}.png`, theme));
  await tab.screenshot({ path });
  console.log(path);
}
await browser.close();
