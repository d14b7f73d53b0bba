// What the books know is never asked for again. A payment that was right when it was signed can be wrong when it is sent
// again: too late, for a price that has changed, for a wallet that only the facilitator can vouch for. If it may have
// moved money meanwhile, the answer is not a challenge, or an honest client signs again and pays twice.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  assertAnswered, assertRefused, assertUnknown, authorize, call, challengeOf, now, receiptsOf, spellings, startStack, until,
} from './helpers.mjs';
import { ADMIN_TOKEN, effectsFor, faultsByPayer, passesNothingOn, untilBooked } from './payers.mjs';
import { sign } from './stack/client.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const routes = (price) => ({
  'GET /weather/*': price,
  'GET /weather/before/*': { price, settle: 'before' },
});
const secrets = { ADMIN_TOKEN };
let worker = await startWorker({ vars: stack.vars({ ROUTES: routes('$0.001') }), secrets });
const faults = faultsByPayer(stack.proxy);
after(stopEverything);

/** Settles on chain, and answers as if it had broken, until the fault is lifted: the alarm asks again every few seconds. */
const breakAfterSettling = (payer) =>
  faults.set(payer, (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined));

const ask = (path, headers) => call(worker.url, path, { headers });

/** Lifts the fault: the alarm finds out, and what is owed is served once, whatever it would cost or be refused for now. */
async function assertOwedOnce(path, payer, nonce, headers) {
  faults.lift(payer);
  await untilBooked(worker, payer, nonce, 'settled');
  const { result, calls, paid } = await effectsFor(stack, payer, () => ask(path, headers));
  assertAnswered(result);
  assert.equal(receiptsOf(result).v2.success, true);
  assert.deepEqual({ calls, paid }, { calls: { origin: 1, verify: 0, settle: 0 }, paid: 0n });
  assertRefused(await passesNothingOn(stack, payer, () => ask(path, headers)), 409, 'payment_already_used');
  assert.equal((await stack.chain.transfers({ from: payer })).length, 1);
}

/** A payment whose margin is over a few seconds after it was made. */
async function shortLived(path, buyer, margin) {
  return authorize(worker.url, path, buyer, { fields: { validBefore: String(now() + margin + 4) } });
}

const tooLate = (payment, margin) =>
  until('the margin is over', () => now() + margin > Number(payment.signed.authorization.validBefore));

for (const [path, margin] of [['/weather/lisbon', 60], ['/weather/before/lisbon', 30]]) {
  test(`${path}: settled and answered, sent again too late`, async () => {
    const buyer = await stack.buyer();
    const payment = await shortLived(path, buyer, margin);
    assertAnswered(await ask(path, payment.v2));
    await tooLate(payment, margin);
    for (const headers of [payment.v2, payment.v1, payment.third]) {
      const { result, calls } = await effectsFor(stack, buyer.address, () => ask(path, headers));
      assertRefused(result, 409, 'payment_already_used');
      assert.deepEqual(calls, { origin: 0, verify: 0, settle: 0 });
    }
  });

  test(`${path}: outcome unknown, sent again as told, but too late`, async () => {
    const buyer = await stack.buyer();
    breakAfterSettling(buyer.address);
    const payment = await shortLived(path, buyer, margin);
    assertUnknown(await ask(path, payment.v2));
    await tooLate(payment, margin);
    assertUnknown(await passesNothingOn(stack, buyer.address, () => ask(path, payment.v2)));
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
    await assertOwedOnce(path, buyer.address, payment.nonce, payment.v2);
  });
}

test('never seen and too late: that is what a challenge is for', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/lisbon', buyer, { fields: { validBefore: String(now() + 10) } });
  const { result, calls } = await effectsFor(stack, buyer.address, () => ask('/weather/lisbon', payment.v2));
  assertRefused(result, 402, 'authorization_expires_too_soon');
  assert.deepEqual(calls, { origin: 0, verify: 0, settle: 0 });
});

test('a smart wallet whose outcome is unknown is told so again, and nobody is asked to vouch for it', async () => {
  const owner = await stack.buyer(0n);
  const wallet = await stack.chain.smartWallet(owner.address);
  breakAfterSettling(wallet);
  await stack.chain.mint(wallet, 1_000_000n);
  const { required } = await challengeOf(worker.url, '/weather/lisbon');
  const signed = await sign(required.accepts[0], owner, { from: wallet });
  const { v2 } = spellings(required.accepts[0], signed);
  assertUnknown(await ask('/weather/lisbon', v2));
  assert.equal((await stack.chain.transfers({ from: wallet })).length, 1);
  assertUnknown(await passesNothingOn(stack, wallet, () => ask('/weather/lisbon', v2)));
  await assertOwedOnce('/weather/lisbon', wallet, signed.authorization.nonce, v2);
});

test('a new price does not make a payment for the old one unpaid', async () => {
  const path = '/weather/lisbon';
  const buyer = await stack.buyer();
  const settled = await authorize(worker.url, path, buyer);
  assertAnswered(await ask(path, settled.v2));
  const unused = await authorize(worker.url, path, buyer);
  const doubtful = await stack.buyer();
  breakAfterSettling(doubtful.address);
  const unknown = await authorize(worker.url, path, doubtful);
  assertUnknown(await ask(path, unknown.v2));

  const { persistPath } = worker;
  await worker.stop();
  worker = await startWorker({ vars: stack.vars({ ROUTES: routes('$0.002') }), secrets, persist: persistPath });
  for (const spelling of ['v2', 'v1', 'third']) {
    const again = (payer, payment) => passesNothingOn(stack, payer.address, () => ask(path, payment[spelling]));
    assertRefused(await again(buyer, settled), 409, 'payment_already_used');
    assertUnknown(await again(doubtful, unknown));
    assertRefused(await again(buyer, unused), 402, 'wrong_amount');
  }
  await assertOwedOnce(path, doubtful.address, unknown.nonce, unknown.third);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
});
