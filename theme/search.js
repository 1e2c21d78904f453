// The search: loaded when it is first opened. MiniSearch (vendor/minisearch.js) ranks; this file
// decodes the index, puts queries into MiniSearch's form, and shows what was found.
//
// THE INDEX FILE, which ci/book/src/search.rs writes, is JSON:
//
//   { "v": 2,
//     "pages": [["ch01-basics/ports.html", "title", "title of its chapter"], …],
//     "explained": [["a term of the glossary", page, "id of the heading that explains it"], …],
//     "terms": "…" }
//
// `terms` is the sorted terms, each followed by its postings, without separators: a term's
// characters (lower-case letters, digits, anything beyond ASCII) never occur in a posting.
//
//   term     = prefix suffix posting+
//   prefix   = how many characters it shares with the term before, one digit to base 36 (0–9 a–z)
//   suffix   = its other characters
//   posting  = ["*"] ["+"] [count] page
//              "*" it is in the page's title; "+" in another heading
//   count    = how often it is in the page's text: nothing once, ":" 2–3, ";" 4–7, "=" 8 times
//              or more, "-" not at all
//   page     = the page's number less the number that would follow the posting before (0 for
//              the first): digits to base 14 out of []^_`{|}~<>,./ most significant first,
//              then one digit to base 36 out of A–Z!#$%&'()?@
//
// TERMS. A text is put into NFC and lower case and cut into runs: Hangul syllables, kana and Han;
// other letters and digits; the rest, which is dropped. A run of the first kind gives every two
// neighbouring characters (one character alone gives itself); a run of the second kind is a term
// unless it is longer than 32 characters, or 8 for digits alone. So «3-way 핸드셰이크» gives
// 3, way, 핸드, 드셰, 셰이, 이크, and SO_REUSEPORT gives so, reuseport.
//
// QUERIES. All words are required. A Hangul word asks for all its pairs, a single syllable for
// pairs that begin with it. Other words match best as they are, then as the beginning of a term
// and, from four letters, as its middle or with a letter in five wrong. Two neighbouring ones may
// also be one term («hand shake»). Where nothing has it all, a page with at least half of each
// word's pairs will do, which forgives a wrong syllable. The pages found first are then fetched,
// for the section and the text to show, and put in order: first those that have the words one
// after the other, then those that have them all, then those that have something like them, and
// last those that have a Hangul word's pairs here and there, but not the word. A query that is a
// term of the glossary, and nothing else, finds the page that explains it before all others.

const FIELDS = ['title', 'headings', 'body'];
const BOOST = { title: 8, headings: 3, body: 1 };
const SHOWN = 20;
const FETCHED = 8;
const EXCERPT = 150;
const COUNTS = { ':': 2, ';': 5, '=': 10, '-': 0 };

/* Terms */

const PAIRED = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]/u;
const LETTER = /[\p{Alphabetic}\p{N}]/u;

function kind(c) {
  if (!LETTER.test(c)) return 0;
  return PAIRED.test(c) ? 2 : 1;
}

const normal = (text) => text.normalize('NFC').toLowerCase();

/** The runs of letters in a text: `{ text, paired, at }`, `at` being where it begins. */
export function runs(text) {
  const found = [];
  let at = 0;
  let run = null;
  for (const c of normal(text)) {
    const now = kind(c);
    if (run && now === run.kind) run.text += c;
    else if (now) found.push(run = { text: c, kind: now, paired: now === 2, at });
    else run = null;
    at += c.length;
  }
  return found;
}

function pairs(text) {
  const letters = Array.from(text);
  if (letters.length === 1) return letters;
  return letters.slice(1).map((letter, i) => letters[i] + letter);
}

/** A text's terms; ci/book/src/search.rs does the same. */
export function tokens(text) {
  return runs(text).flatMap((run) => {
    if (run.paired) return pairs(run.text);
    return Array.from(run.text).length <= (/^[0-9]+$/.test(run.text) ? 8 : 32) ? [run.text] : [];
  });
}

/* The index */

