// A buyer who hangs up. Whatever stage it happens in, the books say what the chain says, and leaving buys nothing.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { assertRefused, authorize, call, prepare, receiptsOf, startStack, until } from './helpers.mjs';
import { ADMIN_TOKEN, effectsFor, entryOf, passesNothingOn } from './payers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
// So long a claim lasts that nobody ends. It must be longer than any patience here: an end that is found in the books was
// then written by the one who knew it, and is not the claim's running out.
const timeout_seconds = 300;
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: {
      'GET /weather/*': { price: '$0.001', timeout_seconds },
      'PUT /echo': { price: '$0.001', settle: 'before', timeout_seconds },
    },
  }),
  secrets: { ADMIN_TOKEN },
});

beforeEach(() => stack.proxy.reset());
after(stopEverything);

/** Sends a paid request and hangs up once the settlement has reached the facilitator, which then goes on. */
async function leaveDuringSettlement(method, target, payment) {
  let letGo;
  const gone = new Promise((done) => (letGo = done));
  // What is under way when the connection closes must be more than what one turn of the event loop finishes.
  stack.proxy.fault = async (path) => {
    if (path === '/settle') await gone;
    return undefined;
  };
  const request = prepare(worker.url, target, { method, headers: payment.v2 });
  await request.ready;
  request.release();
  await until('the settlement at the facilitator', () => stack.proxy.count('/settle') > 0);
  const closed = new Promise((done) => request.socket.once('close', done));
  // A reset, not a polite end: workerd takes the latter for a client that has said all it wanted to say.
  request.socket.resetAndDestroy();
  await closed;
  // The Worker learns of the closed connection only when it gets around to it: the probe is a whole request later.
  await call(worker.url, '/weather/probe');
  letGo();
}

for (const [method, target] of [['GET', '/weather/lisbon'], ['PUT', '/echo']]) {
  test(`hanging up during the settlement of ${method} ${target}`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, target, buyer, { method });
    const ask = () => call(worker.url, target, { method, headers: payment.v2 });
    await leaveDuringSettlement(method, target, payment);
    await until('the transfer', async () => (await stack.chain.transfers({ from: buyer.address })).length === 1);
    await until('the outcome in the books', async () => (await entryOf(worker, buyer.address, payment.nonce)).state === 'settled');
    assert.equal((await entryOf(worker, buyer.address, payment.nonce)).answered, false, 'nobody was there to hear it');

    // It is paid for, and owed: to whoever shows the payment, once.
    const owed = await until('the claim has ended', async () => {
      const { result, calls, paid } = await effectsFor(stack, buyer.address, ask);
      if (result.status === 409) return void assertRefused(result, 409, 'payment_in_flight');
      assert.deepEqual({ calls, paid }, { calls: { origin: 1, verify: 0, settle: 0 }, paid: 0n });
      return result;
    });
    assert.equal(owed.status, 200, owed.text);
    assert.equal(receiptsOf(owed).v2.success, true);
    for (const _ of 'ab') assertRefused(await passesNothingOn(stack, buyer.address, ask), 409, 'payment_already_used');
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  });
}
