// A facilitator that says no, lies, breaks or falls silent. A definite no is a 402; all that is not definite is a 503 that
// keeps the claim, because the money may have moved. Nothing but a settlement that fits lets the answer out.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import {
  assertAnswered, assertNoAnswer, assertRefused, assertUnknown, authorize, call, effectsOf, NETWORK,
  receiptsOf, startStack, THIEF, withoutEffect,
} from './helpers.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { proxy, chain } = stack;
// The paths say how they are paid: settle, then verify.
const PATHS = ['/weather/after-local', '/weather/after-facilitator', '/weather/before-local', '/weather/before-facilitator'];
const ROUTES = Object.fromEntries(PATHS.map((path) => {
  const [settle, verify] = path.split('/')[2].split('-');
  return [`GET ${path}`, { price: '$0.001', settle, verify }];
}));
ROUTES['GET /weather/*'] = '$0.001';
const vars = stack.vars({ ROUTES, FACILITATORS: [{ url: proxy.url, timeout_seconds: 2 }] });
const worker = await startWorker({ vars });
after(async () => {
  await worker.stop();
  await stack.stop();
});
afterEach(() => proxy.reset());

const ask = (path, payment, base = worker.url) => call(base, path, { headers: payment.v2 ?? payment });
const settleFault = (make) => (path, body) => (path === '/settle' ? make(body) : undefined);
const verifyFault = (make) => (path, body) => (path === '/verify' ? make(body) : undefined);
const payerOf = (body) => body.paymentPayload.payload.authorization.from;
const settled = (fields) => (body) => ({
  body: { success: true, payer: payerOf(body), network: NETWORK, transaction: `0x${'ab'.repeat(32)}`, ...fields },
});
const refusal = (errorReason, status = 200, more = {}) => (body) => ({
  status, body: { success: false, errorReason, payer: payerOf(body), network: NETWORK, transaction: '', ...more },
});

// What a facilitator may answer to /settle that says neither yes nor no.
const unknown = {
  'status 500, no verdict': () => ({ status: 500, raw: 'oops' }),
  'status 502 with HTML': () => ({ status: 502, raw: '<html>bad gateway</html>' }),
  'status 429': () => ({ status: 429, body: { error: 'slow down' } }),
  'malformed JSON': () => ({ raw: '{"success":true,"transaction":"0x' }),
  'an empty body': () => ({ raw: '' }),
  'JSON that is no settlement': () => ({ body: { ok: true } }),
  'success as a string': settled({ success: 'true' }),
  'success: true without a transaction': settled({ transaction: undefined }),
  'success: true with an empty transaction': settled({ transaction: '' }),
  'success: true for another payer': settled({ payer: THIEF }),
  'success: true on another network': settled({ network: 'eip155:8453' }),
  'success: true under status 500': (body) => ({ ...settled()(body), status: 500 }),
  'settlement_pending': refusal('settlement_pending', 200, { transaction: `0x${'cd'.repeat(32)}` }),
  'status 500 with unexpected_error': refusal('unexpected_error', 500),
  'unexpected_settle_error': refusal('unexpected_settle_error'),
  'a confirmation that timed out': refusal('settle_exact_evm_transaction_confirmation_timed_out'),
  'nonce already used': refusal('invalid_exact_evm_nonce_already_used'),
  'a closed connection': () => ({ reset: true }),
  'silence': () => ({ hang: true }),
};

for (const path of PATHS) {
  const upfront = path.includes('before');
  test(`${path}: an unknown settlement is no answer, no challenge and no second chance`, async (t) => {
    for (const [name, make] of Object.entries(unknown)) {
      await t.test(name, async () => {
        const buyer = await stack.buyer();
        const payment = await authorize(worker.url, path, buyer);
        proxy.fault = settleFault(make);
        const { result, calls } = await effectsOf(stack, () => ask(path, payment));
        assertUnknown(result);
        assert.equal(calls.origin, upfront ? 0 : 1);
        assert.ok(calls.settle >= 1);
        // A receipt of a success that we do not believe would be a forged one.
        assert.notEqual(receiptsOf(result).v2?.success, true);

        // Neither a patient client nor a thief gets further with it, even once the facilitator is well again.
        proxy.fault = undefined;
        assertUnknown(await withoutEffect(stack, () => ask(path, payment)));
        const elsewhere = await withoutEffect(stack, () => ask('/weather/elsewhere', payment.v1));
        assert.ok([409, 503].includes(elsewhere.status), elsewhere.text);
        assertNoAnswer(elsewhere);
        assert.equal((await chain.transfers({ from: buyer.address })).length, 0);
      });
    }
  });

  test(`${path}: a settlement that happened, and whose answer was lost, is not paid twice`, async () => {
    for (const lost of [{ forward: true, reset: true }, { forward: true, status: 500, raw: '' }, { forward: true, hang: true }]) {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, path, buyer);
      proxy.fault = settleFault(() => lost);
      const { result, earned } = await effectsOf(stack, () => ask(path, payment));
      assertUnknown(result);
      assert.equal(earned, 1000n);
      proxy.fault = undefined;
      assertUnknown(await withoutEffect(stack, () => ask(path, payment)));
      assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
    }
  });

  test(`${path}: a definite no is a 402 that says why, with the receipt of it`, async () => {
    const buyer = await stack.buyer();
    for (const [reason, status] of [['insufficient_funds', 200], ['invalid_exact_evm_insufficient_balance', 400]]) {
      const payment = await authorize(worker.url, path, buyer);
      proxy.fault = settleFault(refusal(reason, status));
      const { result, calls, earned } = await effectsOf(stack, () => ask(path, payment));
      const body = assertRefused(result, 402, 'payment_refused');
      assert.match(body.detail, new RegExp(reason));
      assert.equal(receiptsOf(result).v2.success, false);
      assert.equal(receiptsOf(result).v2.errorReason, reason);
      assert.equal(calls.origin, upfront ? 0 : 1);
      assert.equal(calls.settle, 1);
      assert.equal(earned, 0n);

      // Shown again it is either taken after all, and paid for, or it is not an answer.
      proxy.fault = undefined;
      const again = await effectsOf(stack, () => ask(path, payment));
      if (again.result.status === 200) assert.equal(again.earned, 1000n);
      else {
        assertNoAnswer(again.result);
        assert.equal(again.earned, 0n);
      }
    }
  });

  test(`${path}: a payer whom the facilitator must not serve is forbidden, not asked for more`, async () => {
    for (const reason of ['kyt_risk_detected', 'invalid_exact_evm_payload_authorization_from_address_kyt', 'request_blocked_by_location']) {
      const payment = await authorize(worker.url, path, await stack.buyer());
      proxy.fault = settleFault(refusal(reason, 400));
      assertRefused(await ask(path, payment), 403, 'payer_forbidden');
    }
  });
}

