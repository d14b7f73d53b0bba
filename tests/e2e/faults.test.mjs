// Everything that can go wrong between us and the facilitator while it settles, against the real one on a real chain. For
// each fault, whenever the money moves, with a node to ask and without: what the buyer sees, what the books say and what
// the chain says while it lasts; that the alarm brings the three into agreement once it is over; and that the buyer then
// has exactly one answer for exactly one transfer.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  assertAnswered, assertRefused, assertUnknown, atOnce, authorize, call, prepare, receiptsOf, startStack, THIEF,
  until,
} from './helpers.mjs';
import {
  ADMIN_TOKEN, booksOf, callsAbout, effectsFor, entryOf, faultsByPayer, paidBy, passesNothingOn, servedTo, untilBooked,
} from './payers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startFacilitatorProxy } from './stack/proxy.mjs';
import { startWorker } from './stack/worker.mjs';

const MODES = ['after', 'before', 'deferred'];
const RETRY_AFTER = 6;
const stack = await startStack();
const { chain, proxy, seller } = stack;
// The node, behind a door of its own: without it, what a node proves could not be told from what the facilitator says.
const node = await startFacilitatorProxy({ target: chain.rpcUrl });
const shutOut = new Set();
node.fault = (_, body) => {
  const asked = JSON.stringify(body).toLowerCase();
  return [...shutOut].some((payer) => asked.includes(payer)) ? { status: 503, raw: 'no node' } : undefined;
};
const faults = faultsByPayer(proxy);
const vars = stack.vars({
  FACILITATORS: [{ url: proxy.url, timeout_seconds: 3 }],
  ROUTES: {
    'GET /weather/after': { price: '$0.001', settle: 'after' },
    'GET /weather/before': { price: '$0.001', settle: 'before' },
    'GET /weather/deferred': { price: '$0.001', settle: 'deferred', max_exposure: '$0.01' },
    'GET /weather/elsewhere': '$0.001',
  },
});
const secrets = { ADMIN_TOKEN };
const [blind, seeing] = await Promise.all([
  startWorker({ vars, secrets }), startWorker({ vars: { ...vars, RPC: node.url }, secrets }),
]);
after(stopEverything);

/** Whose books must add up to what the chain has, at the end. */
const wallets = [];

const refusedUsed = (response) => assertRefused(response, 409, 'payment_already_used');
const transfersOf = (buyer) => chain.transfers({ from: buyer.address, to: seller });
const onSettle = (fault) => (path, body) => (path === '/settle' ? fault(body) : undefined);

/** Pays without any fault, and returns what the facilitator said of it: an answer that is true, of another payment. */
async function earlierAnswer(worker, buyer) {
  const payment = await authorize(worker.url, '/weather/after', buyer);
  assertAnswered(await call(worker.url, '/weather/after', { headers: payment.v2 }));
  const { answer } = callsAbout(stack, buyer.address, '/settle').at(-1);
  assert.equal(answer.success, true);
  return answer;
}

/**
 * `moves`: whether the money moves while the fault lasts. `fault`: what befalls a call to settle. `earlier`: who made a
 * payment before, whose answer the fault may tell again. `afterwards`: what befalls it once the fault is lifted.
 */
