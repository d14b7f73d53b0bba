// Signatures that cannot be recovered here: smart wallets, which the facilitator decides about, and strangers who put
// somebody else's address and nonce into a payment. A stranger must neither pay with, nor burn, what is not theirs.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import {
  assertAnswered, assertNoAnswer, assertRefused, assertUnknown, atOnce, authorize, call, effectsOf, prepare, receiptsOf,
  spellings, startStack, until, withoutEffect,
} from './helpers.mjs';
import { sign } from './stack/client.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { proxy, chain } = stack;
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: {
      'GET /weather/*': '$0.001',
      'GET /weather/checked/*': { price: '$0.001', verify: 'facilitator' },
      'GET /weather/before/*': { price: '$0.001', settle: 'before' },
    },
    FACILITATORS: [{ url: proxy.url, timeout_seconds: 5 }],
  }),
});
after(async () => {
  await worker.stop();
  await stack.stop();
});
afterEach(() => proxy.reset());

const PATHS = ['/weather/lisbon', '/weather/checked/lisbon', '/weather/before/lisbon'];
const ask = (path, headers) => call(worker.url, path, { headers });
const stranger = privateKeyToAccount(generatePrivateKey());

/** The owner's authorization, signed by somebody else. */
async function forge(payment) {
  const signed = await sign(payment.requirement, stranger, payment.signed.authorization);
  assert.equal(signed.authorization.from, payment.signed.authorization.from);
  return spellings(payment.requirement, signed);
}

for (const path of PATHS) {
  test(`${path}: a stranger who names a payer and a nonce gets nothing, and burns nothing`, async () => {
    const owner = await stack.buyer();
    const payment = await authorize(worker.url, path, owner);
    const forged = await forge(payment);
    for (const headers of [forged.v2, forged.v1, forged.third]) {
      const { result, calls, earned } = await effectsOf(stack, () => ask(path, headers));
      assertRefused(result, 402, 'payment_invalid');
      assert.deepEqual({ origin: calls.origin, settle: calls.settle, earned }, { origin: 0, settle: 0, earned: 0n });
      assert.equal(calls.verify, 1);
    }
    assertAnswered(await ask(path, payment.v2));
    assert.equal((await chain.transfers({ from: owner.address })).length, 1);
  });

  test(`${path}: while the facilitator thinks about the stranger, the owner pays`, async () => {
    const owner = await stack.buyer();
    const payment = await authorize(worker.url, path, owner);
    const forged = await forge(payment);
    // Only the forged payment waits for its verdict.
    let asked = 0;
    let answer;
    const held = new Promise((done) => (answer = done));
    proxy.fault = async (at, body) => {
      if (at !== '/verify' || body.paymentPayload.payload.signature !== forged.json.v2.payload.signature) return undefined;
      asked += 1;
      await held;
      return undefined;
    };
    const attempts = Array.from({ length: 8 }, () => prepare(worker.url, path, { headers: forged.v2 }));
    const refused = atOnce(attempts);
    await until('the stranger at the facilitator', () => asked > 0);
    assertAnswered(await ask(path, payment.v2));
    answer();
    for (const response of await refused) {
      assertNoAnswer(response);
      assert.ok([402, 409].includes(response.status), response.text);
    }
    assert.equal((await chain.transfers({ from: owner.address })).length, 1);
  });
}

test('no verdict on a stranger is no verdict on the owner', async () => {
  const owner = await stack.buyer();
  const payment = await authorize(worker.url, PATHS[0], owner);
  const forged = await forge(payment);
  for (const fault of [{ status: 500, raw: '' }, { raw: '{' }, { body: {} }, { reset: true }]) {
    proxy.fault = (path) => (path === '/verify' ? fault : undefined);
    const { result, calls } = await effectsOf(stack, () => ask(PATHS[0], forged.v2));
    assertUnknown(result, 'verification_unavailable');
    assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 0, settle: 0 });
  }
  proxy.reset();
  assertAnswered(await ask(PATHS[0], payment.v2));
});

test('a stranger with a nonce that is spent learns no answer', async () => {
  const payment = await authorize(worker.url, PATHS[0], await stack.buyer());
  assertAnswered(await ask(PATHS[0], payment.v2));
  const forged = await forge(payment);
  const { result, calls } = await effectsOf(stack, () => ask(PATHS[0], forged.v2));
  assertNoAnswer(result);
  assert.ok([402, 409].includes(result.status), result.text);
  assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 0, settle: 0 });
});

