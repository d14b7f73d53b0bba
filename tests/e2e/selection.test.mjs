// Part of a representation, or another one, is another thing that is bought: a payment has the one that it was made for.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertRefused, authorize, call, startStack } from './helpers.mjs';
import { newId, withId } from './identified.mjs';
import { serve } from './stack/http.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);
const WHOLE = Array.from({ length: 400 }, (_, at) => String.fromCharCode(97 + (at % 26))).join('');
const state = { ran: 0, breaks: false };
const origin = await serve((request, response) => {
  if (request.method === 'HEAD') return void response.writeHead(404).end();
  state.ran += 1;
  if (state.breaks) return void request.socket.destroy();
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const kind = request.headers.accept?.includes('csv') ? 'text/csv' : 'text/plain';
  const text = kind === 'text/csv' ? WHOLE.toUpperCase() : WHOLE;
  const [from, to] = range ? [Number(range[1]), Number(range[2])] : [0, text.length - 1];
  const part = text.slice(from, to + 1);
  const headers = { 'content-type': kind, 'content-length': part.length, ...(range && { 'content-range': `bytes ${from}-${to}/${text.length}` }) };
  response.writeHead(range ? 206 : 200, headers).end(part);
});
const ROUTES = { '/file': '$0.001', '/file/before': { price: '$0.001', settle: 'before' } };
const worker = await startWorker({ vars: stack.vars({ ORIGIN: origin.url, ROUTES }) });
const isTaken = (response) => assertRefused(response, 409, ['identifier_taken', 'payment_already_used']);

for (const [what, first, others] of [
  ['a range', { range: 'bytes=0-99' }, [{}, { range: 'bytes=100-199' }, { range: 'bytes=0-9' }]],
  ['the whole', {}, [{ range: 'bytes=0-99' }, { accept: 'text/csv' }, { 'accept-language': 'pt' }]],
  ['a type', { accept: 'text/csv' }, [{}, { accept: 'text/plain' }]],
]) {
  test(`${what} is said again to who asks for the same, and is nothing else's answer`, async () => {
    const payment = await authorize(worker.url, '/file', await stack.buyer());
    const headers = withId(payment, newId());
    const ask = (more) => call(worker.url, '/file', { headers: { ...headers, ...more } });
    const answer = await ask(first);
    assert.ok([200, 206].includes(answer.status), answer.text);
    const ran = state.ran;
    for (const other of others) isTaken(await ask(other));
    const again = await ask(first);
    assert.equal(again.headers['idempotent-replayed'], 'true');
    assert.deepEqual([again.status, again.text, again.headers['content-range']], [answer.status, answer.text, answer.headers['content-range']]);
    assert.equal(state.ran, ran, 'nobody works for it again');
  });
}

test('what a client says by default is what it says by nothing', async () => {
  const payment = await authorize(worker.url, '/file', await stack.buyer());
  const headers = withId(payment, newId());
  assert.equal((await call(worker.url, '/file', { headers })).status, 200);
  const again = await call(worker.url, '/file', { headers: { ...headers, accept: '*/*', 'accept-language': '*', 'accept-encoding': 'gzip' } });
  assert.equal(again.headers['idempotent-replayed'], 'true');
});

test('a part that is owed is owed as that part, and as no other', async () => {
  const payment = await authorize(worker.url, '/file/before', await stack.buyer());
  const ask = (more) => call(worker.url, '/file/before', { headers: { ...payment.v2, ...more } });
  state.breaks = true;
  assertRefused(await ask({ range: 'bytes=0-0' }), 502, 'origin_unreachable');
  state.breaks = false;
  const ran = state.ran;
  for (const other of [{}, { range: 'bytes=0-399' }, { range: 'bytes=0-0', accept: 'text/csv' }]) isTaken(await ask(other));
  assert.equal(state.ran, ran);
  const answer = await ask({ range: 'bytes=0-0' });
  assert.deepEqual([answer.status, answer.text], [206, 'a']);
});
