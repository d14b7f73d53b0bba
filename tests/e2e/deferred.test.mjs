// Deferred settlement: the answer first, the money right after it. What stands between the seller and a loss: the
// facilitator's look at the wallet, a bound on what is unsettled, and books that forget nothing and nobody.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import {
  assertAnswered, assertRefused, assertUnknown, atOnce, authorize, call, challengeOf, now, prepare, receiptsOf, startStack,
  THIEF, until,
} from './helpers.mjs';
import { callsOf, entryOf, gate, planned, SECRETS } from './points.mjs';
import { payV2 } from './stack/client.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { proxy, chain, origin } = stack;
const plans = planned(proxy);
const deferred = { price: '$0.001', settle: 'deferred', max_exposure: '$0.01', timeout_seconds: 3 };
const options = {
  vars: stack.vars({
    ROUTES: {
      'GET /weather/*': deferred,
      'GET /echo': '$0.001',
      'GET /status/:code': deferred,
      'GET /weather/before/*': { price: '$0.001', settle: 'before' },
    },
    FACILITATORS: [{ url: proxy.url, timeout_seconds: 30 }],
  }),
  secrets: SECRETS,
};
const worker = await startWorker(options);
after(stopEverything);

const PRICE = 1000n;
const PATH = '/weather/lisbon';
/** Every way to buy something here. */
const PRICED = [PATH, '/echo', '/weather/before/lisbon'];
/** What `validBefore` must be ahead of a deferred call, at the least: the origin's time, and half a minute to settle. */
const MARGIN = 31;

const ask = (path, headers, at = worker) => call(at.url, path, { headers });
const pay = (buyer, path = PATH, fields) => authorize(worker.url, path, buyer, { fields });
const transfersOf = (buyer) => chain.transfers({ from: buyer.address, to: stack.seller });
const stateOf = async (payment, at = worker) => (await entryOf(at, payment))?.state;
const becomes = (payment, state, { at = worker, seconds = 60 } = {}) => until(`${state} in the books`, async () => {
  const entry = await entryOf(at, payment);
  return entry.state === state && entry;
}, seconds);

/** The facilitator's /settle does not answer, nor settle, until the gate is open. */
function holdSettlements(...payments) {
  const held = gate();
  for (const payment of payments) {
    plans.set(payment, async (path) => {
      if (path === '/settle') await held.opened;
      return undefined;
    });
  }
  return held;
}

/** An answer as any paid one, but for the receipt: no money has moved. */
function assertServed(response) {
  assertAnswered(response);
  assert.deepEqual(receiptsOf(response), { v2: undefined, v1: undefined });
}

/** Settled in the books as on chain, once. */
async function assertCollected(payment, buyer, at = worker) {
  const entry = await becomes(payment, 'settled', { at });
  assert.ok(entry.answered);
  const transfers = await transfersOf(buyer);
  // What was settled by a Worker that died is found used: nobody has named its transaction.
  const mine = transfers.filter(({ transactionHash }) => entry.evidence === 'unproven' || transactionHash === entry.transaction);
  assert.deepEqual(mine.map(({ value }) => value), [PRICE]);
  assert.equal(await chain.authorizationState(buyer.address, payment.nonce), true);
  return entry;
}

// Wallets that go wrong, begun now: their payments take half a minute to be over

/** Two deferred calls with money for one: both are served, the second cannot be collected. */
async function overdraw(fields) {
  const buyer = await stack.buyer(PRICE);
  const payments = [await pay(buyer, PATH, fields), await pay(buyer, PATH, fields)];
  const held = holdSettlements(...payments);
  for (const payment of payments) assertServed(await ask(PATH, payment.v2));
  // One after the other: a facilitator that works on both may broadcast both, and one of them reverts.
  const second = holdSettlements(payments[1]);
  plans.set(payments[0], async (path) => {
    if (path === '/settle') await held.opened;
    return undefined;
  });
  held.open();
  await assertCollected(payments[0], buyer);
  second.open();
  const entry = await becomes(payments[1], 'failed');
  assert.match(entry.reason, /insufficient/);
  return { buyer, payment: payments[1], entry };
}

const expiring = () => ({ validBefore: String(now() + MARGIN + 10) });
const debts = Promise.all(Array.from({ length: 5 }, () => overdraw(expiring())));
debts.catch(() => {});