// What a symbol of a posting means: 0–35 the last digit, 64 + n another digit, else -1.
const SYMBOL = new Int8Array(128).fill(-1);
Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'()?@").forEach((c, i) => { SYMBOL[c.charCodeAt(0)] = i; });
Array.from('[]^_`{|}~<>,./').forEach((c, i) => { SYMBOL[c.charCodeAt(0)] = 64 + i; });
const isTerm = (code) => code > 127 || (code >= 97 && code <= 122) || (code >= 48 && code <= 57);

/** MiniSearch's own serialised form of an index file's contents. */
export function decode({ v, pages, terms }) {
  if (v !== 2) throw new Error(`the search index is of version ${v}`);
  const lengths = pages.map(() => [0, 0, 0]);
  const add = (fields, field, page, times) => {
    (fields[field] ||= {})[page] = times;
    lengths[page][field] += 1;
  };
  const index = [];
  let term = [];
  let at = 0;
  while (at < terms.length) {
    const shared = parseInt(terms[at], 36);
    let end = at + 1;
    while (end < terms.length && isTerm(terms.charCodeAt(end))) end += 1;
    term = term.slice(0, shared).concat(Array.from(terms.slice(at + 1, end)));
    const fields = [null, null, null];
    let next = 0;
    let high = 0;
    let title = false;
    let heading = false;
    let count = 1;
    for (at = end; at < terms.length && !isTerm(terms.charCodeAt(at)); at += 1) {
      const symbol = SYMBOL[terms.charCodeAt(at)];
      if (symbol >= 64) high = high * 14 + symbol - 64;
      else if (symbol >= 0) {
        const page = next + high * 36 + symbol;
        if (page >= pages.length) throw new Error('the search index is damaged');
        if (title) add(fields, 0, page, 1);
        if (heading) add(fields, 1, page, 1);
        if (count) add(fields, 2, page, count);
        next = page + 1;
        high = 0;
        title = heading = false;
        count = 1;
      } else if (terms[at] === '*') title = true;
      else if (terms[at] === '+') heading = true;
      else if (terms[at] in COUNTS) count = COUNTS[terms[at]];
      else throw new Error('the search index is damaged');
    }
    const entry = {};
    fields.forEach((postings, field) => { if (postings) entry[field] = postings; });
    index.push([term.join(''), entry]);
  }
  const perPage = (value) => Object.fromEntries(pages.map((page, i) => [i, value(i)]));
  return {
    serializationVersion: 2,
    documentCount: pages.length,
    nextId: pages.length,
    documentIds: perPage((i) => i),
    fieldIds: Object.fromEntries(FIELDS.map((field, i) => [field, i])),
    fieldLength: perPage((i) => lengths[i]),
    averageFieldLength: FIELDS.map((_, field) => lengths.reduce((sum, page) => sum + page[field], 0) / Math.max(1, pages.length)),
    storedFields: {},
    dirtCount: 0,
    index,
  };
}

let loading;
let pages;
let explained;
let latin;
let mini;

