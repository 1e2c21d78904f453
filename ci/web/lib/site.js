// The built site as files: its languages and pages.

import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';

/** Every file below a folder, as paths with slashes relative to it. */
export async function files(folder, below = '') {
  const entries = await readdir(path.join(folder, below), { withFileTypes: true });
  const found = await Promise.all(entries.map((entry) => {
    const name = below ? `${below}/${entry.name}` : entry.name;
    return entry.isDirectory() ? files(folder, name) : [name];
  }));
  return found.flat().sort();
}

/** What the tests know of the site in `folder`. */
export async function open(folder) {
  const all = await files(folder);
  const languages = all.filter((file) => /^[a-z]{2}(-\w+)?\/index\.html$/.test(file)).map((file) => file.split('/')[0]);
  if (languages.length < 2) throw new Error(`${folder} has ${languages.length} languages: build the site first`);
  const read = (file) => readFileSync(path.join(folder, file), 'utf8');
  const pages = all
    .filter((file) => file.endsWith('.html') && languages.includes(file.split('/')[0]))
    .map((file) => ({ file, language: file.split('/')[0], path: file.split('/').slice(1).join('/'), html: read(file) }));
  return {
    folder,
    files: all,
    languages,
    pages,
    read,
    /** The prefix under which the site expects to be served, as its 404 pages' base says. */
    prefix: new URL(/<base href="([^"]*)"/.exec(read(`${languages[0]}/404.html`))[1], 'http://site').pathname.replace(/[^/]+\/$/, ''),
    /** The pages of chapters, in one language. */
    chapters: (language) => pages.filter((page) => page.language === language && /^ch\d\d-/.test(page.path)),
    /** The first page of a language that fits. */
    page(language, fits) {
      const found = pages.find((page) => page.language === language && !/^(print|404)/.test(page.path) && fits(page));
      if (!found) throw new Error(`no page of ${language} fits: ${fits}`);
      return found;
    },
  };
}

/** Fails with a list of problems, each naming its page. */
export function none(problems) {
  if (!problems.length) return;
  const shown = problems.slice(0, 40);
  if (problems.length > shown.length) shown.push(`… and ${problems.length - shown.length} more`);
  throw Object.assign(new Error(shown.join('\n')), { problems });
}
