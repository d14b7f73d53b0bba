// One payment, many at once. Whatever its spelling and wherever it is sent: one answer, one transfer.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  assertAnswered, assertNoAnswer, assertRefused, atOnce, authorize, call, effectsOf, encode, prepare, receiptsOf, spellings,
  startStack, until, withoutEffect,
} from './helpers.mjs';
import { highS } from './stack/client.mjs';
import { sleep } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const COPIES = 32;
const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({
    FACILITATORS: [{ url: stack.proxy.url, timeout_seconds: 60 }],
    ROUTES: {
      'GET /weather/*': '$0.001',
      'GET /echo': '$0.001',
      'GET /status/:code': '$0.001',
      'GET /weather/before/*': { price: '$0.001', settle: 'before' },
      'GET /weather/checked/*': { price: '$0.001', verify: 'facilitator' },
      'GET /hang': { price: '$0.001', timeout_seconds: 5 },
      'GET /weather/quick/*': { price: '$0.001', timeout_seconds: 1 },
      'GET /weather/quick-before/*': { price: '$0.001', settle: 'before', timeout_seconds: 1 },
      'GET /weather/quick-checked/*': { price: '$0.001', verify: 'facilitator', timeout_seconds: 1 },
    },
  }),
});
after(async () => {
  await worker.stop();
  await stack.stop();
});

const TARGETS = ['/weather/lisbon', '/echo'];
const copies = (make) => Array.from({ length: COPIES }, (_, i) => make(i));
const request = (target, headers) => prepare(worker.url, target, { headers });

/** One of the responses is the answer and was paid for once; all others are conflicts. */
async function assertOneWinner(responses, buyer) {
  const answered = responses.filter(({ status }) => status === 200);
  const statuses = responses.map(({ status }) => status).sort().join(' ');
  assert.equal(answered.length, 1, statuses);
  for (const response of responses.filter(({ status }) => status !== 200)) {
    assertRefused(response, 409, ['payment_in_flight', 'payment_already_used']);
  }
  const transfers = await stack.chain.transfers({ from: buyer.address });
  assert.deepEqual(transfers.map(({ to, value }) => [to, value]), [[stack.seller, 1000n]]);
  return answered[0];
}

/** JSON with another order of keys and other white space, and hex in another case: the same payment to any reader. */
function respelt(json, i) {
  const scramble = (value) => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
    const entries = Object.entries(value).map(([key, inner]) => [key, scramble(inner)]);
    return Object.fromEntries(i % 2 ? entries.reverse() : entries);
  };
  const copy = scramble(structuredClone(json));
  const { authorization } = copy.payload;
  const upper = (hex) => `0x${hex.slice(2).toUpperCase()}`;
  if (i % 3 === 1) authorization.from = authorization.from.toLowerCase();
  if (i % 3 === 2) authorization.from = upper(authorization.from);
  if (i % 4 > 1) authorization.nonce = upper(authorization.nonce);
  if (i % 5 > 2) authorization.to = authorization.to.toLowerCase();
  if (i % 7 > 3) copy.payload.signature = upper(copy.payload.signature);
  return encode(`${' '.repeat(i)}${JSON.stringify(copy, null, i % 4)}`);
}

test('32 copies of one payment over two equally priced routes', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, TARGETS[0], buyer);
  const requests = copies((i) => request(TARGETS[i % 2], payment.v2));
  const { result, calls, earned } = await effectsOf(stack, () => atOnce(requests));
  await assertOneWinner(result, buyer);
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 1 });
  assert.equal(earned, 1000n);

  // Later, and for good.
  for (const target of [...TARGETS, '/status/200', '/weather/before/x', '/weather/checked/x']) {
    for (const headers of [payment.v2, payment.v1, payment.third, payment.thirdNamed]) {
      const again = await withoutEffect(stack, () => call(worker.url, target, { headers }));
      // The upfront route's requirement differs, so that a v2 copy may fail at that first.
      if (target.includes('before') && again.status === 402) assertRefused(again, 402, 'accepted_mismatch');
      else assertRefused(again, 409, 'payment_already_used');
    }
  }
});

