// Whom a payment is shown to when a facilitator fails. A verification may be asked of the next one; a settlement goes to one
// and no other, unless it is certain that it was never sent.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertAnswered, assertNoAnswer, assertRefused, assertUnknown, call, receiptsOf, until } from './helpers.mjs';
import { CHECKED, nobody, on, PATH, startSeveral } from './several.mjs';
import { stopEverything } from './stack/processes.mjs';

const { facilitator, workerWith, payment, transfersOf, settledInBooks } = await startSeveral();
after(stopEverything);
const get = (worker, path, headers) => call(worker.url, path, { headers });
const BEFORE = '/weather/before/lisbon';

for (const [name, fault] of Object.entries({
  'a 500': { status: 500, raw: 'oops' }, 'half an answer': { raw: '{"isValid":tr' }, 'no verdict': { body: { ok: true } },
  'a closed connection': { reset: true }, silence: { hang: true },
})) {
  test(`${name} for a verdict: the next one verifies, and settles`, async () => {
    const first = await facilitator(on('/verify', fault));
    const second = await facilitator();
    const worker = await workerWith([{ ...first, timeout_seconds: 2 }, second]);
    const paid = await payment(CHECKED);
    assertAnswered(await get(worker, CHECKED, paid.v2));
    assert.deepEqual([first, second].map((one) => [one.count('/verify'), one.count('/settle')]), [[1, 0], [1, 1]]);
    assert.equal(await transfersOf(paid), 1);
    await Promise.all([worker.stop(), first.stop(), second.stop()]);
  });
}

test('nobody there: the next one verifies and settles, whichever is asked first and whatever the route', async () => {
  const second = await facilitator();
  // The first request of all is the paid one: the list is asked for within it.
  for (const path of [CHECKED, PATH, BEFORE]) {
    const paid = await payment(path);
    const worker = await workerWith([await nobody(), second]);
    second.calls.length = 0;
    assertAnswered(await get(worker, path, paid.v2));
    assert.equal(second.count('/settle'), 1);
    assert.equal(await transfersOf(paid), 1);
    // And the next one, with the failure in mind.
    const next = await payment(path);
    assertAnswered(await get(worker, path, next.v2));
    assert.equal(await transfersOf(next), 1);
    await worker.stop();
  }
  await second.stop();
});

test('a verdict is a verdict: nobody else is asked for a better one', async () => {
  const no = (body) => ({ body: { isValid: false, invalidReason: 'insufficient_funds', payer: body.paymentPayload.payload.authorization.from } });
  const first = await facilitator((path, body) => (path === '/verify' ? no(body) : undefined));
  const second = await facilitator();
  const worker = await workerWith([first, second]);
  const paid = await payment(CHECKED);
  assertRefused(await get(worker, CHECKED, paid.v2), 402, 'payment_invalid');
  assert.deepEqual([second.count('/verify'), second.count('/settle')], [0, 0]);
  assert.equal(await transfersOf(paid), 0);
  await Promise.all([worker.stop(), first.stop(), second.stop()]);
});

test('no verdict from anybody: nothing has happened, and the payment is good afterwards', async () => {
  const first = await facilitator(on('/verify', { status: 500, raw: '' }));
  const second = await facilitator(on('/verify', { reset: true }));
  const worker = await workerWith([first, second]);
  const paid = await payment(CHECKED);
  assertUnknown(await get(worker, CHECKED, paid.v2), 'verification_unavailable');
  assert.deepEqual([first, second].map((one) => one.count('/settle')), [0, 0]);
  second.fault = undefined;
  assertAnswered(await get(worker, CHECKED, paid.v2));
  assert.equal(await transfersOf(paid), 1);
  await Promise.all([worker.stop(), first.stop(), second.stop()]);
});

