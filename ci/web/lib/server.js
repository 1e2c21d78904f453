// Serves the site as a static host does: gzip, right types, 404 for what is not there. Keeps a
// log of what was asked for and how many bytes it took.

import { existsSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.xml': 'application/xml',
};
const BINARY = new Set(['.png']);

export async function serve(site) {
  const cache = new Map();
  const log = [];

  /** A path's answer: `{ status, type, body, gzip }`. */
  function answer(url) {
    if (cache.has(url)) return cache.get(url);
    let status = 200;
    let file = path.join(site.folder, path.posix.normalize(`/${url}`));
    if (existsSync(file) && statSync(file).isDirectory()) file = path.join(file, 'index.html');
    if (!existsSync(file)) {
      status = 404;
      file = path.join(site.folder, '404.html');
    }
    const extension = path.extname(file);
    const gzip = !BINARY.has(extension);
    const body = readFileSync(file);
    const made = { status, type: TYPES[extension] || 'application/octet-stream', body: gzip ? gzipSync(body, { level: 9 }) : body, gzip };
    cache.set(url, made);
    return made;
  }

  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    const inside = pathname.startsWith(site.prefix);
    const { status, type, body, gzip } = answer(decodeURIComponent(inside ? pathname.slice(site.prefix.length) : 'outside'));
    log.push({ path: pathname, status, bytes: body.length });
    response.writeHead(status, { 'content-type': type, 'content-length': body.length, 'cache-control': 'max-age=600', ...(gzip && { 'content-encoding': 'gzip' }) });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return {
    origin,
    log,
    url: (file = '') => origin + site.prefix + file,
    close: () => server.close(),
  };
}
