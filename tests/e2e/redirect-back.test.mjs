// A redirect that leads back into the gateway, to what is sold on the same terms, is no answer: the payment follows it.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { assertAnswered, assertRefused, authorize, call, receiptsOf, startStack, until } from './helpers.mjs';
import { newId, withId } from './identified.mjs';
import { payV2 } from './stack/client.mjs';
import { readBody, serve } from './stack/http.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);
const ran = [];
/** As FastAPI (307, an absolute URL of its own host) and Django (301, a path) do it where a slash is missing. */
const origin = await serve(async (request, response) => {
  const [path, query] = request.url.split('?');
  const tail = query === undefined ? '' : `?${query}`;
  const to = (status, location) => void response.writeHead(status, { location }).end();
  ran.push(`${request.method} ${request.url}`);
  const body = await readBody(request);
  if (path.endsWith('/fastapi')) return to(307, `http://${request.headers.host}${path}/${tail}`);
  if (path.endsWith('/django')) return to(301, `${path}/${tail}`);
  if (path.endsWith('/round')) return to(302, path);
  if (path.endsWith('/to-free')) return to(302, '/free/celsius');
  if (path.endsWith('/to-dear')) return to(302, '/dear');
  if (path.endsWith('/see-other')) return to(303, '/after/jobs/7');
  if (path.endsWith('/away')) return to(302, 'https://elsewhere.example/');
  response.end(`celsius ${body}`);
});
const ROUTES = {
  '/after/*': { price: '$0.001', verify: 'local' },
  '/before/*': { price: '$0.001', settle: 'before' },
  '/deferred/*': { price: '$0.001', settle: 'deferred', max_exposure: '$1' },
  '/dear': '$0.5',
};
const worker = await startWorker({ vars: stack.vars({ ORIGIN: origin.url, ROUTES, PACKAGES }), secrets: SECRETS });
const transfers = async (buyer) => (await stack.chain.transfers({ from: buyer.address })).length;

for (const settle of ['after', 'before', 'deferred']) {
  for (const [path, init] of [['fastapi?x=1'], ['django'], ['fastapi', { method: 'POST', body: 'hello' }]]) {
    test(`${settle}: the official client is led from ${init?.method ?? 'GET'} ${path} to the answer, and pays once`, async () => {
      const buyer = await stack.buyer();
      const before = ran.length;
      const response = await payV2(`${worker.url}/${settle}/${path}`, buyer, { init });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      assert.equal(text, `celsius ${init?.body ?? ''}`);
      assert.ok(response.url.startsWith(worker.url), `led around the gateway: ${response.url}`);
      assert.equal(ran.length - before, 2);
      await until('it is settled', async () => (await transfers(buyer)) === 1);
      if (settle !== 'deferred') assert.equal(response.receipt.success, true);
    });
  }

  test(`${settle}: who does not follow has not used up the payment, and who does has`, async () => {
    const buyer = await stack.buyer();
    const path = `/${settle}/django`;
    const payment = await authorize(worker.url, path, buyer);
    const ask = (target) => call(worker.url, target, { headers: payment.v2 });
    for (const _ of 'ab') {
      const led = await ask(path);
      assert.deepEqual([led.status, led.headers.location], [301, `${path}/`]);
      assert.equal(receiptsOf(led).v2?.success, settle === 'before' ? true : undefined);
    }
    // To what it was led, and to nothing else.
    assertRefused(await ask(`/${settle}/other`), 409, 'payment_already_used');
    const answer = await ask(`${path}/`);
    assert.equal(answer.status, 200, answer.text);
    for (const target of [path, `${path}/`]) assertRefused(await ask(target), 409, 'payment_already_used');
    await until('it is settled', async () => (await transfers(buyer)) === 1);
  });
}

test('before, and an identifier: the answer at the end is owed to it, and said again under it', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/before/django', buyer);
  const headers = withId(payment, newId());
  assert.equal((await call(worker.url, '/before/django', { headers })).status, 301);
  // Without the identifier it is nobody's.
  assert.equal((await call(worker.url, '/before/django/', { headers: payment.v2 })).status, 409);
  const first = await call(worker.url, '/before/django/', { headers });
  assertAnswered(first);
  const again = await call(worker.url, '/before/django/', { headers });
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(again.text, first.text);
  assert.equal(await transfers(buyer), 1);
});

test('before: one payment is led in a circle so often and no more', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/before/round', buyer);
  const before = ran.length;
  for (let at = 0; at < 5; at += 1) assert.equal((await call(worker.url, '/before/round', { headers: payment.v2 })).status, 302);
  assertRefused(await call(worker.url, '/before/round', { headers: payment.v2 }), 409, 'payment_already_used');
  assert.equal(ran.length - before, 5);
  assert.equal(await transfers(buyer), 1);
});

for (const path of ['to-free', 'to-dear', 'see-other', 'away']) {
  test(`a redirect ${path} is what was bought, and is charged`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, `/after/${path}`, buyer);
    const response = await call(worker.url, `/after/${path}`, { headers: payment.v2 });
    assert.ok(response.status >= 302 && response.status <= 303);
    assert.equal(receiptsOf(response).v2.success, true);
    assert.equal(await transfers(buyer), 1);
    assert.equal((await call(worker.url, '/dear', { headers: payment.v2 })).status === 200, false);
  });
}

test('a key is charged where a redirect leads, and not for the redirect', async () => {
  const { key } = (await operator(worker.url, { action: 'mint', credits: 5 })).json();
  for (const path of ['/after/django', '/before/django']) {
    const led = await call(worker.url, path, { headers: bearer(key) });
    assert.deepEqual([led.status, led.headers['x-credits-charged']], [301, '0']);
  }
  assert.equal((await creditsOf(worker.url, key)).available, 5);
  assert.equal((await call(worker.url, '/after/django/', { headers: bearer(key) })).status, 200);
  await until('the capture', async () => (await creditsOf(worker.url, key)).available === 4);
  // Out of the gateway it is an answer.
  assert.equal((await call(worker.url, '/after/to-free', { headers: bearer(key) })).headers['x-credits-charged'], '1');
});

test('a free path: a redirect by the origin’s own name does not lead around the gateway', async () => {
  const response = await call(worker.url, '/free/fastapi?x=1');
  assert.deepEqual([response.status, response.headers.location], [307, '/free/fastapi/?x=1']);
  assert.equal((await call(worker.url, '/free/away')).headers.location, 'https://elsewhere.example/');
});
