// What the books know is never asked for again. A payment that was right when it was signed can be wrong when it is sent
// again: too late, for a price that has changed, for a wallet that only the facilitator can vouch for. If it may have
// moved money meanwhile, the answer is not a challenge, or an honest client signs again and pays twice.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import {
  assertAnswered, assertRefused, assertUnknown, authorize, call, challengeOf, now, spellings, startStack, until,
  withoutEffect,
} from './helpers.mjs';
import { sign } from './stack/client.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const routes = (price) => ({
  'GET /weather/*': price,
  'GET /weather/before/*': { price, settle: 'before' },
});
let worker = await startWorker({ vars: stack.vars({ ROUTES: routes('$0.001') }) });

beforeEach(() => stack.proxy.reset());
after(stopEverything);

/** Settles on chain, and answers as if it had broken. */
const breakAfterSettling = () => {
  stack.proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
};

/** A payment whose margin is over a few seconds after it was made. */
async function shortLived(path, buyer, margin) {
  return authorize(worker.url, path, buyer, { fields: { validBefore: String(now() + margin + 4) } });
}

const tooLate = (payment, margin) =>
  until('the margin is over', () => now() + margin > Number(payment.signed.authorization.validBefore));

for (const [path, margin] of [['/weather/lisbon', 60], ['/weather/before/lisbon', 30]]) {
  test(`${path}: settled and answered, sent again too late`, async () => {
    const payment = await shortLived(path, await stack.buyer(), margin);
    assertAnswered(await call(worker.url, path, { headers: payment.v2 }));
    await tooLate(payment, margin);
    for (const headers of [payment.v2, payment.v1, payment.third]) {
      const again = await withoutEffect(stack, () => call(worker.url, path, { headers }));
      assertRefused(again, 409, 'payment_already_used');
    }
  });

  test(`${path}: outcome unknown, sent again as told, but too late`, async () => {
    breakAfterSettling();
    const buyer = await stack.buyer();
    const payment = await shortLived(path, buyer, margin);
    assertUnknown(await call(worker.url, path, { headers: payment.v2 }));
    await tooLate(payment, margin);
    assertUnknown(await withoutEffect(stack, () => call(worker.url, path, { headers: payment.v2 })));
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  });
}

test('never seen and too late: that is what a challenge is for', async () => {
  const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer(), { fields: { validBefore: String(now() + 10) } });
  const response = await withoutEffect(stack, () => call(worker.url, '/weather/lisbon', { headers: payment.v2 }));
  assertRefused(response, 402, 'authorization_expires_too_soon');
});

test('a smart wallet whose outcome is unknown is told so again, and nobody is called', async () => {
  breakAfterSettling();
  const owner = await stack.buyer(0n);
  const wallet = await stack.chain.smartWallet(owner.address);
  await stack.chain.mint(wallet, 1_000_000n);
  const { required } = await challengeOf(worker.url, '/weather/lisbon');
  const signed = await sign(required.accepts[0], owner, { from: wallet });
  const { v2 } = spellings(required.accepts[0], signed);
  assertUnknown(await call(worker.url, '/weather/lisbon', { headers: v2 }));
  assert.equal((await stack.chain.transfers({ from: wallet })).length, 1);
  assertUnknown(await withoutEffect(stack, () => call(worker.url, '/weather/lisbon', { headers: v2 })));
});

test('a new price does not make a payment for the old one unpaid', async () => {
  const buyer = await stack.buyer();
  const settled = await authorize(worker.url, '/weather/lisbon', buyer);
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: settled.v2 }));
  breakAfterSettling();
  const unknown = await authorize(worker.url, '/weather/lisbon', buyer);
  assertUnknown(await call(worker.url, '/weather/lisbon', { headers: unknown.v2 }));
  const unused = await authorize(worker.url, '/weather/lisbon', buyer);
  stack.proxy.reset();

  const { persistPath } = worker;
  await worker.stop();
  worker = await startWorker({ vars: stack.vars({ ROUTES: routes('$0.002') }), persist: persistPath });
  for (const spelling of ['v2', 'v1', 'third']) {
    const ask = (payment) => withoutEffect(stack, () => call(worker.url, '/weather/lisbon', { headers: payment[spelling] }));
    assertRefused(await ask(settled), 409, 'payment_already_used');
    assertUnknown(await ask(unknown));
    assertRefused(await ask(unused), 402, 'wrong_amount');
  }
});
