// A settled payment is public: payload and signature stand in the chain's calldata. Here somebody takes them from there and
// shows them, with and without an identifier of their own making. What the buyer may hear again, the thief never hears.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { concatHex, decodeFunctionData, numberToHex } from 'viem';
import {
  assertAnswered, assertNoAnswer, assertRefused, atOnce, call, challengeOf, now, prepare, spellings, USDC, until, withoutEffect,
} from './helpers.mjs';
import { assertSaidAgain, newId, startIdentified, withId } from './identified.mjs';
import { contracts } from './stack/contracts.mjs';

const MODES = ['after', 'before', 'deferred'];
const price = '$0.001';
const of = (settle) => ({ price, settle, ...(settle === 'deferred' ? { max_exposure: '$1' } : {}) });
const stack = await startIdentified({
  ...Object.fromEntries(MODES.flatMap((settle) => [
    [`/${settle}/*`, of(settle)],
    // As short a window as there can be, to see it end.
    [`/short-${settle}/*`, { ...of(settle), timeout_seconds: 1 }],
  ])),
  '/elsewhere/*': price,
  '/required/*': { price, payment_identifier: 'required' },
});
const { chain, proxy, script, worker, buy } = stack;
after(stack.stop);
afterEach(stack.reset);

/** What everybody can read of a payment, once it is on chain: all that it takes to write its header again. */
async function stolen(buyer, target) {
  const [{ transactionHash }] = await until('the payment on chain', async () => {
    const transfers = await chain.transfers({ from: buyer.address });
    return transfers.length > 0 && transfers;
  });
  const { to, input } = await chain.client.getTransaction({ hash: transactionHash });
  assert.equal(to.toLowerCase(), USDC.toLowerCase());
  const { functionName, args } = decodeFunctionData({ abi: contracts().Usdc.abi, data: input });
  assert.equal(functionName, 'transferWithAuthorization');
  const [from, payee, value, validAfter, validBefore, nonce, ...signed] = args;
  const [v, r, s] = signed;
  const signature = signed.length === 1 ? signed[0] : concatHex([r, s, numberToHex(v, { size: 1 })]);
  const authorization = { from, to: payee, value: `${value}`, validAfter: `${validAfter}`, validBefore: `${validBefore}`, nonce };
  // The requirement is in every challenge.
  const { required } = await challengeOf(worker.url, target);
  return spellings(required.accepts[0], { signature, authorization });
}

/** Every way of showing what was stolen. */
const disguises = (loot) => [loot.v2, loot.v1, loot.third, loot.thirdNamed, withId(loot, newId()), withId(loot, undefined, { required: false })];
const ELSEWHERE = ['/elsewhere/json', '/after/other', '/before/other', '/deferred/other', '/short-after/other', '/required/json'];

/** Wherever and however it is shown: no answer, no call, no money, and no invitation to the owner to pay again. */
async function assertWorthless(loot, target) {
  for (const headers of disguises(loot)) {
    const refused = await withoutEffect(stack, () => call(worker.url, target, { headers }));
    assertRefused(refused, 409, 'payment_already_used');
  }
  for (const [method, path, body] of [
    ['GET', `${target}?again=1`], ['POST', target, '{}'], ['DELETE', target], ...ELSEWHERE.map((path) => ['GET', path]),
  ]) {
    for (const headers of disguises(loot)) {
      const refused = await withoutEffect(stack, () => call(worker.url, path, { method, headers, body }));
      assertNoAnswer(refused);
      const { code } = refused.json();
      // Another route may word its requirement otherwise; one that wants an id says so first.
      assert.ok(
        refused.status === 409 || (path.includes('required') && code === 'identifier_required')
          || (!path.startsWith(target) && code === 'accepted_mismatch'),
        `${method} ${path}: ${refused.status} ${refused.text}`,
      );
    }
  }
  const head = await withoutEffect(stack, () => call(worker.url, target, { method: 'HEAD', headers: loot.v2 }));
  assert.equal(head.status, 409);
}

test('what is on chain is the whole payment', async () => {
  const { buyer, payment, ask } = await buy('/after/json');
  assertAnswered(await ask());
  const loot = await stolen(buyer, '/after/json');
  // Were it not, this file would prove nothing.
  assert.deepEqual(loot.json.v2.payload.authorization, payment.signed.authorization);
  assert.equal(loot.json.v2.payload.signature, payment.signed.signature);
});