test('signatures of odd lengths by a wallet without code are not answers', async () => {
  const payment = await authorize(worker.url, PATHS[0], await stack.buyer());
  const { signature } = payment.signed;
  const lengths = {
    nothing: '0x', '64 bytes, compact': signature.slice(0, 130), '66 bytes': `${signature}00`, '130 bytes': `${signature}${signature.slice(2)}`,
    'an empty ERC-6492 wrapper': `0x${'6492'.repeat(16)}`, 'a wrapped signature': `${signature}${'6492'.repeat(16)}`,
    'two thousand bytes': `0x${'ab'.repeat(2000)}`,
  };
  for (const [name, spoilt] of Object.entries(lengths)) {
    const headers = spellings(payment.requirement, { ...payment.signed, signature: spoilt }).v2;
    const { result, calls, earned } = await effectsOf(stack, () => ask(PATHS[0], headers));
    assertNoAnswer(result);
    assert.ok(result.status >= 400, `${name}: ${result.status}`);
    assert.deepEqual({ origin: calls.origin, settle: calls.settle, earned }, { origin: 0, settle: 0, earned: 0n }, name);
  }
  assertAnswered(await ask(PATHS[0], payment.v2));
});

test('a smart wallet pays, once, however its signature is dressed', async () => {
  const key = privateKeyToAccount(generatePrivateKey());
  const wallet = await chain.smartWallet(key.address);
  await chain.mint(wallet, 10_000n);
  for (const path of PATHS) {
    const payment = await authorize(worker.url, path, key, { fields: { from: wallet } });
    // The wallet takes its owner's signature with anything behind it: one nonce, any number of valid signatures.
    const dressed = (tail) => spellings(payment.requirement, { ...payment.signed, signature: payment.signed.signature + tail });
    const { result, calls, earned } = await effectsOf(stack, () => ask(path, dressed('c0ffee').v2));
    assertAnswered(result);
    assert.equal(receiptsOf(result).v2.payer.toLowerCase(), wallet.toLowerCase());
    assert.deepEqual(calls, { origin: 1, verify: 1, settle: 1 });
    assert.equal(earned, 1000n);
    for (const tail of ['c0ffee', 'decaf0', '', '00']) {
      for (const headers of [dressed(tail).v2, dressed(tail).v1]) {
        const again = await effectsOf(stack, () => ask(path, headers));
        assertNoAnswer(again.result);
        assertRefused(again.result, 409, 'payment_already_used');
        assert.deepEqual({ origin: again.calls.origin, settle: again.calls.settle }, { origin: 0, settle: 0 });
      }
    }
  }
});

test('32 dressings of one smart wallet payment at once: one answer', async () => {
  const key = privateKeyToAccount(generatePrivateKey());
  const wallet = await chain.smartWallet(key.address);
  await chain.mint(wallet, 10_000n);
  const payment = await authorize(worker.url, PATHS[0], key, { fields: { from: wallet } });
  const requests = Array.from({ length: 32 }, (_, i) => {
    const signature = `${payment.signed.signature}${i.toString(16).padStart(4, '0')}`;
    return prepare(worker.url, PATHS[0], { headers: spellings(payment.requirement, { ...payment.signed, signature }).v2 });
  });
  const { result, calls } = await effectsOf(stack, () => atOnce(requests));
  assert.equal(result.filter(({ status }) => status === 200).length, 1);
  for (const response of result.filter(({ status }) => status !== 200)) {
    assertRefused(response, 409, ['payment_in_flight', 'payment_already_used']);
  }
  assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 1, settle: 1 });
  assert.equal((await chain.transfers({ from: wallet })).length, 1);
});

test('a yes from the facilitator is still no settlement', async () => {
  // A facilitator that verifies everything: the chain decides, and the origin's words stay inside.
  const owner = await stack.buyer();
  const forged = await forge(await authorize(worker.url, PATHS[0], owner));
  proxy.fault = (path) => (path === '/verify' ? { body: { isValid: true, payer: owner.address } } : undefined);
  const { result, earned } = await effectsOf(stack, () => ask(PATHS[0], forged.v2));
  assertNoAnswer(result);
  assert.ok([402, 503].includes(result.status), result.text);
  assert.equal(earned, 0n);
  assert.equal((await withoutEffect(stack, () => ask(PATHS[0], {}))).status, 402);
});