const FAULTS = {
  'dropped before it was sent': { moves: false, fault: () => ({ reset: true }) },
  'dropped after the broadcast': { moves: true, fault: () => ({ forward: true, reset: true }) },
  'answered too late': { moves: true, fault: () => ({ forward: true, delay: 5000 }) },
  'no answer at all': { moves: false, fault: () => ({ hang: true }) },
  'status 500': { moves: false, fault: () => ({ status: 500, raw: 'oops' }) },
  'status 500 after the broadcast': { moves: true, fault: () => ({ forward: true, status: 500, body: { error: 'oops' } }) },
  'status 429 with Retry-After': {
    moves: false,
    retryAfter: RETRY_AFTER,
    fault: () => ({ status: 429, headers: { 'retry-after': String(RETRY_AFTER) }, body: { error: 'slow down' } }),
  },
  'truncated JSON': { moves: true, fault: () => ({ forward: true, raw: (text) => text.slice(0, -20) }) },
  'another payer': { moves: true, fault: () => ({ forward: true, body: (answer) => ({ ...answer, payer: THIEF }) }) },
  'the answer to a stranger\'s payment': { moves: false, earlier: 'stranger', fault: (_, answer) => ({ body: answer }) },
  'the answer to the same payer\'s payment before': { moves: false, earlier: 'buyer', fault: (_, answer) => ({ body: answer }) },
  'lost, and told when asked again': {
    moves: true,
    // The first word of it is lost, and then every word, until the fault is over.
    fault: (calls) => (calls.length === 1 ? { forward: true, reset: true } : { reset: true }),
    afterwards: (calls) => ({ body: calls[0].answer }),
    evidence: 'told',
  },
};

async function befall(name, mode, worker) {
  const { moves, fault, earlier, afterwards, retryAfter, evidence } = FAULTS[name];
  const provable = worker === seeing;
  const buyer = await stack.buyer();
  wallets.push({ worker, address: buyer.address });
  const stranger = earlier === 'stranger' ? await stack.buyer() : undefined;
  if (stranger) wallets.push({ worker, address: stranger.address });
  const answer = earlier && (await earlierAnswer(worker, stranger ?? buyer));
  const paidBefore = earlier === 'buyer' ? 1 : 0;
  const path = `/weather/${mode}`;
  const payment = await authorize(worker.url, path, buyer);
  const settles = () => callsAbout(stack, buyer.address, '/settle').slice(paidBefore);
  const ask = () => call(worker.url, path, { headers: payment.v2 });
  const entryNow = () => entryOf(worker, buyer.address, payment.nonce);

  // While it lasts
  faults.set(buyer.address, onSettle(() => fault(settles(), answer)));
  shutOut.add(buyer.address.slice(2).toLowerCase());
  const { result, calls } = await effectsFor(stack, buyer.address, ask);
  let entry;
  if (mode === 'deferred') {
    assertAnswered(result);
    assert.equal(receiptsOf(result).v2, undefined, 'a receipt for money that has not moved');
    assert.deepEqual({ origin: calls.origin, verify: calls.verify }, { origin: 1, verify: 1 });
    entry = await untilBooked(worker, buyer.address, payment.nonce, 'unknown');
  } else {
    assertUnknown(result);
    assert.notEqual(receiptsOf(result).v2?.success, true, 'a receipt for a success that we do not believe');
    assert.deepEqual(calls, { origin: mode === 'after' ? 1 : 0, verify: 0, settle: 1 });
    entry = await entryNow();
  }
  const { state, answered, value, payTo, tries } = entry;
  assert.deepEqual(
    { state, mode: entry.mode, answered, evidence: entry.evidence ?? null, value, payTo },
    { state: 'unknown', mode, answered: mode === 'deferred', evidence: null, value: '1000', payTo: seller },
  );
  assert.ok(tries >= 1 && entry.againAt > entry.claimedAt && entry.reason, JSON.stringify(entry));
  assert.equal((await transfersOf(buyer)).length, paidBefore + (moves ? 1 : 0));
  assert.equal(await chain.authorizationState(buyer.address, payment.nonce), moves);
  const meanwhile = await passesNothingOn(stack, buyer.address, ask);
  if (mode === 'deferred') refusedUsed(meanwhile);
  else assertUnknown(meanwhile);

  // Over. With a node to ask, what moved is found without the facilitator, whose trouble goes on.
  shutOut.delete(buyer.address.slice(2).toLowerCase());
  if (afterwards) faults.set(buyer.address, onSettle(() => afterwards(settles())));
  else if (!(provable && moves)) faults.lift(buyer.address);
  const known = await untilBooked(worker, buyer.address, payment.nonce, 'settled');
  const how = !moves ? 'told' : provable ? 'proved' : (evidence ?? 'unproven');
  assert.deepEqual({ answered: known.answered, evidence: known.evidence }, { answered: mode === 'deferred', evidence: how });
  const transfers = await transfersOf(buyer);
  assert.deepEqual(transfers.map(({ value: atoms }) => atoms), Array(paidBefore + 1).fill(1000n));
  if (how !== 'unproven') assert.equal(known.transaction, transfers.at(-1).transactionHash);
  for (const { body } of settles()) assert.deepEqual(body, settles()[0].body, 'sent again, but not the same');
  if (provable) assert.ok(known.tries >= settles().length);
  else assert.equal(known.tries, settles().length, 'a call that is not in the books');
  if (retryAfter) {
    // No call before the time that the books said; and they said no earlier one than was asked for.
    assert.equal(entry.tries, 1);
    assert.ok(entry.againAt >= entry.claimedAt + retryAfter, JSON.stringify(entry));
    assert.ok(settles()[1].at >= entry.againAt * 1000, `asked again at ${settles()[1].at}, not after ${entry.againAt}`);
  }

  // The buyer comes back, twice at once and then once more; so does somebody who has read the chain.
  const two = await atOnce([1, 2].map(() => prepare(worker.url, path, { headers: payment.v2 })));
  const served = two.filter(({ status }) => status === 200);
  for (const response of two.filter(({ status }) => status !== 200)) {
    assertRefused(response, 409, ['payment_in_flight', 'payment_already_used']);
  }
  assert.equal(served.length, mode === 'deferred' ? 0 : 1);
  for (const response of served) {
    assertAnswered(response);
    const { success, transaction, extra } = receiptsOf(response).v2;
    assert.deepEqual(
      { success, transaction, evidence: extra?.evidence },
      { success: true, transaction: known.transaction ?? '', evidence: how === 'unproven' ? 'unproven' : undefined },
    );
  }
  refusedUsed(await passesNothingOn(stack, buyer.address, ask));
  refusedUsed(await passesNothingOn(stack, buyer.address, () => call(worker.url, '/weather/elsewhere', { headers: payment.v1 })));
  const last = await entryNow();
  assert.deepEqual({ state: last.state, answered: last.answered }, { state: 'settled', answered: true });
  assert.equal(servedTo(stack, buyer.address).length, paidBefore + (mode === 'after' ? 2 : 1));
  assert.equal((await transfersOf(buyer)).length, paidBefore + 1);
  assert.equal(await chain.balanceOf(buyer.address), 1_000_000n - 1000n * BigInt(paidBefore + 1));
  faults.lift(buyer.address);
}