describe('the ordinary course', () => {
  test('answered at once and without a receipt, collected by itself', async () => {
    const buyer = await stack.buyer();
    const path = '/weather/ordinary';
    const payment = await pay(buyer, path);
    const held = holdSettlements(payment);
    assertServed(await ask(path, payment.v2));
    assert.equal(callsOf(proxy, payment, '/verify').length, 1);
    assert.ok(['due', 'settling'].includes(await stateOf(payment)));
    assert.equal((await entryOf(worker, payment)).answered, true);
    assert.deepEqual(await transfersOf(buyer), []);
    // Nothing more to be had for it, before and after the money has come.
    const again = async () => {
      for (const target of [path, ...PRICED]) assertRefused(await ask(target, payment.v1), 409, 'payment_already_used');
    };
    await again();
    await until('the settlement sent', () => callsOf(proxy, payment, '/settle').length === 1);
    await again();
    held.open();
    const entry = await assertCollected(payment, buyer);
    assert.equal(entry.evidence, 'told');
    assert.equal(callsOf(proxy, payment, '/settle').length, 1);
    await again();
    assert.equal(origin.calls.filter(({ url }) => url === path).length, 1);
    assert.equal((await transfersOf(buyer)).length, 1);
  });

  test('the official client pays and is content without a receipt', async () => {
    const buyer = await stack.buyer();
    const response = await payV2(`${worker.url}${PATH}`, buyer);
    assert.equal(response.status, 200);
    assert.equal(response.receipt, undefined);
    await until('collected', async () => (await transfersOf(buyer)).length === 1);
  });

  test('a failure of the origin costs nothing, and the same payment buys an answer later', async () => {
    const buyer = await stack.buyer();
    const payment = await pay(buyer, '/status/503');
    const failure = await ask('/status/503', payment.v2);
    assert.equal(failure.status, 503);
    assert.deepEqual(receiptsOf(failure), { v2: undefined, v1: undefined });
    assert.equal(await stateOf(payment), 'released');
    assert.equal((await ask('/status/503', payment.v2)).status, 503);
    assert.equal(callsOf(proxy, payment, '/settle').length, 0);
    assert.deepEqual(await transfersOf(buyer), []);
  });

  test('whose wallet is empty is asked to pay, and is not served', async () => {
    const buyer = await stack.buyer(PRICE - 1n);
    const payment = await pay(buyer);
    const before = origin.calls.length;
    assertRefused(await ask(PATH, payment.v2), 402, 'payment_invalid');
    assert.equal(origin.calls.length, before);
    assert.equal(await stateOf(payment), 'released');
  });

  test('an unknown outcome is asked about again until it is known', async () => {
    const buyers = [await stack.buyer(), await stack.buyer()];
    const payments = await Promise.all(buyers.map((buyer) => pay(buyer)));
    const [broken, reset] = [{ forward: true, status: 500, raw: 'broken' }, { reset: true }];
    for (const [i, fault] of [broken, reset].entries()) {
      plans.set(payments[i], (path, nth) => (path === '/settle' && nth === 1 ? fault : undefined));
      assertServed(await ask(PATH, payments[i].v2));
    }
    for (const [i, evidence] of ['unproven', 'told'].entries()) {
      const entry = await becomes(payments[i], 'settled');
      assert.equal(entry.evidence, evidence);
      assert.equal((await transfersOf(buyers[i])).length, 1);
      assertRefused(await ask(PATH, payments[i].v2), 409, 'payment_already_used');
    }
  });
});