test('32 spellings of one payment', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, TARGETS[0], buyer);
  const headers = copies((i) => ({ 'PAYMENT-SIGNATURE': respelt(payment.json.v2, i) }));
  assert.equal(new Set(headers.map((one) => one['PAYMENT-SIGNATURE'])).size, COPIES);
  const { result, calls } = await effectsOf(stack, () => atOnce(headers.map((one, i) => request(TARGETS[i % 2], one))));
  await assertOneWinner(result, buyer);
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 1 });
  for (const one of headers) {
    assertRefused(await withoutEffect(stack, () => call(worker.url, TARGETS[0], { headers: one })), 409, 'payment_already_used');
  }
  // The other valid form of the same signature is no new payment either.
  const twin = spellings(payment.requirement, { ...payment.signed, signature: highS(payment.signed.signature) });
  assertRefused(await withoutEffect(stack, () => call(worker.url, TARGETS[0], { headers: twin.v2 })), 402, 'invalid_signature');
});

test('all dialects of one payment', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, TARGETS[0], buyer);
  const dialects = [payment.v2, payment.v1, payment.third, payment.thirdNamed];
  const requests = copies((i) => request(TARGETS[(i >> 2) % 2], dialects[i % 4]));
  const { result, calls } = await effectsOf(stack, () => atOnce(requests));
  await assertOneWinner(result, buyer);
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 1 });
});

test('32 copies where money moves first', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/before/x', buyer);
  const requests = copies(() => request('/weather/before/x', payment.v2));
  const { result, calls } = await effectsOf(stack, () => atOnce(requests));
  await assertOneWinner(result, buyer);
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 1 });
});

test('32 copies where the facilitator is asked first', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/checked/x', buyer);
  const requests = copies((i) => request(i % 2 ? '/weather/checked/x' : '/weather/lisbon', payment.v2));
  const { result, calls } = await effectsOf(stack, () => atOnce(requests));
  await assertOneWinner(result, buyer);
  assert.equal(calls.origin, 1);
  assert.equal(calls.settle, 1);
  assert.ok(calls.verify <= 1, 'a copy was verified before it was claimed');
});

test('32 copies over routes that settle first and last', async () => {
  const buyer = await stack.buyer();
  // v1 names no flow, so that one header fits both.
  const payment = await authorize(worker.url, '/weather/lisbon', buyer);
  const requests = copies((i) => request(i % 2 ? '/weather/lisbon' : '/weather/before/lisbon', payment.v1));
  const { result, calls } = await effectsOf(stack, () => atOnce(requests));
  await assertOneWinner(result, buyer);
  assert.equal(calls.origin, 1);
  assert.equal(calls.settle, 1);
});

test('32 copies, half of them where the origin fails: never more answers than transfers', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, TARGETS[0], buyer);
  const requests = copies((i) => request(i % 2 ? '/status/500' : '/weather/lisbon', payment.v2));
  const responses = await atOnce(requests);
  const answered = responses.filter(({ status }) => status === 200);
  assert.ok(answered.length <= 1);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, answered.length);
  for (const response of responses.filter(({ status }) => status !== 200)) {
    assertNoAnswer(response);
    assert.ok([409, 500].includes(response.status), response.text);
  }
});

test('while one copy is at the origin, the others wait outside', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/hang', buyer);
  const before = stack.origin.calls.length;
  const first = request('/hang', payment.v2);
  await first.ready;
  first.release();
  await until('the first copy at the origin', () => stack.origin.calls.length > before);

  for (const target of ['/hang', ...TARGETS]) {
    // Elsewhere the v2 copy fails at its maxTimeoutSeconds already, which is another for a route with another time-out.
    for (const headers of target === '/hang' ? [payment.v2, payment.v1, payment.third] : [payment.v1, payment.third]) {
      const copy = await withoutEffect(stack, () => call(worker.url, target, { headers }));
      assertRefused(copy, 409, 'payment_in_flight');
    }
  }
  // Another payment by the same wallet is another matter.
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: (await authorize(worker.url, '/weather/lisbon', buyer)).v2 }));

  assertRefused(await first.response, 504, 'origin_timeout');
  assert.equal(await stack.chain.authorizationState(buyer.address, payment.nonce), false);
});