const WORKERS = { 'no node': blind, 'a node': seeing };

test('what befalls a settlement', { concurrency: 12 }, async (t) => {
  const cases = Object.keys(FAULTS).flatMap((name) => MODES.flatMap((mode) => Object.keys(WORKERS).map((who) => [name, mode, who])));
  await Promise.all(cases.map(([name, mode, who]) => t.test(`${name}, ${mode}, ${who}`, () => befall(name, mode, WORKERS[who]))));
});

// The same call twice at the facilitator, as an impatient proxy in between would have it. It moves the money once.

test('delivered twice, and the first answer is told', { concurrency: true }, async (t) => {
  await Promise.all(MODES.flatMap((mode) => Object.keys(WORKERS).map((who) => t.test(`${mode}, ${who}`, async () => {
    const worker = WORKERS[who];
    const buyer = await stack.buyer();
    wallets.push({ worker, address: buyer.address });
    const payment = await authorize(worker.url, `/weather/${mode}`, buyer);
    const ask = () => call(worker.url, `/weather/${mode}`, { headers: payment.v2 });
    faults.set(buyer.address, onSettle(() => ({ twice: 'first' })));
    assertAnswered(await ask());
    const entry = await untilBooked(worker, buyer.address, payment.nonce, 'settled');
    assert.deepEqual({ answered: entry.answered, evidence: entry.evidence, tries: entry.tries }, { answered: true, evidence: 'told', tries: 1 });
    refusedUsed(await passesNothingOn(stack, buyer.address, ask));
    assert.deepEqual((await transfersOf(buyer)).map(({ transactionHash }) => transactionHash), [entry.transaction]);
  }))));
});

