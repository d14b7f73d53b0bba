// A payment with an identifier, and an origin with every kind of answer that can get lost.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { authorize, call, encode, receiptsOf, startStack } from './helpers.mjs';
import { readBody, serve } from './stack/http.mjs';
import { sleep } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

export const EXTENSION = 'payment-identifier';
export const ADMIN_TOKEN = 'an-operator-who-reads-the-books-0';
/** As the standard's own helper makes one: `pay_` and a UUID without dashes. */
export const newId = () => `pay_${randomBytes(16).toString('hex')}`;

/** A v2 payment's header with this id, or with whatever else is given as `info`. */
export function withId(payment, id, info = { required: false, id }) {
  const json = payment.json?.v2 ?? payment;
  return { 'PAYMENT-SIGNATURE': encode({ ...json, extensions: { ...json.extensions, [EXTENSION]: { info } } }) };
}

/**
 * A stack whose origin is the script below, and a Worker on it that sells `routes`.
 * `buy` makes a payment with an id and the ways to send it: `ask()`, or `ask({body, target, …})` with something else about
 * it. `restart` ends the Worker and starts another on its storage.
 */
export async function startIdentified(routes) {
  const script = await startScript();
  const stack = Object.assign(await startStack(), { origin: script, script });
  const start = (persist) => startWorker({
    vars: stack.vars({ ORIGIN: script.url, ROUTES: routes }), secrets: { ADMIN_TOKEN }, persist,
  });
  stack.worker = await start();
  const { stop } = stack;
  return Object.assign(stack, {
    url: () => stack.worker.url,
    restart: async (end) => {
      await stack.worker[end]();
      stack.worker = await start(stack.worker.persistPath);
    },
    reset: () => {
      stack.proxy.reset();
      script.reset();
    },
    stop: async () => {
      await stack.worker.stop();
      await stop();
      await script.stop();
    },
    booksOf: (address) => booksOf(stack.worker.url, address),
    buy: async (target, { method = 'GET', body, id = newId(), buyer, headers: more, fields } = {}) => {
      buyer ??= await stack.buyer();
      // A challenge of HEAD has no body to read; its price is GET's.
      const payment = await authorize(stack.worker.url, target, buyer, { method: method === 'HEAD' ? 'GET' : method, fields });
      const headers = { ...more, ...withId(payment, id) };
      const ask = (other = {}) => call(stack.worker.url, other.target ?? target, { method, headers, body, ...other });
      return { buyer, payment, id, headers, target, ask };
    },
  });
}