/** Loads the index once; a failure may be tried again. */
export function load() {
  loading ||= (async () => {
    const words = document.documentElement.dataset;
    const [{ default: MiniSearch }, response] = await Promise.all([
      import(new URL(words.searchLibrary, document.baseURI).href),
      fetch(new URL(words.search, document.baseURI)),
    ]);
    if (!response.ok) throw new Error(`${response.status} for the search index`);
    const file = await response.json();
    const index = decode(file);
    mini = MiniSearch.loadJS(index, { fields: FIELDS, tokenize: (text) => [text], processTerm: (term) => term });
    latin = index.index.map(([term]) => term).filter((term) => term.length > 3 && !PAIRED.test(term[0]));
    explained = new Map(file.explained.map(([term, page, section]) => [spelled(runs(term)), { page, section }]).reverse());
    pages = file.pages;
  })().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/* Queries */

// Spaces are a matter of taste: 흐름제어, hand shake.
const spelled = (all) => all.map((run) => run.text).join('');

const exact = (term) => ({ queries: [term], prefix: false, fuzzy: false });

function word(run, last) {
  if (run.paired) {
    const terms = pairs(run.text);
    if (terms.length === 1 && terms[0] === run.text && Array.from(run.text).length === 1) {
      return { combineWith: 'OR', queries: [{ queries: [run.text], prefix: true, fuzzy: false }] };
    }
    return { combineWith: 'AND', queries: terms.map(exact) };
  }
  const number = /^[0-9]+$/.test(run.text);
  const queries = [
    // The word itself, above all: beside a common word, rare ones that resemble it weigh much.
    { ...exact(run.text), boostTerm: () => 4 },
    {
      queries: [run.text],
      prefix: run.text.length > 1 || (last && !number),
      fuzzy: !number && run.text.length > 3 ? 0.2 : false,
    },
  ];
  if (run.text.length > 3 && !number) {
    // In the middle of a term, which MiniSearch does not look for.
    for (const term of latin) if (term.indexOf(run.text) > 0) queries.push({ ...exact(term), boostTerm: () => 0.3 });
  }
  return { combineWith: 'OR', queries };
}

/** The pages that a query finds, best first: `{ page, words }`, `words` as the reader typed them. */
export function query(text) {
  const all = runs(text).slice(0, 12);
  if (!all.length) return [];
  const parts = all.map((run, i) => word(run, i === all.length - 1));
  for (let i = 0; i + 1 < all.length; i += 1) {
    const [a, b] = [all[i], all[i + 1]];
    if (a.paired || b.paired || a.text.length + b.text.length < 4) continue;
    // Each of the two is satisfied by the one term that they make together.
    const joined = word({ text: a.text + b.text }, false);
    parts[i] = { combineWith: 'OR', queries: [parts[i], joined] };
    parts[i + 1] = { combineWith: 'OR', queries: [parts[i + 1], joined] };
  }
  const options = { boost: BOOST };
  let found = mini.search({ combineWith: 'AND', queries: parts }, options);
  if (!found.length) {
    const wanted = all.map((run) => (run.paired ? pairs(run.text) : null));
    if (wanted.some((terms) => terms && terms.length > 1)) {
      const loose = parts.map((part, i) => (wanted[i] ? { ...part, combineWith: 'OR' } : part));
      found = mini.search({ combineWith: 'AND', queries: loose }, options).filter((result) =>
        wanted.every((terms) => !terms || terms.filter((term) => term in result.match).length * 2 >= terms.length));
    }
  }
  const results = found.map((result) => ({ page: result.id, score: result.score, words: all, terms: result.terms }));
  const home = explained.get(spelled(all));
  if (!home) return results;
  const at = results.findIndex((result) => result.page === home.page);
  const [first] = at < 0 ? [{ page: home.page, score: 0, words: all, terms: [] }] : results.splice(at, 1);
  return [{ ...first, home: home.section }, ...results];
}

/* Sections and excerpts, from the pages themselves */

const BLOCK = /^(?:P|LI|TD|TH|TR|PRE|H[1-6]|DT|DD|DIV|FIGCAPTION|FIGURE|BLOCKQUOTE|SUMMARY|DETAILS|SECTION|ASIDE|BR)$/;
const SKIPPED = 'svg, script, style, template, .listing-meta, .copy, .print-button';
const fetched = new Map();

/**
 * A page as `{ list, words, whole }`: its sections `{ id, title, text }`, of which the first is
 * what stands before any other heading, its runs, and these again one after the other.
 */
function page(number) {
  if (!fetched.has(number)) {
    fetched.set(number, (async () => {
      const response = await fetch(address(number));
      if (!response.ok) throw new Error(`${response.status}`);
      const main = new DOMParser().parseFromString(await response.text(), 'text/html').querySelector('main');
      const list = [{ id: '', title: '', text: '' }];
      const walker = document.createTreeWalker(main, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
        (node.nodeType === 1 && node.matches(SKIPPED) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT));
      let inTitle = null;
      while (walker.nextNode()) {
        const node = walker.currentNode;
        if (node.nodeType === 1) {
          if (/^H[2-4]$/.test(node.tagName) && node.id) list.push({ id: node.id, title: node.textContent.trim(), text: '' });
          if (/^H[1-4]$/.test(node.tagName)) inTitle = node;
          if (BLOCK.test(node.tagName)) list[list.length - 1].text += '\n';
        } else if (!inTitle || !inTitle.contains(node)) {
          list[list.length - 1].text += node.data;
        }
      }
      for (const section of list) section.text = section.text.replace(/\s+/g, ' ').trim().normalize('NFC');
      const whole = runs([pages[number][1], ...list.flatMap(({ title, text }) => [title, text])].join(' \n '));
      return { list, words: new Set(whole.map((run) => run.text)), whole: ` ${whole.map((run) => run.text).join(' ')} ` };
    })().catch(() => {
      fetched.delete(number);
      return null;
    }));
  }
  return fetched.get(number);
}

const languageRoot = new URL(document.documentElement.dataset.search, document.baseURI);
const address = (page) => new URL(pages[page][0], languageRoot).href;

/** The places of a word in a text, as [from, to]. */
function places(text, run, terms) {
  const low = text.toLowerCase();
  if (low.length !== text.length) return [];
  const found = [];
  const add = (wanted) => {
    for (let at = low.indexOf(wanted); at >= 0 && found.length < 50; at = low.indexOf(wanted, at + wanted.length)) found.push([at, at + wanted.length]);
  };
  if (run.paired || run.text.length > 2) add(run.text);
  else for (const { text: other, at } of runs(text)) if (other === run.text) found.push([at, at + other.length]);
  if (!found.length) {
    // What matched in its stead: a term spelled otherwise, or some of the pairs.
    const own = run.paired ? pairs(run.text) : null;
    for (const term of terms) if (own ? own.includes(term) : !PAIRED.test(term) && term.length > 2) add(term);
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** How well a page has the words themselves: 4 where they are explained, 3 in a row, 2 all, 1 something like them, 0 not so. */
function worth({ words: own, whole }, { words, home }) {
  if (home !== undefined) return 4;
  if (words.some((run) => run.paired && !whole.includes(run.text))) return 0;
  if (words.length > 1 && whole.includes(words.map((run) => run.text).join(' '))) return 3;
  return words.every((run) => run.paired || own.has(run.text)) ? 2 : 1;
}

/** The section to show for a result: the one with the most of its words. */
function best({ list }, title, { words, terms, home }) {
  const explains = home && list.find(({ id, text }) => id === home && text);
  if (explains) return explains;
  let chosen = null;
  const phrase = words.map((run) => run.text).join(' ');
  list.forEach((section, i) => {
    const name = i ? section.title : title;
    const score = words.reduce((sum, run) => sum
      + (places(name, run, terms).length ? 3 : 0)
      + (places(section.text, run, terms).length ? 2 : 0), 0)
      + (words.length > 1 && runs(`${name} ${section.text}`).map((run) => run.text).join(' ').includes(phrase) ? 3 : 0);
    // A heading with nothing under it but other headings has no excerpt to show.
    if (score && section.text && (!chosen || score > chosen.score)) chosen = { section, score };
  });
  return chosen ? chosen.section : list.find(({ text }) => text) || list[0];
}

/** The part of a text where most of the words are, as nodes with the words marked. */
function excerpt(text, { words, terms }) {
  const all = words.flatMap((run, i) => places(text, run, terms).map(([from, to]) => ({ from, to, i }))).sort((a, b) => a.from - b.from);
  let start = all.length ? all[0].from : 0;
  let most = 0;
  for (const { from } of all) {
    const seen = new Set(all.filter((at) => at.from >= from && at.to <= from + EXCERPT * 0.7).map((at) => at.i)).size;
    if (seen > most) [most, start] = [seen, from];
  }
  let from = Math.max(0, start - 40);
  if (from) from = text.indexOf(' ', from) + 1 || from;
  if (from > start) from = start;
  const to = Math.min(text.length, from + EXCERPT);
  const nodes = [];
  let at = from;
  if (from) nodes.push('… ');
  for (const hit of all) {
    if (hit.from < at || hit.to > to) continue;
    nodes.push(text.slice(at, hit.from));
    const marked = document.createElement('mark');
    marked.textContent = text.slice(hit.from, hit.to);
    nodes.push(marked);
    at = hit.to;
  }
  nodes.push(text.slice(at, to));
  if (to < text.length) nodes.push(' …');
  return nodes;
}

/* The dialog */

let started = false;

/** Makes the dialog work; called each time that it is opened. */
export async function start(dialog) {
  const input = dialog.querySelector('input');
  const status = dialog.querySelector('.search-status');
  const list = dialog.querySelector('.search-results');
  const words = dialog.dataset;
  input.focus();
  input.select();
  if (started) {
    if (!pages) attempt();
    return;
  }
  started = true;

  let turn = 0;
  async function show() {
    const mine = turn += 1;
    const text = input.value;
    if (!pages) return;
    if (!runs(text).length) {
      list.replaceChildren();
      status.textContent = text.trim() ? none(text) : '';
      return;
    }
    const found = query(text);
    status.textContent = found.length ? words.found.replace('{count}', found.length) : none(text);
    const items = found.slice(0, SHOWN).map((result) => item(result));
    list.replaceChildren(...items.map(({ element }) => element));
    list.scrollTop = 0;
    const top = await Promise.all(items.slice(0, FETCHED).map(async (one) => ({ one, page: await page(one.result.page) })));
    if (mine !== turn) return;
    for (const { one, page: read } of top) {
      one.worth = read ? worth(read, one.result) : one.result.home === undefined ? 1 : 4;
      if (read) one.fill(best(read, pages[one.result.page][1], one.result));
    }
    // Pages that were not read may have the words where those that were have not; but if none has
    // them, they are spelled otherwise, and nothing is known against the ranking.
    const unread = top.some(({ one }) => one.worth > 0) ? 0.5 : -1;
    const rest = items.slice(FETCHED).map((one) => Object.assign(one, { worth: unread }));
    const order = [...items.slice(0, FETCHED), ...rest].sort((a, b) => b.worth - a.worth);
    // Only while nobody is choosing: what is under the finger stays there.
    if (!list.contains(document.activeElement)) list.append(...order.map(({ element }) => element));
  }
  const none = (text) => `${words.none.replace('{query}', text.trim())} ${words.noneHint}`;

  function item(result) {
    const [, title, chapter] = pages[result.page];
    const element = document.createElement('li');
    const link = document.createElement('a');
    const part = (name, text) => {
      const span = document.createElement('span');
      span.className = name;
      span.textContent = text;
      link.append(span);
      return span;
    };
    link.href = address(result.page);
    const where = part('where', chapter === title ? '' : chapter);
    part('title', title);
    const text = part('excerpt', '');
    element.append(link);
    return {
      element,
      result,
      fill(section) {
        if (section.id) {
          link.hash = section.id;
          where.textContent = [chapter, title].filter((name, i, names) => name && names.indexOf(name) === i).join(' › ');
          link.querySelector('.title').textContent = section.title;
        }
        text.replaceChildren(...excerpt(section.text, result));
      },
    };
  }

  async function attempt() {
    status.textContent = words.loading;
    try {
      await load();
      status.textContent = '';
      await show();
    } catch (error) {
      status.textContent = words.failed;
    }
  }

  const links = () => Array.from(list.querySelectorAll('a'));
  input.addEventListener('input', show);
  input.closest('form').addEventListener('submit', (event) => {
    // Enter in the field opens the best result; the button closes.
    if (event.submitter && document.activeElement === event.submitter) return;
    event.preventDefault();
    const [first] = links();
    if (first) first.click();
  });
  dialog.addEventListener('keydown', (event) => {
    if (event.isComposing || (event.key !== 'ArrowDown' && event.key !== 'ArrowUp')) return;
    const order = [input, ...links()];
    const at = order.indexOf(document.activeElement);
    const to = order[at + (event.key === 'ArrowDown' ? 1 : -1)];
    if (at < 0 || !to) return;
    event.preventDefault();
    to.focus();
  });
  dialog.addEventListener('click', (event) => {
    // The backdrop, or a result: one on this very page loads nothing, so the dialog must go.
    if (event.target === dialog || event.target.closest('.search-results a')) dialog.close();
  });
  await attempt();
}