test('delivered twice, and the second answer is told: a node proves whose it was', { concurrency: true }, async (t) => {
  await Promise.all(MODES.map((mode) => t.test(mode, async () => {
    const buyer = await stack.buyer();
    wallets.push({ worker: seeing, address: buyer.address });
    const payment = await authorize(seeing.url, `/weather/${mode}`, buyer);
    const ask = () => call(seeing.url, `/weather/${mode}`, { headers: payment.v2 });
    faults.set(buyer.address, onSettle(() => ({ twice: 'second' })));
    const first = await ask();
    if (mode === 'deferred') assertAnswered(first);
    else assertUnknown(first);
    const entry = await untilBooked(seeing, buyer.address, payment.nonce, 'settled');
    assert.equal(entry.evidence, 'proved');
    assert.deepEqual((await transfersOf(buyer)).map(({ transactionHash }) => transactionHash), [entry.transaction]);
    if (mode !== 'deferred') assertAnswered(await ask());
    refusedUsed(await passesNothingOn(stack, buyer.address, ask));
  })));
});

test('delivered twice, the second answer is told, and there is no node to ask', { concurrency: true }, async (t) => {
  // "Used", on the first word we hear: nobody can tell this from a payment that somebody copied from the chain. The books
  // cannot agree with the chain here, and so are not added up below; the buyer is not asked for another payment.
  await Promise.all(['after', 'before'].map((mode) => t.test(mode, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(blind.url, `/weather/${mode}`, buyer);
    faults.set(buyer.address, onSettle(() => ({ twice: 'second' })));
    const ask = () => call(blind.url, `/weather/${mode}`, { headers: payment.v2 });
    refusedUsed(await ask());
    refusedUsed(await passesNothingOn(stack, buyer.address, ask));
    assert.equal((await entryOf(blind, buyer.address, payment.nonce)).state, 'spent');
    assert.equal(await paidBy(stack, buyer.address), 1000n);
  })));
  // Its own facilitator had verified it: it was unused just before. Whoever used it since has paid us, unless the payer
  // himself has cancelled it; which of the two, only a node could tell.
  await t.test('deferred: who has paid is not in debt', async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(blind.url, '/weather/deferred', buyer);
    faults.set(buyer.address, onSettle(() => ({ twice: 'second' })));
    assertAnswered(await call(blind.url, '/weather/deferred', { headers: payment.v2 }));
    const entry = await until('an end of it in the books', async () => {
      const found = await entryOf(blind, buyer.address, payment.nonce);
      return !['due', 'settling', 'unknown'].includes(found.state) && found;
    });
    assert.equal(await paidBy(stack, buyer.address), 1000n);
    assert.notEqual(entry.state, 'failed', JSON.stringify(entry));
    faults.lift(buyer.address);
    const next = await authorize(blind.url, '/weather/deferred', buyer);
    assertAnswered(await call(blind.url, '/weather/deferred', { headers: next.v2 }));
  });
});

test('in the end the books have what the chain has', async () => {
  const earned = { books: 0n, chain: 0n };
  for (const { worker, address } of wallets) {
    const entries = await booksOf(worker, address);
    const booked = entries.filter(({ state }) => state === 'settled');
    assert.deepEqual(entries.filter((entry) => !booked.includes(entry)), [], 'neither settled nor over');
    const sum = booked.reduce((atoms, { value }) => atoms + BigInt(value), 0n);
    assert.equal(sum, await paidBy(stack, address), address);
    const named = booked.map(({ transaction }) => transaction).filter(Boolean);
    assert.equal(new Set(named).size, named.length, 'one transaction for two payments');
    earned.books += sum;
    earned.chain += await paidBy(stack, address);
  }
  assert.equal(earned.books, earned.chain);
  assert.ok(wallets.length >= Object.keys(FAULTS).length * MODES.length * 2);
});