/** What the operator's books say of a payer. */
export async function booksOf(base, address) {
  const response = await call(base, `/api/admin/books/84532/${address}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
  assert.equal(response.status, 200, response.text);
  return response.json().authorizations;
}

/** Every byte there is, and the word by which an answer is known. */
export const BINARY = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), randomBytes(3000), Buffer.from('celsius')]);
/** Beyond what is kept. */
export const LARGE = Buffer.alloc(256 * 1024 + 1, 'celsius ');
/** The most that is kept. */
export const LARGEST_KEPT = LARGE.subarray(1);
const TEXT = 'a text that is packed: 21 celsius, 21 celsius, 21 celsius';

const whole = (status, headers, body) => (response) => {
  const bytes = Buffer.from(body ?? '');
  response.writeHead(status, { 'x-from-origin': 'kept', ...headers, ...(body === undefined ? {} : { 'content-length': bytes.length }) });
  response.end(bytes);
};
const inParts = (type, parts) => async (response, script, call) => {
  response.writeHead(200, { 'content-type': type, 'x-from-origin': 'kept' });
  for (const [at, part] of parts.entries()) {
    response.write(part);
    await sleep(20);
    await script.between?.(call, at);
  }
  response.end();
};
const json = (status, headers = {}) => whole(status, { 'content-type': 'application/json', ...headers }, '{"celsius":21}');

/** By the last segment of the path. */
const ANSWERS = {
  json: json(200, { etag: '"v1"', 'content-language': 'pt', vary: 'Accept' }),
  binary: whole(200, { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment; filename="x"' }, BINARY),
  empty: whole(200, { 'content-type': 'text/plain' }, ''),
  created: json(201, { location: '/things/7' }),
  'no-content': whole(204, {}),
  'moved-here': whole(302, { location: '/elsewhere?x=1' }, 'celsius'),
  'see-other': whole(303, { location: 'https://elsewhere.example/' }, ''),
  permanent: whole(308, { location: '/elsewhere' }, ''),
  missing: json(404),
  broken: json(500),
  cookies: json(200, { 'set-cookie': ['a=1; Path=/; Expires=Thu, 01 Jan 2099 00:00:00 GMT', 'b=2; HttpOnly'] }),
  // Served as packed bytes; a reader must get the text.
  gzip: whole(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }, gzipSync(TEXT)),
  deflate: whole(200, { 'content-type': 'text/plain', 'content-encoding': 'deflate' }, deflateSync(TEXT)),
  large: whole(200, { 'content-type': 'text/plain' }, LARGE),
  largest: whole(200, { 'content-type': 'text/plain' }, LARGEST_KEPT),
  chunked: inParts('text/plain', ['21 ', 'degrees ', 'celsius']),
  'chunked-binary': inParts('application/octet-stream', [BINARY, BINARY]),
  'chunked-large': inParts('text/plain', [LARGE.subarray(0, 200_000), LARGE.subarray(200_000)]),
  stream: inParts('text/event-stream', ['data: 20 celsius\n\n', 'data: 21 celsius\n\n']),
};
export const PACKED_TEXT = TEXT;

/**
 * An origin that answers by the last segment of the path. `hold`, if set, is awaited before an answer begins, `between`
 * between the parts of one that comes in parts.
 */
export async function startScript() {
  const script = { calls: [], hold: undefined, between: undefined };
  const server = await serve(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://origin');
    const { method, url, headers } = request;
    const call = { method, url, headers };
    script.calls.push(call);
    call.body = await readBody(request);
    await script.hold?.(call);
    const what = pathname.split('/').at(-1);
    if (what === 'echo') return whole(200, { 'content-type': 'text/plain' }, `celsius: ${call.body}`)(response);
    return (ANSWERS[what] ?? json(200))(response, script, call);
  });
  return Object.assign(script, {
    url: server.url,
    stop: server.stop,
    reset: () => {
      script.hold = undefined;
      script.between = undefined;
    },
  });
}

/** Of the hop, not of the answer; and what only a replay has. */
const NOT_COMPARED = ['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'content-encoding', 'idempotent-replayed', 'payment-response', 'x-edge402-settlement'];
const compared = ({ headers }) => Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_COMPARED.includes(name)));

/** The very answer once more: its status, its headers, its bytes, its receipt. */
export function assertSaidAgain(again, first, { receipt = true } = {}) {
  assert.equal(again.headers['idempotent-replayed'], 'true', `${again.status} ${again.text.slice(0, 300)}`);
  assert.equal(first.headers['idempotent-replayed'], undefined);
  assert.equal(again.status, first.status, again.text.slice(0, 300));
  assert.deepEqual(compared(again), compared(first));
  assert.ok(again.body.equals(first.body), `another body: ${again.text.slice(0, 100)} instead of ${first.text.slice(0, 100)}`);
  if (receipt) {
    assert.equal(receiptsOf(first).v2.success, true);
    assert.deepEqual(receiptsOf(again), receiptsOf(first));
  }
}

/** It was answered, and is not here to be said again: the receipt alone, and not a word of the answer. */
export function assertNotKept(again) {
  assert.equal(again.status, 200, again.text);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  const { answered, kept } = again.json();
  assert.deepEqual({ answered, kept }, { answered: true, kept: false });
  assert.equal(receiptsOf(again).v2.success, true);
  assert.match(again.headers['cache-control'], /no-store/);
  assert.doesNotMatch(again.text, /celsius/);
}