for (const path of [PATH, CHECKED, BEFORE]) {
  for (const [name, fault] of Object.entries({
    'resets before it broadcasts': { reset: true }, 'resets after it has': { forward: true, reset: true },
    hangs: { hang: true }, 'hangs after it has broadcast': { forward: true, hang: true },
    'fails with a 500': { status: 500, raw: 'oops' },
  })) {
    test(`${path}: a facilitator that ${name} is the only one that is asked to settle`, async () => {
      let failing = true;
      const first = await facilitator((at) => (at === '/settle' && failing ? fault : undefined));
      const second = await facilitator();
      const worker = await workerWith([{ ...first, timeout_seconds: 3 }, second]);
      const paid = await payment(path);
      const response = await get(worker, path, paid.v2);
      assertUnknown(response);
      assertNoAnswer(response);
      assert.equal(second.count('/settle'), 0, 'the request asked another one to settle as well');
      failing = false;
      // The alarm asks the same one again until it knows.
      const entry = await settledInBooks(worker, paid);
      assert.equal(entry.answered, false);
      assert.equal(second.count('/settle'), 0);
      assert.equal(await transfersOf(paid), 1);
      // Then it is owed: once, for nothing.
      const settles = first.count('/settle');
      assertAnswered(await get(worker, path, paid.v2));
      assertRefused(await get(worker, path, paid.v2), 409, 'payment_already_used');
      assert.equal(first.count('/settle'), settles);
      assert.equal(await transfersOf(paid), 1);
      await Promise.all([worker.stop(), first.stop(), second.stop()]);
    });
  }
}

test('a facilitator that dies with the money on its way: the alarm finds another, and money moves once', async () => {
  const first = await facilitator(on('/settle', { forward: true, reset: true }));
  const second = await facilitator();
  const worker = await workerWith([first, second]);
  const paid = await payment();
  assertUnknown(await get(worker, PATH, paid.v2));
  assert.equal(second.count('/settle'), 0);
  await first.stop();
  const entry = await settledInBooks(worker, paid);
  assert.equal(entry.evidence, 'unproven', 'the second can only say that it is used');
  assert.ok(second.count('/settle') > 0);
  assert.equal(await transfersOf(paid), 1);
  const served = await get(worker, PATH, paid.v2);
  assertAnswered(served);
  assert.equal(receiptsOf(served).v2.extra.evidence, 'unproven');
  await Promise.all([worker.stop(), second.stop()]);
});

test('each has its own time-out, and its own headers', async () => {
  const slow = (ms) => (path) => (path === '/verify' || path === '/settle' ? { delay: ms } : undefined);
  const first = await facilitator(slow(30_000));
  const second = await facilitator(slow(3_000));
  const worker = await workerWith([
    { ...first, timeout_seconds: 1, headers: { 'x-api-key': 'for-the-first' } },
    { ...second, timeout_seconds: 25, headers: { 'x-api-key': 'for-the-second' } },
  ]);
  const paid = await payment(CHECKED);
  assertAnswered(await get(worker, CHECKED, paid.v2));
  assert.deepEqual([first, second].map((one) => [one.count('/verify'), one.count('/settle')]), [[1, 0], [1, 1]]);
  assert.equal(await transfersOf(paid), 1);
  for (const [one, key] of [[first, 'for-the-first'], [second, 'for-the-second']]) {
    assert.deepEqual(new Set(one.calls.map(({ headers }) => headers['x-api-key'])), new Set([key]));
  }
  await Promise.all([worker.stop(), first.stop(), second.stop()]);
});

test('a list that was slow to come does not condemn who gives it now', async () => {
  // It is suspect, is asked for its list before it is sent a settlement, and answers: it is the one, and not the next.
  let slow = true;
  const first = await facilitator((path) => (path === '/supported' && slow ? (slow = false, { hang: true }) : undefined));
  const second = await facilitator();
  const worker = await workerWith([first, second]);
  const paid = await payment();
  assertAnswered(await get(worker, PATH, paid.v2));
  assert.deepEqual([first.count('/settle'), second.count('/settle')], [1, 0]);
  assert.deepEqual(first.calls.map(({ path }) => path), ['/supported', '/supported', '/settle']);
  await until('one transfer', async () => (await transfersOf(paid)) === 1);
  await Promise.all([worker.stop(), first.stop(), second.stop()]);
});

test('a facilitator whose proxy answers for it, with 502, is sent no settlement', async () => {
  const first = await facilitator(() => ({ status: 502, raw: 'bad gateway' }));
  const second = await facilitator();
  const worker = await workerWith([first, second]);
  const paid = await payment();
  assertAnswered(await get(worker, PATH, paid.v2));
  assert.deepEqual([first.count('/settle'), second.count('/settle')], [0, 1]);
  assert.equal(await transfersOf(paid), 1);
  await Promise.all([worker.stop(), first.stop(), second.stop()]);
});
