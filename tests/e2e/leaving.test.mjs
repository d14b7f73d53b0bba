// A buyer who hangs up. Whatever stage it happens in, the books say what the chain says, and leaving buys nothing.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { assertRefused, authorize, call, prepare, startStack, until, withoutEffect } from './helpers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({ ROUTES: { 'GET /weather/*': '$0.001', 'PUT /echo': { price: '$0.001', settle: 'before' } } }),
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

// What was settled and not answered is owed; which of the two it is depends on whether the origin was reached too.
const KNOWN = { payment_already_used: 409, answer_owed: 503 };

for (const [method, target] of [['GET', '/weather/lisbon'], ['PUT', '/echo']]) {
  test(`hanging up during the settlement of ${method} ${target}`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, target, buyer, { method });
    await leaveDuringSettlement(method, target, payment);
    await until('the transfer', async () => (await stack.chain.transfers({ from: buyer.address })).length === 1);
    // The books follow: never "settlement unknown", which would say that nobody wrote down what came of it.
    await until('the outcome in the books', async () => {
      const again = await call(worker.url, target, { method, headers: payment.v2 });
      assert.notEqual(again.status, 200);
      return JSON.parse(again.text).code in KNOWN;
    });
    const last = await withoutEffect(stack, () => call(worker.url, target, { method, headers: payment.v2 }));
    const { code } = JSON.parse(last.text);
    assertRefused(last, KNOWN[code], code);
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  });
}