test('never more than max_exposure is unsettled, however many come at once', async () => {
  const buyer = await stack.buyer();
  const payments = await Promise.all(Array.from({ length: 32 }, () => pay(buyer, '/weather/many')));
  const held = holdSettlements(...payments);
  const served = () => origin.calls.filter(({ url }) => url === '/weather/many').length;
  const send = (some) => atOnce(some.map(({ v2 }) => prepare(worker.url, '/weather/many', { headers: v2 })));
  let responses = await send(payments);
  const by = (status) => payments.filter((_, i) => responses[i].status === status);
  assert.equal(by(200).length, 10, responses.map(({ status }) => status).join(' '));
  for (const response of responses) {
    if (response.status === 200) assertServed(response);
    else assertRefused(response, 429, 'too_much_unsettled');
  }
  assert.equal(served(), 10);
  // Nor one by one, while nothing is settled; nor are those that were served any use.
  const [first, ...others] = by(429);
  assertRefused(await ask('/weather/many', first.v2), 429, 'too_much_unsettled');
  assertRefused(await ask(PATH, (await pay(buyer)).v2), 429, 'too_much_unsettled');
  // What is paid at once exposes nobody.
  assertAnswered(await ask('/echo', (await pay(buyer, '/echo')).v2));
  assert.equal(served(), 10);
  assert.equal(await chain.balanceOf(buyer.address), 1_000_000n - PRICE);

  const settled = [...by(200)];
  held.open();
  await Promise.all(settled.map((payment) => assertCollected(payment, buyer)));
  // None of those that were refused is lost: in the end, each has its answer, and each has paid.
  let rest = [first, ...others];
  await until('all served', async () => {
    responses = await send(rest);
    const open = rest.filter((_, i) => responses[i].status === 429);
    assert.ok(responses.every(({ status }) => [200, 429].includes(status)));
    const done = rest.filter((payment) => !open.includes(payment));
    assert.ok(done.length <= 10, `${done.length} at once`);
    await Promise.all(done.map((payment) => assertCollected(payment, buyer)));
    rest = open;
    return rest.length === 0;
  });
  assert.equal(served(), 32);
  assert.equal((await transfersOf(buyer)).length, 33);
});

test('a wallet that was emptied after it was looked at is served no more, until the money comes back', async () => {
  const buyer = await stack.buyer(PRICE);
  const payment = await pay(buyer);
  const held = holdSettlements(payment);
  assertServed(await ask(PATH, payment.v2));
  // Its only money goes elsewhere, in time.
  assertAnswered(await ask('/echo', (await pay(buyer, '/echo')).v2));
  held.open();
  const entry = await becomes(payment, 'failed');
  assert.match(entry.reason, /insufficient/);
  assert.ok(entry.againAt > 0);
  const before = origin.calls.length;
  for (const path of PRICED) {
    const body = assertRefused(await ask(path, (await pay(buyer, path)).v2), 403, 'payment_overdue');
    assert.deepEqual(body.debt, {
      network: 'eip155:84532', asset: entry.asset, amount: '1000', payTo: stack.seller, nonce: payment.nonce,
      retriedUntil: entry.validBefore, payPath: `/api/debts/84532/${entry.payer}/${payment.nonce}`,
    });
    // Not yet: while it is valid, it may still settle, and would be paid twice.
    const early = await ask(body.debt.payPath);
    assert.equal(assertRefused(early, 409, 'debt_not_due').retriedUntil, entry.validBefore);
  }
  assert.equal(origin.calls.length, before);

  await chain.mint(buyer.address, 4n * PRICE);
  await assertCollected(payment, buyer);
  for (const path of PRICED) assertAnswered(await ask(path, (await pay(buyer, path)).v2));
  assert.equal((await ask(`/api/debts/84532/${buyer.address}/${payment.nonce}`)).status, 200, 'nothing is owed');
});

test('a debtor is refused while its settlement is being tried again', async () => {
  const { buyer, payment } = await overdraw();
  // What was refused before is looked at before it is sent again.
  const held = gate();
  plans.set(payment, async () => void await held.opened);
  const tries = callsOf(proxy, payment).length;
  await until('the next try under way', () => callsOf(proxy, payment).length > tries);
  await chain.mint(buyer.address, PRICE);
  const next = await pay(buyer);
  const before = origin.calls.length;
  const response = await ask(PATH, next.v2);
  held.open();
  assertRefused(response, 403, 'payment_overdue');
  assert.equal(origin.calls.length, before);
});

