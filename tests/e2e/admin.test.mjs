// The operator's books: there with a token, for whoever has it; without one the path is the origin's, as any other.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertAnswered, assertRefused, authorize, call, startStack, withoutEffect } from './helpers.mjs';
import { ADMIN_TOKEN } from './identified.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const ROUTES = { 'GET /weather/*': '$0.001' };
const worker = await startWorker({ vars: stack.vars({ ROUTES }), secrets: { ADMIN_TOKEN } });
after(stopEverything);

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const pathOf = (address) => `/api/admin/books/84532/${address}`;
const buyer = await stack.buyer();
const payment = await authorize(worker.url, '/weather/lisbon', buyer);
assertAnswered(await call(worker.url, '/weather/lisbon', { headers: payment.v2 }));

test('with the token: what was paid, as it happened', async () => {
  const [{ transactionHash }] = await stack.chain.transfers({ from: buyer.address });
  for (const path of [pathOf(buyer.address), pathOf(buyer.address.toLowerCase()), `/api/admin/books/eip155:84532/${buyer.address}`]) {
    const response = await withoutEffect(stack, () => call(worker.url, path, { headers: bearer(ADMIN_TOKEN) }));
    assert.equal(response.status, 200, response.text);
    assert.match(response.headers['cache-control'], /no-store/);
    const { authorizations: [entry, ...more] } = response.json();
    assert.deepEqual(more, []);
    const { nonce, payer, payTo, value, mode, state, answered, transaction, evidence } = entry;
    assert.deepEqual(
      { nonce, payer, payTo, value, mode, state, answered, transaction, evidence },
      {
        nonce: payment.nonce, payer: buyer.address, payTo: stack.seller, value: '1000', mode: 'after', state: 'settled',
        answered: true, transaction: transactionHash, evidence: 'told',
      },
    );
    // The signature is no bookkeeping.
    assert.doesNotMatch(response.text, new RegExp(payment.signed.signature.slice(2, 40)));
  }
});

test('a payer who was never here has empty books', async () => {
  const nobody = await stack.buyer(0n);
  const response = await call(worker.url, pathOf(nobody.address), { headers: bearer(ADMIN_TOKEN) });
  assert.deepEqual(response.json(), { authorizations: [] });
});

test('without the right token nothing is said, not even whether there is something', async () => {
  for (const path of [pathOf(buyer.address), '/api/admin/', '/api/admin/anything', '/api/admin/books/1/x']) {
    for (const headers of [
      {}, bearer(''), bearer('wrong'), bearer(ADMIN_TOKEN.slice(0, -1)), bearer(`${ADMIN_TOKEN}x`), bearer(ADMIN_TOKEN.toUpperCase()),
      { authorization: ADMIN_TOKEN }, { authorization: `Basic ${Buffer.from(`:${ADMIN_TOKEN}`).toString('base64')}` },
      { cookie: `token=${ADMIN_TOKEN}` }, payment.v2,
    ]) {
      for (const method of ['GET', 'POST']) {
        const refused = await withoutEffect(stack, () => call(worker.url, path, { method, headers }));
        assertRefused(refused, 401, 'unauthorized');
        assert.match(refused.headers['cache-control'], /no-store/);
      }
    }
    assertRefused(await call(worker.url, `${path}?token=${ADMIN_TOKEN}`), 401, 'unauthorized');
  }
});

test('with the token, nothing but books: no other method, no other path, no broken name', async () => {
  for (const [method, path] of [
    ['POST', pathOf(buyer.address)], ['PUT', pathOf(buyer.address)], ['DELETE', pathOf(buyer.address)], ['HEAD', pathOf(buyer.address)],
    ['GET', '/api/admin/'], ['GET', '/api/admin/books'], ['GET', '/api/admin/books/84532'], ['GET', '/api/admin/books/84532/0x12'],
    ['GET', `/api/admin/books/x/${buyer.address}`], ['GET', `/api/admin/books/84532/${buyer.address.slice(2)}`],
    ['GET', `${pathOf(buyer.address)}/`], ['GET', `/api/admin/books/-1/${buyer.address}`],
  ]) {
    const response = await withoutEffect(stack, () => call(worker.url, path, { method, headers: bearer(ADMIN_TOKEN) }));
    assert.equal(response.status, 404, `${method} ${path}: ${response.status} ${response.text}`);
    assert.match(response.headers['cache-control'], /no-store/);
  }
});

test('the origin never sees the token, however the path is spelt', async () => {
  for (const path of ['/api/%61dmin/books', '/api//admin/books', '/api/./admin/books', '/API/admin/books', '/api/admin']) {
    const response = await call(worker.url, path, { headers: bearer(ADMIN_TOKEN) });
    assert.notEqual(response.status, 200);
    assert.doesNotMatch(response.text, /authorizations/);
  }
  // A path that is not ours keeps its Authorization, which is the origin's; an operator's path never gets there.
  assert.deepEqual(stack.origin.calls.filter(({ url }) => url.startsWith('/api/admin/')), []);
});

test('without an ADMIN_TOKEN the path is as any other: the origin\'s, priced, or nobody\'s', async () => {
  const open = await startWorker({ vars: stack.vars({ ROUTES }) });
  const before = stack.origin.calls.length;
  for (const headers of [{}, bearer(''), bearer(ADMIN_TOKEN)]) {
    const response = await call(open.url, pathOf(buyer.address), { headers });
    assert.equal(response.status, 404);
    assert.deepEqual(response.json(), { error: 'no such page at the origin' });
  }
  assert.equal(stack.origin.calls.length, before + 3);
  await open.stop();

  const priced = await startWorker({ vars: stack.vars({ DEFAULT: 'deny', ROUTES: { ...ROUTES, 'GET /api/admin/*': '$0.001' } }) });
  assertRefused(await call(priced.url, pathOf(buyer.address), { headers: bearer('') }), 402, 'payment_required');
  assertRefused(await call(priced.url, '/api/administration'), 404, 'no_such_route');
  await priced.stop();
});
