// What the page does beyond HTML: appearance, language switch, copy buttons, the way to the
// search. Nothing here is needed to read. The words come from data attributes of <html>.
(function () {
  'use strict';

  const root = document.documentElement;
  const words = root.dataset;
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const announce = document.getElementById('announce');

  // Storage can be refused (private windows, policies); the page then just forgets.
  function remember(key, value) {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch (refused) { /* forget */ }
  }

  // Appearance: system → light → dark. An inline script in <head> has set data-theme before paint.
  const themeButton = document.querySelector('[data-switch-theme]');
  const themeNames = { light: 'themeLight', dark: 'themeDark' };
  function nameTheme() {
    const name = words[themeNames[words.theme] || 'themeAuto'];
    themeButton.setAttribute('aria-label', name);
    themeButton.title = name;
  }
  themeButton.addEventListener('click', () => {
    const next = { light: 'dark', dark: null }[words.theme];
    if (next === null) delete words.theme;
    else words.theme = next || 'light';
    remember('theme', words.theme || null);
    nameTheme();
    announce.textContent = themeButton.title;
  });
  nameTheme();

  // The heading that the reader is under: the last one that has reached the top of the text.
  const headings = all('main :is(h2, h3, h4)[id]');
  const margin = () => parseFloat(getComputedStyle(root).scrollPaddingTop) || 0;
  function section(fits) {
    const line = margin() + 48;
    let found = null;
    for (const heading of headings) {
      if (heading.getBoundingClientRect().top > line) break;
      if (!fits || fits(heading)) found = heading;
    }
    return found;
  }

  // On this page: mark where the reader is.
  const onpage = new Map(all('.onpage a').map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  let marked = null;
  function mark() {
    const heading = section(({ id }) => onpage.has(id));
    const link = heading && onpage.get(heading.id);
    if (link === marked) return;
    if (marked) marked.removeAttribute('aria-current');
    if (link) link.setAttribute('aria-current', 'true');
    marked = link;
  }
  if (onpage.size) {
    let waiting = false;
    addEventListener('scroll', () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; mark(); });
    }, { passive: true });
    mark();
  }

  // Language switch: same section, and the same place within it. The two texts differ in length,
  // so the place is kept as a share of the section's height.
  function extent(heading) {
    const next = headings[headings.indexOf(heading) + 1];
    const top = heading.getBoundingClientRect().top;
    const end = next ? next.getBoundingClientRect().top : document.querySelector('main').getBoundingClientRect().bottom;
    return { top, height: Math.max(1, end - top) };
  }
  for (const link of all('.languages a, .notice a[hreflang]')) {
    const aim = () => {
      const heading = section();
      link.hash = heading ? heading.id : '';
    };
    link.addEventListener('pointerdown', aim);
    link.addEventListener('focus', aim);
    link.addEventListener('click', () => {
      aim();
      remember('language', link.hreflang);
      const heading = section();
      if (!heading) return;
      const { top, height } = extent(heading);
      try {
        sessionStorage.setItem('place', JSON.stringify({ to: link.href, share: (margin() - top) / height }));
      } catch (refused) { /* the section's start will do */ }
    });
  }
  try {
    const place = JSON.parse(sessionStorage.getItem('place'));
    sessionStorage.removeItem('place');
    const heading = place && place.to === location.href && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (heading && headings.includes(heading)) {
      const restore = () => {
        const { top, height } = extent(heading);
        scrollTo({ top: scrollY + top - margin() + place.share * height, behavior: 'instant' });
      };
      // After the browser's own jump to the fragment, which it may do as late as `load`.
      if (document.readyState === 'complete') restore();
      else addEventListener('load', () => requestAnimationFrame(restore), { once: true });
    }
  } catch (refused) { /* start at the section */ }

  // Contents: show the current page; close the narrow popovers once a place on the page is chosen.
  const sidebar = document.getElementById('sidebar');
  const current = sidebar.querySelector('[aria-current]');
  function showCurrent() {
    if (!current) return;
    const space = sidebar.getBoundingClientRect();
    const box = current.getBoundingClientRect();
    if (box.bottom > space.bottom || box.top < space.top) sidebar.scrollTop += box.top - space.top - space.height / 3;
  }
  showCurrent();
  sidebar.addEventListener('toggle', showCurrent);
  const aside = document.getElementById('onpage');
  aside.addEventListener('click', (event) => {
    if (event.target.closest('a') && aside.matches(':popover-open')) aside.hidePopover();
  });

  // Copy buttons on code, output and run commands.
  for (const holder of all('figure.code, figure.output, .listing-run')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = words.copy;
    let timer;
    button.addEventListener('click', async () => {
      const source = holder.querySelector('pre') || holder.querySelector('code');
      let said = words.copied;
      try {
        await navigator.clipboard.writeText(source.textContent.replace(/\n$/, ''));
      } catch (refused) {
        said = words.copyFailed;
      }
      button.textContent = said;
      announce.textContent = said;
      clearTimeout(timer);
      timer = setTimeout(() => {
        button.textContent = words.copy;
        announce.textContent = '';
      }, 2000);
    });
    holder.append(button);
  }

  // A table wider than the page scrolls in its own box, which the keyboard must reach.
  const wrappers = all('.table-wrapper, pre');
  function reach() {
    for (const wrapper of wrappers) {
      if (wrapper.scrollWidth > wrapper.clientWidth) wrapper.tabIndex = 0;
      else if (!wrapper.matches('pre')) wrapper.removeAttribute('tabindex');
    }
  }
  if (wrappers.length) new ResizeObserver(reach).observe(document.querySelector('main'));

  for (const button of all('[data-print]')) button.addEventListener('click', () => print());

  // Search: its script, library and index are loaded on first use.
  const opener = document.querySelector('[data-open-search]');
  let search;
  function openSearch() {
    const dialog = document.getElementById('search');
    if (!dialog.open) dialog.showModal();
    search ||= import(new URL(words.searchScript, document.baseURI).href);
    search.then((module) => module.start(dialog), () => {
      search = null;
      dialog.querySelector('.search-status').textContent = dialog.dataset.failed;
    });
  }
  opener.addEventListener('click', openSearch);
  if (!('plain' in words)) {
    addEventListener('keydown', (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (event.target.closest('input, textarea, select, [contenteditable]')) return;
      event.preventDefault();
      openSearch();
    });
  }
})();
