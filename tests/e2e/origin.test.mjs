// Between the client and the origin: what is charged when the origin fails, and that bodies flow as they come.

import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, test } from 'node:test';
import {
  assertAnswered, assertNoAnswer, assertRefused, authorize, call, effectsOf, prepare, receiptsOf, startStack, until, withoutEffect,
} from './helpers.mjs';
import { serve } from './stack/http.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { chain, origin } = stack;
const PRICE = 1000n;
// A body that is held up somewhere never comes: that is a failure, not a reason to wait for ever.
const PATIENCE = { timeout: 60_000 };
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: {
      'GET /status/:code': '$0.001',
      'GET /reset': '$0.001',
      'GET /reset-midway': '$0.001',
      'GET /hang': { price: '$0.001', timeout_seconds: 2 },
      'GET /slow': '$0.001',
      'GET /redirect': '$0.001',
      'POST /echo': '$0.001',
      'GET /weather/*': '$0.001',
      'PUT /status/:code': { price: '$0.001', settle: 'before' },
      'PUT /reset': { price: '$0.001', settle: 'before' },
      'PUT /hang': { price: '$0.001', settle: 'before', timeout_seconds: 2 },
    },
  }),
});
// An origin that does as each test says.
const scripted = { answer: undefined, calls: 0 };
const scriptedOrigin = await serve(async (request, response) => {
  scripted.calls += 1;
  await scripted.answer(request, response);
});
const played = await startWorker({
  vars: stack.vars({ ORIGIN: scriptedOrigin.url, ROUTES: { 'GET /play/*': '$0.001', 'POST /play/*': { price: '$0.001', verify: 'local' } } }),
});
after(async () => {
  await scriptedOrigin.stop();
  await Promise.all([worker.stop(), played.stop()]);
  await stack.stop();
});

/** A streaming request with a payment: the response as soon as its headers are here. */
function stream(base, target, headers, { method = 'GET' } = {}) {
  const { hostname, port } = new URL(base);
  const request = httpRequest({ hostname, port, path: target, method, headers, agent: false });
  const response = new Promise((done, failed) => request.once('response', done).once('error', failed));
  response.catch(() => {});
  return { request, response };
}
const nextChunk = (response) => new Promise((done, failed) => {
  response.once('data', (chunk) => {
    response.pause();
    done(chunk);
  });
  response.once('end', () => failed(new Error('the response ended')));
  response.resume();
});

for (const [path, status, code] of [
  ['/status/404', 404], ['/status/500', 500], ['/status/503', 503], ['/status/402', 402],
  ['/reset', 502, 'origin_unreachable'], ['/hang', 504, 'origin_timeout'],
]) {
  test(`GET ${path}, settled after: not charged, and the payment is still good for this request`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    for (const attempt of ['first', 'again']) {
      const { result, calls, earned } = await effectsOf(stack, () => call(worker.url, path, { headers: payment.v2 }));
      assert.equal(result.status, status, attempt);
      if (code) assertRefused(result, status, code);
      else assert.deepEqual(result.json(), { status });
      assert.deepEqual(calls, { origin: 1, verify: 0, settle: 0 });
      assert.equal(earned, 0n);
      assert.deepEqual(receiptsOf(result), { v2: undefined, v1: undefined });
    }
    assert.equal(await chain.balanceOf(buyer.address), 1_000_000n);
    assert.equal(await chain.authorizationState(buyer.address, payment.nonce), false);
  });
}

for (const [path, status, code] of [['/status/404', 404], ['/status/500', 500], ['/reset', 502, 'origin_unreachable'], ['/hang', 504, 'origin_timeout']]) {
  test(`PUT ${path}, settled before: charged, and the receipt says so`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer, { method: 'PUT' });
    const put = () => call(worker.url, path, { method: 'PUT', headers: payment.v2 });
    const { result, earned } = await effectsOf(stack, put);
    assert.equal(result.status, status, result.text);
    if (code) assertRefused(result, status, code);
    assert.equal(earned, PRICE);
    assert.equal(receiptsOf(result).v2.success, true);
    assert.match(result.headers['cache-control'], /no-store/);
    // Paid once is charged once, whatever becomes of the answer that is owed.
    const again = await effectsOf(stack, put);
    assert.equal(again.earned, 0n);
    assert.equal(again.calls.settle, 0);
    assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
  });
}

test('an origin that fails first and works then is paid once, with one payment', async () => {
  const buyer = await stack.buyer();
  scripted.answer = (request, response) => response.writeHead(scripted.calls === 1 ? 500 : 200).end(`attempt ${scripted.calls}`);
  scripted.calls = 0;
  const payment = await authorize(played.url, '/play/flaky', buyer);
  const ask = () => call(played.url, '/play/flaky', { headers: payment.v2 });
  assert.equal((await ask()).status, 500);
  // Given back for the same request, and only for that.
  for (const target of ['/play/other', '/play/flaky?x=1']) {
    const other = await call(played.url, target, { headers: payment.v2 });
    if (other.status === 200) assert.fail(`${target} took a payment that was claimed for another request`);
    assertRefused(other, 409, 'payment_already_used');
  }
  const answered = await ask();
  assertAnswered(answered);
  assert.equal(answered.text, 'attempt 2');
  assertRefused(await ask(), 409, 'payment_already_used');
  assert.equal(scripted.calls, 2);
  assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
});

