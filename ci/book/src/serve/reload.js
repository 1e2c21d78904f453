// Keeps a served page fresh: reloads it after a build, in the same place, and shows why a build
// failed. `cargo book serve` adds it; built sites do not have it.
(() => {
  const { generation, events } = document.currentScript.dataset;
  const place = `place:${location.pathname}`;
  const kept = sessionStorage.getItem(place);
  if (kept !== null) {
    sessionStorage.removeItem(place);
    scrollTo({ top: Number(kept), behavior: 'instant' });
  }
  let shown = null;
  const hide = () => { shown?.remove(); shown = null; };
  const show = (text) => {
    hide();
    shown = document.createElement('pre');
    shown.setAttribute('role', 'alert');
    shown.style.cssText = 'position:fixed;inset:auto 0 0 0;z-index:1000;max-height:60vh;overflow:auto;margin:0;' +
      'padding:1rem 1.25rem;background:#2b1416;color:#ffd9d6;font:14px/1.5 ui-monospace,monospace;' +
      'white-space:pre-wrap;border-top:3px solid #ff7b72';
    shown.textContent = text;
    document.body.append(shown);
  };
  // Only a page that is looked at listens: a browser allows six connections to a host, and six open
  // tabs would leave none for the seventh. The server says at once how things stand.
  let source = null;
  const rest = () => { source?.close(); source = null; };
  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource(events);
    source.addEventListener('failed', (event) => show(event.data));
    source.addEventListener('built', (event) => {
      hide();
      if (event.data !== generation) {
        sessionStorage.setItem(place, String(scrollY));
        rest();
        location.reload();
      }
    });
  };
  listen();
  document.addEventListener('visibilitychange', () => (document.hidden ? rest() : listen()));
  addEventListener('pagehide', rest);
  addEventListener('pageshow', listen);
})();