test('a facilitator slower than a claim lives does not make one payment two', async () => {
  const { proxy } = stack;
  // Each kind of call is held for longer than the route's second and the ten more after which an alarm frees a claim.
  const held = [['/weather/quick/x', '/settle'], ['/weather/quick-before/x', '/settle'], ['/weather/quick-checked/x', '/verify']];
  const payments = await Promise.all(held.map(async ([path, at]) => {
    const buyer = await stack.buyer();
    return { path, at, buyer, payment: await authorize(worker.url, path, buyer), asked: 0 };
  }));
  let release;
  const gate = new Promise((done) => (release = done));
  const settled = new Map();
  proxy.fault = async (at, body) => {
    const { from } = body.paymentPayload.payload.authorization;
    const one = payments.find(({ buyer }) => buyer.address.toLowerCase() === from.toLowerCase());
    if (!one) return undefined;
    if (at === one.at && (one.asked += 1) === 1) await gate;
    // As some facilitators do: the same settlement asked for again is answered with the same transaction.
    if (at === '/settle' && settled.has(from)) return { body: await settled.get(from) };
    if (at === '/settle') {
      settled.set(from, fetch(`${stack.facilitator.url}/settle`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
      }).then((answer) => answer.json()));
      return { body: await settled.get(from) };
    }
    return undefined;
  };
  const first = payments.map(({ path, payment }) => request(path, payment.v2));
  const answers = atOnce(first);
  await until('all of them at the facilitator', () => payments.every(({ asked }) => asked > 0));
  await sleep(14_000);
  const copies = atOnce(payments.map(({ path, payment }) => request(path, payment.v1)));
  // A copy that got through now would stand at the gate, or have its answer, by the time a later payment has passed.
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: (await authorize(worker.url, '/weather/lisbon', await stack.buyer())).v2 }));
  release();
  const responses = [await answers, await copies];
  proxy.reset();
  for (const [i, { path, buyer, payment }] of payments.entries()) {
    const later = await call(worker.url, path, { headers: payment.third });
    const statuses = [responses[0][i], responses[1][i], later].map(({ status }) => status);
    assert.ok(statuses.filter((status) => status === 200).length <= 1, `${path}: ${statuses}`);
    assert.ok((await stack.chain.transfers({ from: buyer.address })).length <= 1, path);
  }
});

test('a client that leaves while its copy is in flight opens no door for another', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/lisbon', buyer);
  const leaving = copies(() => request('/weather/lisbon', payment.v2));
  const staying = copies(() => request('/echo', payment.v2));
  await Promise.all([...leaving, ...staying].map(({ ready }) => ready));
  for (const one of leaving) {
    one.release();
    one.socket.end();
    one.socket.destroySoon();
  }
  for (const one of staying) one.release();
  const responses = await Promise.all(staying.map(({ response }) => response));
  const again = [];
  for (const target of TARGETS) again.push(await call(worker.url, target, { headers: payment.v2 }));
  // Whether the winner was among those that left, and how far it came, is the scheduler's. That there is one is not.
  const answered = [...responses, ...again].filter(({ status }) => status === 200).length;
  const transfers = (await stack.chain.transfers({ from: buyer.address })).length;
  assert.ok(answered <= transfers && transfers <= 1, `${answered} answers for ${transfers} transfers`);
});

test('as many answers as payments, when one wallet sends several at once', async () => {
  const buyer = await stack.buyer();
  const payments = await Promise.all(Array.from({ length: 6 }, () => authorize(worker.url, '/weather/lisbon', buyer)));
  const { result, earned } = await effectsOf(stack, () => atOnce(payments.map(({ v2 }) => request('/weather/lisbon', v2))));
  for (const response of result) assertAnswered(response);
  assert.equal(earned, 6000n);
  const transactions = new Set(result.map((response) => receiptsOf(response).v2.transaction));
  assert.equal(transactions.size, 6, 'two answers for one transaction');
});