test('a client that goes away in the middle of its answer has paid for it', PATIENCE, async () => {
  const buyer = await stack.buyer();
  const path = '/slow?bytes=50000000&ms=600000';
  const payment = await authorize(worker.url, path, buyer);
  const { request, response } = stream(worker.url, path, payment.v2);
  request.end();
  // Ten minutes' worth of body: what is here was sent on while the rest had not been written.
  assert.ok((await nextChunk(await response)).length > 0);
  request.destroy();
  assert.equal((await chain.transfers({ from: buyer.address, to: stack.seller })).length, 1);
  const again = await withoutEffect(stack, () => call(worker.url, path, { headers: payment.v2 }));
  assertRefused(again, 409, 'payment_already_used');
});

test('an origin that dies in the middle of its answer is not asked again for nothing', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/reset-midway', buyer);
  const first = await call(worker.url, '/reset-midway', { headers: payment.v2 }).catch((error) => error);
  assert.ok(first instanceof Error || first.status !== 200 || first.text !== '', 'a broken answer must not look whole');
  const transfers = (await chain.transfers({ from: buyer.address })).length;
  assert.equal(transfers, 1);
  const again = await withoutEffect(stack, () => call(worker.url, '/reset-midway', { headers: payment.v2 }));
  assertNoAnswer(again);
  assert.ok([409, 503].includes(again.status), again.text);
});

test('a redirect is the client’s to follow, and within the same terms costs nothing', async () => {
  const payment = await authorize(worker.url, '/redirect', await stack.buyer());
  const { result, calls, earned } = await effectsOf(stack, () => call(worker.url, '/redirect', { headers: payment.v2 }));
  assert.equal(result.status, 302);
  assert.equal(result.headers.location, '/weather/elsewhere');
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 0 });
  assert.equal(earned, 0n);
  const there = await effectsOf(stack, () => call(worker.url, '/weather/elsewhere', { headers: payment.v2 }));
  assertAnswered(there.result);
  assert.equal(there.earned, PRICE);
  assertRefused(await withoutEffect(stack, () => call(worker.url, '/redirect', { headers: payment.v2 })), 409, 'payment_already_used');
});

test('the answer comes while the origin still writes it', PATIENCE, async () => {
  const buyer = await stack.buyer();
  const chunks = Array.from({ length: 5 }, (_, i) => `chunk ${i};`);
  let more;
  scripted.answer = async (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const chunk of chunks) {
      response.write(chunk);
      // The next one is not written before the client has this one: a buffer anywhere would stop it all.
      await new Promise((done) => (more = done));
    }
    response.end();
  };
  const payment = await authorize(played.url, '/play/stream', buyer);
  const { request, response } = stream(played.url, '/play/stream', payment.v2);
  request.end();
  const answer = await response;
  assert.equal(answer.statusCode, 200);
  assert.equal(JSON.parse(Buffer.from(answer.headers['payment-response'], 'base64')).success, true);
  for (const chunk of chunks) {
    assert.equal((await nextChunk(answer)).toString(), chunk);
    more();
  }
  assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
});

test('the origin reads a body while the client still writes it', PATIENCE, async () => {
  const received = [];
  scripted.answer = async (request, response) => {
    for await (const chunk of request) received.push(chunk.toString());
    response.end(`got ${received.join('')}`);
  };
  const payment = await authorize(played.url, '/play/upload', await stack.buyer(), { method: 'POST' });
  const { request, response } = stream(played.url, '/play/upload', payment.v2, { method: 'POST' });
  const parts = ['one,', 'two,', 'three'];
  for (const [i, part] of parts.entries()) {
    request.write(part);
    await until(`part ${i} at the origin`, () => received.join('') === parts.slice(0, i + 1).join(''));
  }
  request.end();
  const answer = await response;
  assert.equal(answer.statusCode, 200);
  assert.equal((await answer.setEncoding('utf8').toArray()).join(''), 'got one,two,three');
});

test('a price is told before a body is looked at', PATIENCE, async () => {
  const held = prepare(worker.url, '/echo', { method: 'POST', body: 'x'.repeat(100_000) });
  await held.ready;
  // Its last byte is never sent.
  assertRefused(await held.response, 402, 'payment_required');
});

test('50 MB pass slowly, at flat memory', PATIENCE, async (t) => {
  const bytes = 50 * 1024 * 1024;
  const download = async (bytes, milliseconds) => {
    const path = `/slow?bytes=${bytes}&ms=${milliseconds}`;
    const payment = await authorize(worker.url, path, await stack.buyer());
    const { request, response } = stream(worker.url, path, payment.v2);
    request.end();
    const answer = await response;
    assert.equal(answer.statusCode, 200);
    let received = 0;
    let peak = 0;
    let sampled = 0;
    for await (const chunk of answer) {
      received += chunk.length;
      if (received - sampled > 2 * 1024 * 1024) {
        sampled = received;
        peak = Math.max(peak, worker.memory() ?? 0);
      }
    }
    assert.equal(received, bytes);
    return peak;
  };
  // Small, so that what the first request of its kind costs is not counted, but a buffer as large as the body would be.
  await download(bytes / 25, 100);
  const before = worker.memory();
  const peak = await download(bytes, 3000);
  if (before === undefined) return t.diagnostic('no /proc here: memory not measured');
  t.diagnostic(`workerd: ${Math.round(before / 2 ** 20)} MiB before, ${Math.round(peak / 2 ** 20)} MiB at most`);
  assert.ok(peak - before < bytes / 2, `grew by ${peak - before} bytes`);
});