test('a real buyer without money gets a 402 from the chain, and no answer', async () => {
  for (const path of PATHS) {
    const buyer = await stack.buyer(999n);
    const payment = await authorize(worker.url, path, buyer);
    const { result, calls, earned } = await effectsOf(stack, () => ask(path, payment));
    assertRefused(result, 402, path.includes('facilitator') ? 'payment_invalid' : 'payment_refused');
    assert.equal(calls.origin, path === '/weather/after-local' ? 1 : 0);
    assert.equal(earned, 0n);
    assert.equal(await chain.balanceOf(buyer.address), 999n);
  }
});

test('an authorization that was spent elsewhere buys nothing here', async () => {
  // A settlement is public: anyone can submit a payment they have seen, before or while it is shown to us.
  for (const path of PATHS) {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    const settle = await fetch(`${stack.facilitator.url}/settle`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ x402Version: 2, paymentPayload: payment.json.v2, paymentRequirements: payment.requirement }),
    });
    assert.equal((await settle.json()).success, true);
    const response = await ask(path, payment);
    assertNoAnswer(response);
    assert.ok([409, 503].includes(response.status), `${path}: ${response.status} ${response.text}`);
    assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
  }
});

const VERIFIED = PATHS.filter((path) => path.endsWith('facilitator'));

test('verify without a verdict: 503, nothing happened, and the same payment is good afterwards', async (t) => {
  const broken = {
    'status 500': () => ({ status: 500, raw: 'oops' }),
    'malformed JSON': () => ({ raw: '{"isValid":tr' }),
    'JSON that is no verdict': () => ({ body: { ok: true } }),
    'isValid as a string': () => ({ body: { isValid: 'true' } }),
    'a closed connection': () => ({ reset: true }),
    'silence': () => ({ hang: true }),
  };
  for (const path of VERIFIED) {
    for (const [name, make] of Object.entries(broken)) {
      await t.test(`${path}: ${name}`, async () => {
        const payment = await authorize(worker.url, path, await stack.buyer());
        proxy.fault = verifyFault(make);
        const { result, calls, earned } = await effectsOf(stack, () => ask(path, payment));
        assertUnknown(result, 'verification_unavailable');
        assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 0, settle: 0 });
        assert.equal(earned, 0n);
        proxy.fault = undefined;
        const again = await effectsOf(stack, () => ask(path, payment));
        assertAnswered(again.result);
        assert.equal(again.earned, 1000n);
      });
    }
  }
});

test('verify says no: 402 with its reason, nothing happened, and the claim is free again', async () => {
  for (const path of VERIFIED) {
    const payment = await authorize(worker.url, path, await stack.buyer());
    proxy.fault = verifyFault((body) => ({ body: { isValid: false, invalidReason: 'insufficient_funds', payer: payerOf(body) } }));
    const { result, calls } = await effectsOf(stack, () => ask(path, payment));
    assert.match(assertRefused(result, 402, 'payment_invalid').detail, /insufficient_funds/);
    assert.deepEqual(calls, { origin: 0, verify: 1, settle: 0 });
    proxy.fault = verifyFault(() => ({ status: 400, body: { isValid: false, invalidReason: 'kyt_risk_detected' } }));
    assertRefused(await ask(path, payment), 403, 'payer_forbidden');
    proxy.fault = verifyFault(() => ({ body: { isValid: false, invalidReason: 'invalid_exact_evm_nonce_already_used' } }));
    assertRefused(await ask(path, payment), 409, 'payment_already_used');
  }
});

test('the facilitator is shown our requirement and the signed fields, not what the client wrote beside them', async () => {
  const payment = await authorize(worker.url, '/weather/after-facilitator', await stack.buyer());
  const dressed = {
    ...payment.json.v2,
    resource: { url: 'https://elsewhere.example/dear' },
    extensions: { bazaar: { info: {} } },
    facilitatorUrl: 'http://127.0.0.1:1',
  };
  const header = Buffer.from(JSON.stringify(dressed)).toString('base64');
  assertAnswered(await ask('/weather/after-facilitator', { 'PAYMENT-SIGNATURE': header }));
  for (const { body } of proxy.calls) {
    assert.deepEqual(body.paymentRequirements, payment.requirement);
    assert.deepEqual(body.paymentPayload.payload.authorization.nonce.toLowerCase(), payment.nonce);
    assert.doesNotMatch(JSON.stringify(body), /elsewhere\.example|127\.0\.0\.1:1"/);
  }
});
