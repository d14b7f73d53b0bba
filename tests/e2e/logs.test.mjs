// What the Worker writes to its log, of traffic of every kind: decisions, and nothing that was paid with.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { PACKAGES, SECRETS, bearer, buy, operator, spend } from './credits.mjs';
import { assertAnswered, assertRefused, authorize, call, encode, startStack, until } from './helpers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

after(stopEverything);
const stack = await startStack();
const ORIGIN_SECRET = 'what-the-origin-knows-us-by-0123456789';
const worker = await startWorker({
  vars: stack.vars({ ROUTES: { '/weather/*': '$0.001', 'GET /weather/first/*': { price: '$0.001', settle: 'before' } }, PACKAGES, CREDIT_VALUE: '$0.01' }),
  secrets: { ...SECRETS, ORIGIN_SECRET },
});

/** Every run of 24 characters or more that proves or pays something: a part of one in a log is as bad as the whole. */
const parts = (text) => Array.from({ length: Math.max(1, Math.floor(text.length / 24)) }, (_, at) => text.slice(at * 24, at * 24 + 24));

test('no payment header, signature, key or secret of paid traffic is in the log', async () => {
  const shown = [...Object.values(SECRETS), ORIGIN_SECRET];
  const ask = (target, headers) => call(worker.url, target, { headers });

  const buyer = await stack.buyer();
  for (const target of ['/weather/lisbon', '/weather/first/lisbon']) {
    const payment = await authorize(worker.url, target, buyer);
    shown.push(payment.signed.signature, ...Object.values(payment.v2), ...Object.values(payment.v1));
    assertAnswered(await ask(target, payment.v2));
    assertRefused(await ask(target, payment.v1), 409, 'payment_already_used');
  }
  const wrong = await authorize(worker.url, '/weather/lisbon', buyer, { fields: { value: '1' } });
  shown.push(wrong.signed.signature, ...Object.values(wrong.v2));
  assertRefused(await ask('/weather/lisbon', wrong.v2), 402, 'wrong_amount');
  const broken = encode({ x402Version: 2, payload: wrong.signed, accepted: 'what is this, and who has signed it?' });
  shown.push(broken);
  assert.ok((await ask('/weather/lisbon', { 'PAYMENT-SIGNATURE': broken })).status >= 400);
  const poor = await authorize(worker.url, '/weather/lisbon', await stack.buyer(0n));
  shown.push(poor.signed.signature, ...Object.values(poor.v2));
  assertRefused(await ask('/weather/lisbon', poor.v2), 402, 'payment_refused');

  const { key, payment } = await buy(stack, worker.url);
  shown.push(key, payment.signed.signature, ...Object.values(payment.v2));
  assertAnswered(await spend(worker.url, key));
  const forged = `${key.slice(0, -4)}0000`;
  shown.push(forged);
  assert.equal((await spend(worker.url, forged)).status, 401);
  assert.equal((await call(worker.url, '/api/credits/rotate', { method: 'POST', headers: bearer(key) })).status, 200);
  const token = 'not-the-token-of-the-operator-0123456789';
  shown.push(token);
  await call(worker.url, '/api/admin/credits', { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: '{}' });
  await operator(worker.url, '{"what": "is this"}');

  // The last of it is there: so is all that came before.
  await until('the decisions are logged', () => /"answered"/.test(worker.logs()) && /"charged"/.test(worker.logs()));
  const log = worker.logs();
  for (const text of shown) {
    for (const part of parts(text.replace(/^0x/, ''))) assert.ok(!log.includes(part), `${part} of ${text} is in the log`);
  }
  // The check can see what it looks for.
  assert.ok(log.includes(buyer.address.slice(2)), 'the log has the payer, or it is another log');
});