test('nothing is forgotten when the Worker dies right after answering', async () => {
  const mortal = { ...options, vars: { ...options.vars, FACILITATORS: [{ url: proxy.url, timeout_seconds: 2 }] } };
  let dying = await startWorker(mortal);
  const { persistPath } = dying;
  const all = [];
  for (let round = 0; round < 3; round++) {
    // The first answer is the end: the others are wherever they are by then.
    const those = await Promise.all(Array.from({ length: 4 }, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(dying.url, PATH, buyer);
      return { buyer, payment, request: prepare(dying.url, PATH, { headers: payment.v2 }) };
    }));
    await Promise.all(those.map(({ request }) => request.ready));
    // It collects at once: nothing gets through for as long as it lives.
    let alive = true;
    for (const { payment } of those) plans.set(payment, (path) => (path === '/settle' && alive ? { reset: true } : undefined));
    for (const { request } of those) request.release();
    await Promise.any(those.map(({ request }) => request.response));
    await dying.kill();
    alive = false;
    for (const one of those) one.heard = await one.request.response.catch(() => undefined);
    assert.ok(those.some(({ heard }) => heard), 'nobody was answered');
    for (const { buyer, heard } of those) {
      if (!heard) continue;
      assertServed(heard);
      assert.deepEqual(await transfersOf(buyer), [], 'it was collected before the Worker died');
    }
    dying = await startWorker({ ...mortal, persist: persistPath });
    all.push(...those);
  }
  // Not a word to the Worker before: its alarms ring by themselves.
  await Promise.all(all.filter(({ heard }) => heard).map(({ buyer, payment }) =>
    until('collected', () => chain.authorizationState(buyer.address, payment.nonce), 90)));
  for (const { buyer, payment, heard } of all) {
    if (heard) assert.equal((await assertCollected(payment, buyer, dying)).evidence, 'told');
    const last = await until('an end of it', async () => {
      const response = await ask(PATH, payment.v2, dying);
      const wait = response.status === 409 && response.json().code === 'payment_in_flight';
      return !wait && response;
    }, 60);
    // Marked, but not received: it counts as answered, and is collected. Else nothing was, and it is served now.
    if (heard || last.status !== 200) assertRefused(last, 409, 'payment_already_used');
    else assertServed(last);
    await assertCollected(payment, buyer, dying);
    assert.equal((await transfersOf(buyer)).length, 1);
  }
});

