// An origin that behaves well or badly on request, and remembers what reached it.

import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { sendJson, serve } from './http.mjs';
import { sleep } from './processes.mjs';

const REMEMBERED = 1024 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, 'x');

/**
 * Paths, for any method:
 *   /weather/*             JSON: {city, sky, celsius}
 *   /status/:code          that status, with a JSON body where the status has one
 *   /reset                 closes the connection without an answer
 *   /reset-midway          closes it after the headers and a part of the body
 *   /hang                  never answers
 *   /slow?bytes=N&ms=T     N bytes over T milliseconds, as they are written
 *   /echo                  one line of JSON {method, url, headers}, then the request's body as it arrives
 *   /redirect              302 to /weather/elsewhere
 *   /with-payment-headers  sets payment and caching headers that are ours to set
 *   /gzip                  gzip-encoded JSON
 * A call's `body` is its first MiB as text, `bytes` its whole length; both are complete once `done`.
 * `gate` may be assigned at any time: `(url) => Promise | undefined`; no answer is begun before it.
 * @returns {Promise<{url: string, port: number, gate: undefined | ((url: string) => Promise<void> | undefined),
 *   calls: Array<{method: string, url: string, headers: object, rawHeaders: string[], body: string, bytes: number, done: boolean}>,
 *   reset: () => void, stop: () => Promise<void>}>}
 */
export async function startOrigin({ port = 0 } = {}) {
  const calls = [];
  const server = await serve(async (request, response) => {
    const { method, url, headers, rawHeaders } = request;
    const call = { method, url, headers, rawHeaders, body: '', bytes: 0, done: false };
    calls.push(call);
    request.on('data', (chunk) => {
      if (call.bytes < REMEMBERED) call.body += chunk.toString('utf8');
      call.bytes += chunk.length;
    });
    request.on('end', () => (call.done = true));
    // Not a turn is waited for without a gate: the body would flow before an echo is there to catch it.
    const gate = origin.gate?.(url);
    if (gate) await gate;
    await answer(request, response);
  }, { port });
  const origin = {
    gate: undefined,
    url: server.url,
    port: server.port,
    calls,
    reset: () => void (calls.length = 0),
    stop: server.stop,
  };
  return origin;
}

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://origin');
  const [, first, second] = pathname.split('/');
  switch (first) {
    case 'weather':
      return sendJson(response, 200, { city: second ?? '', sky: 'clear', celsius: 21 });
    case 'status': {
      const status = Number(second);
      if ([204, 205, 304].includes(status)) return void response.writeHead(status).end();
      return sendJson(response, status, { status });
    }
    case 'reset':
      return void request.socket.destroy();
    case 'reset-midway':
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 1000 });
      response.write('the beginning');
      await sleep(50);
      return void request.socket.destroy();
    case 'hang':
      return;
    case 'slow':
      return slowly(response, Number(searchParams.get('bytes') ?? 1e6), Number(searchParams.get('ms') ?? 1000));
    case 'echo': {
      const { method, url, headers } = request;
      response.writeHead(200, { 'content-type': request.headers['content-type'] ?? 'application/json' });
      response.write(`${JSON.stringify({ method, url, headers })}\n`);
      return void request.pipe(response);
    }
    case 'redirect':
      return void response.writeHead(302, { location: '/weather/elsewhere' }).end();
    case 'with-payment-headers':
      return sendJson(response, 200, { from: 'origin' }, {
        'PAYMENT-REQUIRED': 'forged', 'PAYMENT-RESPONSE': 'forged', 'X-PAYMENT-RESPONSE': 'forged',
        'PAYMENT-SIGNATURE': 'forged', 'EXTENSION-RESPONSES': 'forged', 'Settlement-Overrides': '{"amount":"1"}',
        'Cache-Control': 'public, max-age=3600', 'CDN-Cache-Control': 'max-age=3600',
        'Cloudflare-CDN-Cache-Control': 'max-age=3600', Expires: 'Thu, 01 Jan 2099 00:00:00 GMT',
        'X-From-Origin': 'kept',
      });
    case 'gzip':
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      return void response.end(gzipSync(JSON.stringify({ packed: true })));
    default:
      return sendJson(response, 404, { error: 'no such page at the origin' });
  }
}

async function slowly(response, bytes, milliseconds) {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  response.flushHeaders();
  const started = Date.now();
  const gone = once(response, 'close');
  for (let sent = 0; sent < bytes && !response.destroyed; ) {
    const chunk = CHUNK.subarray(0, Math.min(CHUNK.length, bytes - sent));
    if (!response.write(chunk)) await Promise.race([new Promise((done) => response.once('drain', done)), gone]);
    sent += chunk.length;
    const ahead = started + (sent / bytes) * milliseconds - Date.now();
    if (ahead > 1) await sleep(ahead);
  }
  response.end();
}