for (const mode of MODES) {
  test(`${mode}: what was stolen from the chain buys nothing, and spoils nothing`, async () => {
    const target = `/${mode}/json`;
    const { buyer, ask } = await buy(target);
    const first = await ask();
    assertAnswered(first);
    const loot = await stolen(buyer, target);
    await until('settled in the books', async () => (await stack.booksOf(buyer.address))[0].state === 'settled');
    await assertWorthless(loot, target);
    // The thief's guesses have not taken the buyer's id.
    assertSaidAgain(await withoutEffect(stack, ask), first, { receipt: mode !== 'deferred' });
    assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
  });

  test(`${mode}: without an identifier nobody hears it again, not even the buyer`, async () => {
    const target = `/${mode}/json`;
    const { buyer, payment } = await buy(target);
    assertAnswered(await call(worker.url, target, { headers: payment.v2 }));
    const loot = await stolen(buyer, target);
    await until('settled in the books', async () => (await stack.booksOf(buyer.address))[0].state === 'settled');
    await assertWorthless(loot, target);
    for (const headers of [payment.v2, withId(payment, newId())]) {
      assertRefused(await withoutEffect(stack, () => call(worker.url, target, { headers })), 409, 'payment_already_used');
    }
  });

  test(`${mode}: thieves and the buyer at once`, async () => {
    const target = `/${mode}/binary`;
    const { buyer, headers, ask } = await buy(target);
    const first = await ask();
    const loot = await stolen(buyer, target);
    await until('settled in the books', async () => (await stack.booksOf(buyer.address))[0].state === 'settled');
    const theirs = [...disguises(loot), ...disguises(loot), ...disguises(loot)].map((shown) => prepare(worker.url, target, { headers: shown }));
    const own = Array.from({ length: 12 }, () => prepare(worker.url, target, { headers }));
    const mixed = [...theirs, ...own].sort((a, b) => (theirs.indexOf(a) % 12) - (theirs.indexOf(b) % 12));
    await withoutEffect(stack, () => atOnce(mixed));
    for (const { response } of own) assertSaidAgain(await response, first, { receipt: mode !== 'deferred' });
    for (const { response } of theirs) assertRefused(await response, 409, 'payment_already_used');
    assertSaidAgain(await withoutEffect(stack, ask), first, { receipt: mode !== 'deferred' });
  });
}

test('the thief is there before the answer is: it is on chain while the origin still works', async () => {
  let letGo;
  const held = new Promise((done) => (letGo = done));
  script.hold = () => held;
  const target = '/before/json';
  const { buyer, headers } = await buy(target);
  const asked = script.calls.length;
  const buying = prepare(worker.url, target, { headers });
  await buying.ready;
  buying.release();
  const loot = await stolen(buyer, target);
  await until('the origin at work', () => script.calls.length > asked);
  for (const shown of disguises(loot)) {
    assertRefused(await withoutEffect(stack, () => call(worker.url, target, { headers: shown })), 409, 'payment_in_flight');
    const elsewhere = await withoutEffect(stack, () => call(worker.url, '/before/other', { headers: shown }));
    assert.equal(elsewhere.status, 409, elsewhere.text);
  }
  letGo();
  assertAnswered(await buying.response);
  await assertWorthless(loot, target);
});

test('the thief is there before the facilitator has said that it is settled', async () => {
  let letGo;
  const held = new Promise((done) => (letGo = done));
  const target = '/after/json';
  const { buyer, payment, headers } = await buy(target);
  proxy.fault = async (path, body) => {
    if (path !== '/settle') return undefined;
    // It has broadcast, and is slow to say so.
    const answer = await fetch(`${stack.facilitator.url}/settle`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    });
    await held;
    return { body: await answer.json() };
  };
  const buying = prepare(worker.url, target, { headers });
  await buying.ready;
  buying.release();
  const loot = await stolen(buyer, target);
  for (const shown of disguises(loot)) {
    assertRefused(await withoutEffect(stack, () => call(worker.url, target, { headers: shown })), 409, 'payment_in_flight');
    assert.equal((await withoutEffect(stack, () => call(worker.url, '/elsewhere/json', { headers: shown }))).status, 409);
  }
  letGo();
  assertAnswered(await buying.response);
  assert.equal(await chain.authorizationState(buyer.address, payment.nonce), true);
  await assertWorthless(loot, target);
});

// design.md section 3 gives what is owed to whoever shows the payment: one answer is all that a thief can win by it. Where
// the buyer has named an identifier, that much need not be lost either.
test('what is owed under an identifier waits for it', async () => {
  proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  const target = '/after/json';
  const { buyer, ask } = await buy(target);
  assertNoAnswer(await ask());
  proxy.reset();
  await until('owed', async () => (await stack.booksOf(buyer.address)).some(({ state, answered }) => state === 'settled' && !answered));
  const loot = await stolen(buyer, target);
  for (const shown of disguises(loot)) assertNoAnswer(await withoutEffect(stack, () => call(worker.url, target, { headers: shown })));
  assertAnswered(await ask());
});

test('an id that leaked without its wallet is another wallet\'s id', async () => {
  const { id } = await buy('/after/json').then(async (one) => (await one.ask(), one));
  const thief = await buy('/after/binary', { id });
  const response = await thief.ask();
  assert.equal(response.headers['idempotent-replayed'], undefined);
  assert.equal((await chain.transfers({ from: thief.buyer.address })).length, 1, 'it is a sale like any other');
});

test('after it has expired', async (t) => {
  // Only the wait is long: all three at once.
  const bought = await Promise.all(MODES.map(async (mode) => {
    const target = `/short-${mode}/json`;
    const fields = { validBefore: String(now() + 40) };
    const one = await buy(target, { fields });
    const first = await one.ask();
    assertAnswered(first);
    return { ...one, mode, first, loot: await stolen(one.buyer, target) };
  }));
  const latest = Math.max(...bought.map(({ payment }) => Number(payment.signed.authorization.validBefore)));
  await until('expired', () => now() > latest + 1, 90);
  for (const { mode, target, loot, ask, first, buyer } of bought) {
    await t.test(mode, async () => {
      await assertWorthless(loot, target);
      assertSaidAgain(await withoutEffect(stack, ask), first, { receipt: mode !== 'deferred' });
      assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
    });
  }
});