describe('a debt', () => {
  const payPath = ({ entry }) => `/api/debts/84532/${entry.payer}/${entry.nonce}`;
  const due = (debt) => until('the debt payable', async () => (await ask(payPath(debt))).status === 402, 120);
  const seenPaid = async (debt) => {
    const response = await ask(payPath(debt));
    assert.equal(response.status, 200);
    return response.json();
  };
  const assertFree = async ({ buyer }) => {
    await chain.mint(buyer.address, 3n * PRICE);
    for (const path of PRICED) assertAnswered(await ask(path, (await pay(buyer, path)).v2));
  };

  test('is paid by the official client from another wallet, once, and the debtor is free again', async () => {
    const debt = (await debts)[0];
    await due(debt);
    const { buyer, payment } = debt;
    const challenge = await challengeOf(worker.url, payPath(debt));
    assert.deepEqual(
      challenge.required.accepts.map(({ amount, payTo, asset }) => [amount, payTo, asset]),
      [['1000', stack.seller, debt.entry.asset]],
    );
    assertRefused(await ask(PATH, (await pay(buyer)).v2), 403, 'payment_overdue');

    const rescuer = await stack.buyer();
    const response = await payV2(`${worker.url}${payPath(debt)}`, rescuer);
    const [transfer] = await transfersOf(rescuer);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { madeGood: true, transaction: transfer.transactionHash });
    assert.equal(response.receipt.transaction, transfer.transactionHash);
    const entry = await entryOf(worker, payment);
    assert.deepEqual([entry.state, entry.transaction], ['made_good', transfer.transactionHash]);
    // Who comes later pays nothing.
    const late = await payV2(`${worker.url}${payPath(debt)}`, rescuer);
    assert.deepEqual([late.status, late.paid], [200, undefined]);
    assert.deepEqual((await transfersOf(rescuer)).map(({ value }) => value), [PRICE]);
    await assertFree(debt);
    // Its own authorization is dead for good: money in the wallet does not bring it back.
    assert.equal(await chain.authorizationState(buyer.address, payment.nonce), false);
  });

  test('whose payment had no known outcome is paid by that same payment', async () => {
    const debt = (await debts)[1];
    await due(debt);
    const rescuer = await stack.buyer();
    const rescue = await authorize(worker.url, payPath(debt), rescuer);
    plans.set(rescue, (path, nth) => (path === '/settle' && nth === 1 ? { forward: true, reset: true } : undefined));
    assertUnknown(await ask(payPath(debt), rescue.v2));
    const response = await until('made good', async () => {
      const one = await ask(payPath(debt), rescue.v2);
      if (one.status === 200) return one;
      assert.ok([409, 503].includes(one.status), one.text);
    });
    assert.equal(response.json().madeGood, true);
    assert.equal((await transfersOf(rescuer)).length, 1);
    assert.equal(await stateOf(debt.payment), 'made_good');
    await assertFree(debt);
  });

  test('is not paid by another amount, nor to somebody else', async () => {
    const debt = (await debts)[2];
    await due(debt);
    const rescuer = await stack.buyer();
    for (const [fields, code] of [[{ value: '999' }, 'wrong_amount'], [{ to: THIEF }, 'wrong_recipient']]) {
      const rescue = await authorize(worker.url, payPath(debt), rescuer, { fields });
      assertRefused(await ask(payPath(debt), rescue.v2), 402, code);
    }
    assert.equal(await stateOf(debt.payment), 'failed');
    // The debtor itself may, even with the older client's payment.
    await chain.mint(debt.buyer.address, PRICE);
    const own = await authorize(worker.url, payPath(debt), debt.buyer);
    assert.deepEqual((await ask(payPath(debt), own.v1)).json().madeGood, true);
    await assertFree(debt);
  });

  test('is paid once, though two pay at the same time', async () => {
    const debt = (await debts)[3];
    await due(debt);
    const rescuers = [await stack.buyer(), await stack.buyer()];
    const rescues = await Promise.all(rescuers.map((rescuer) => authorize(worker.url, payPath(debt), rescuer)));
    const held = holdSettlements(...rescues);
    const answers = atOnce(rescues.map(({ v2 }) => prepare(worker.url, payPath(debt), { headers: v2 })));
    const sent = () => rescues.filter((rescue) => callsOf(proxy, rescue, '/settle').length > 0).length;
    await until('a settlement sent', () => sent() > 0);
    held.open();
    const responses = await answers;
    assert.ok(responses.some(({ status }) => status === 200), responses.map(({ text }) => text).join());
    await seenPaid(debt);
    const paid = (await Promise.all(rescuers.map((rescuer) => transfersOf(rescuer)))).flat();
    assert.equal(paid.length, 1, `paid ${paid.length} times; ${responses.map(({ status, text }) => `${status} ${text}`).join(' ')}`);
    await assertFree(debt);
  });

  test('is not paid by another while the outcome of its payment is unknown', async () => {
    const debt = (await debts)[4];
    await due(debt);
    const [first, second] = [await stack.buyer(), await stack.buyer()];
    const rescue = await authorize(worker.url, payPath(debt), first);
    const unsettled = gate();
    plans.set(rescue, async (path, nth) => {
      if (path !== '/settle') return undefined;
      if (nth === 1) return { forward: true, reset: true };
      await unsettled.opened;
      return undefined;
    });
    assertUnknown(await ask(payPath(debt), rescue.v2));
    const other = await payV2(`${worker.url}${payPath(debt)}`, second);
    unsettled.open();
    await until('made good', async () => (await ask(payPath(debt), rescue.v2)).status === 200);
    const paid = [await transfersOf(first), await transfersOf(second)].flat();
    assert.equal(paid.length, 1, `paid ${paid.length} times; the second was told ${other.status}`);
  });

  test('that does not exist is not here', async () => {
    const stranger = await stack.buyer();
    for (const path of [
      `/api/debts/84532/${stranger.address}/0x${'ab'.repeat(32)}`,
      `/api/debts/8453/${stranger.address}/0x${'ab'.repeat(32)}`,
    ]) assert.equal((await ask(path)).status, 404);
  });
});

test('a call a second is served though no more than two may be unsettled, and says so', async () => {
  const vars = { ...options.vars, ROUTES: { 'GET /weather/*': { ...deferred, max_exposure: '$0.002' } } };
  const tight = await startWorker({ ...options, vars });
  const buyer = await stack.buyer();
  const payments = [];
  for (let at = 0; at < 8; at++) {
    const payment = await authorize(tight.url, PATH, buyer);
    payments.push(payment);
    const response = await ask(PATH, payment.v2, tight);
    assertServed(response);
    assert.equal(response.headers['x-edge402-settlement'], 'pending');
    assert.match(response.headers['access-control-expose-headers'], /X-EDGE402-SETTLEMENT/);
    await sleep(1000);
  }
  await until('all collected', async () => (await transfersOf(buyer)).length === payments.length);
  const more = await Promise.all(Array.from({ length: 3 }, () => authorize(tight.url, PATH, buyer)));
  const held = holdSettlements(...more);
  for (const payment of more.slice(0, 2)) assertServed(await ask(PATH, payment.v2, tight));
  const refused = assertRefused(await ask(PATH, more[2].v2, tight), 429, 'too_much_unsettled');
  held.open();
  assert.deepEqual([refused.outstanding, refused.maxExposure], ['2000', '2000']);
});
