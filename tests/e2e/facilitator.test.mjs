// A facilitator that says no, lies, breaks or falls silent. A definite no is a 402; all that is not definite is a 503 that
// keeps the claim, because the money may have moved. Nothing but a settlement that fits lets the answer out.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import {
  assertAnswered, assertNoAnswer, assertRefused, assertUnknown, authorize, call, NETWORK, receiptsOf, startStack, THIEF,
  until,
} from './helpers.mjs';
import {
  ADMIN_TOKEN, callsAbout, effectsFor, entryOf, faultsByPayer, passesNothingOn, payerIn, untilBooked,
} from './payers.mjs';
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
// Long enough for the real facilitator when a whole group of alarms rings at once.
const vars = stack.vars({ ROUTES, FACILITATORS: [{ url: proxy.url, timeout_seconds: 6 }] });
const worker = await startWorker({ vars, secrets: { ADMIN_TOKEN } });
// A fault stays with its payer until it is lifted: the alarm sends every unknown settlement again in the background.
const faults = faultsByPayer(proxy);
after(async () => {
  await worker.stop();
  await stack.stop();
});

const ask = (path, payment) => call(worker.url, path, { headers: payment.v2 ?? payment });
const at = (where, make) => (path, body) => (path === where ? make(body) : undefined);
/** The `make`s in turn, one for each call; the last one for all that follow. */
const inTurn = (...makes) => {
  let calls = 0;
  return at('/settle', (body) => makes[Math.min(calls++, makes.length - 1)](body));
};
const transfersOf = (buyer) => chain.transfers({ from: buyer.address });
const settled = (fields) => (body) => ({
  body: { success: true, payer: payerIn(body), network: NETWORK, transaction: `0x${'ab'.repeat(32)}`, ...fields },
});
const refusal = (errorReason, status = 200, more = {}) => (body) => ({
  status, body: { success: false, errorReason, payer: payerIn(body), network: NETWORK, transaction: '', ...more },
});
const unspoilt = () => undefined;

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
  'a closed connection': () => ({ reset: true }),
  'silence': () => ({ hang: true }),
};

/** The alarm has brought it to its end: the buyer gets what is owed, once, for this request alone. */
async function assertOwedOnce(path, buyer, payment, evidence) {
  const entry = await untilBooked(worker, buyer.address, payment.nonce, 'settled');
  assert.deepEqual({ answered: entry.answered, evidence: entry.evidence }, { answered: false, evidence });
  const elsewhere = await passesNothingOn(stack, buyer.address, () => ask('/weather/elsewhere', payment.v1));
  assertRefused(elsewhere, 409, 'payment_already_used');
  const { result, calls } = await effectsFor(stack, buyer.address, () => ask(path, payment));
  assertAnswered(result);
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 0 });
  const receipt = receiptsOf(result).v2;
  assert.equal(receipt.success, true);
  // What nobody has seen on the chain is not passed off as seen.
  assert.equal(receipt.extra?.evidence, evidence === 'unproven' ? 'unproven' : undefined);
  assertRefused(await passesNothingOn(stack, buyer.address, () => ask(path, payment)), 409, 'payment_already_used');
  assert.deepEqual((await transfersOf(buyer)).map(({ to, value }) => [to, value]), [[stack.seller, 1000n]]);
  const [first, ...again] = callsAbout(stack, buyer.address, '/settle').map(({ body }) => body);
  for (const body of again) assert.deepEqual(body, first, 'sent again, but not the same');
}

// At once, since each waits for its alarm.
for (const path of PATHS) describe(path, { concurrency: true }, () => {
  const upfront = path.includes('before');
  test('an unknown settlement is no answer and no challenge, until it is known', { concurrency: true }, async (t) => {
    await Promise.all(Object.entries(unknown).map(([name, make]) => t.test(name, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, path, buyer);
      faults.set(buyer.address, at('/settle', make));
      const { result, calls } = await effectsFor(stack, buyer.address, () => ask(path, payment));
      assertUnknown(result);
      assert.equal(calls.origin, upfront ? 0 : 1);
      assert.ok(calls.settle >= 1);
      // A receipt of a success that we do not believe would be a forged one.
      assert.notEqual(receiptsOf(result).v2?.success, true);

      // Neither a patient client nor a thief gets further with it.
      assertUnknown(await passesNothingOn(stack, buyer.address, () => ask(path, payment)));
      const elsewhere = await passesNothingOn(stack, buyer.address, () => ask('/weather/elsewhere', payment.v1));
      assertRefused(elsewhere, 409, 'payment_already_used');
      assert.deepEqual(await transfersOf(buyer), []);

      faults.lift(buyer.address);
      await assertOwedOnce(path, buyer, payment, 'told');
    })));
  });

  test('a settlement that happened, and whose answer was lost, is not paid twice', { concurrency: true }, async (t) => {
    const lost = { reset: { reset: true }, broken: { status: 500, raw: '' }, late: { hang: true } };
    await Promise.all(Object.entries(lost).map(([name, fault]) => t.test(name, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, path, buyer);
      faults.set(buyer.address, at('/settle', () => ({ forward: true, ...fault })));
      const { result, paid } = await effectsFor(stack, buyer.address, () => ask(path, payment));
      assertUnknown(result);
      assert.equal(paid, 1000n);
      assertUnknown(await passesNothingOn(stack, buyer.address, () => ask(path, payment)));
      faults.lift(buyer.address);
      await assertOwedOnce(path, buyer, payment, 'unproven');
    })));
  });

  test('a definite no is a 402 that says why, with the receipt of it', async () => {
    const buyer = await stack.buyer();
    for (const [reason, status] of [['insufficient_funds', 200], ['invalid_exact_evm_insufficient_balance', 400]]) {
      const payment = await authorize(worker.url, path, buyer);
      faults.set(buyer.address, at('/settle', refusal(reason, status)));
      const { result, calls, paid } = await effectsFor(stack, buyer.address, () => ask(path, payment));
      const body = assertRefused(result, 402, 'payment_refused');
      assert.match(body.detail, new RegExp(reason));
      assert.equal(receiptsOf(result).v2.success, false);
      assert.equal(receiptsOf(result).v2.errorReason, reason);
      assert.equal(calls.origin, upfront ? 0 : 1);
      assert.equal(calls.settle, 1);
      assert.equal(paid, 0n);
      assert.equal((await entryOf(worker, buyer.address, payment.nonce)).state, 'refused');

      // Shown again it is either taken after all, and paid for, or it is not an answer.
      faults.lift(buyer.address);
      const again = await effectsFor(stack, buyer.address, () => ask(path, payment));
      if (again.result.status === 200) assert.equal(again.paid, 1000n);
      else {
        assertNoAnswer(again.result);
        assert.equal(again.paid, 0n);
      }
    }
  });

  test('the same no is none after an attempt whose answer was lost', async () => {
    // It may be that very attempt that emptied the wallet. A 402 would have the buyer pay a second time.
    const buyer = await stack.buyer(1000n);
    const payment = await authorize(worker.url, path, buyer);
    faults.set(buyer.address, inTurn(() => ({ forward: true, reset: true }), refusal('invalid_exact_evm_insufficient_balance')));
    assertUnknown(await ask(path, payment));
    assert.equal(await chain.balanceOf(buyer.address), 0n);
    await until('the no in the books', async () => /insufficient_balance/.test((await entryOf(worker, buyer.address, payment.nonce)).reason));
    assert.equal((await entryOf(worker, buyer.address, payment.nonce)).state, 'unknown');
    assertUnknown(await passesNothingOn(stack, buyer.address, () => ask(path, payment)));
    faults.lift(buyer.address);
    await assertOwedOnce(path, buyer, payment, 'unproven');
  });

  test('pending is asked for once more at once, and then known', async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    const transaction = `0x${'cd'.repeat(32)}`;
    faults.set(buyer.address, inTurn((body) => ({ ...refusal('settlement_pending', 200, { transaction })(body), forward: true }), unspoilt));
    const { result, calls, paid } = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assertAnswered(result);
    assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 1, settle: 2 });
    assert.equal(paid, 1000n);
    // "Used", says the second: by the first, most likely, but nobody has seen it.
    assert.deepEqual(receiptsOf(result).v2.extra, { evidence: 'unproven' });
    const { state, answered, evidence } = await entryOf(worker, buyer.address, payment.nonce);
    assert.deepEqual({ state, answered, evidence }, { state: 'settled', answered: true, evidence: 'unproven' });
    assertRefused(await passesNothingOn(stack, buyer.address, () => ask(path, payment)), 409, 'payment_already_used');
  });

  test('a payer whom the facilitator must not serve is forbidden, not asked for more', async () => {
    for (const reason of ['kyt_risk_detected', 'invalid_exact_evm_payload_authorization_from_address_kyt', 'request_blocked_by_location']) {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, path, buyer);
      faults.set(buyer.address, at('/settle', refusal(reason, 400)));
      assertRefused(await ask(path, payment), 403, 'payer_forbidden');
    }
  });
});

const saysNo = (invalidReason) => ({ body: { isValid: false, invalidReason } });
/** What befalls /settle, and what /verify says then. */
const faulty = (settle, verify) => (path, body) => (path === '/settle' ? settle(body) : path === '/verify' ? verify?.(body) : undefined);

test('an unknown refusal reason is shown to the buyer once /verify has said no as well', { concurrency: true }, async (t) => {
  await Promise.all([
    ['insufficient_balance', 'invalid_exact_evm_insufficient_balance'], ['INSUFFICIENT_FUNDS', 'insufficient_funds'],
    ['expired', 'invalid_exact_evm_payload_authorization_valid_before'], ['invalid_signature', 'invalid_signature'],
    ['settle_failed', 'invalid_exact_evm_payload_signature'], ['', 'network_mismatch'],
  ].flatMap(([reason, verdict]) => ['/weather/after-local', '/weather/before-local'].map((path) => t.test(`${path}: ${reason || 'none'}`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    // Of "INSUFFICIENT_FUNDS" /verify is not even asked: it is one of the standard's own, in capitals.
    const definite = reason === 'INSUFFICIENT_FUNDS';
    const shown = definite ? reason : verdict;
    const silent = reason === '';
    faults.set(buyer.address, faulty(silent ? () => ({ status: 400, body: { ok: false } }) : refusal(reason), () => saysNo(verdict)));
    const { result, calls, paid } = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assert.equal(assertRefused(result, 402, 'payment_refused').detail, shown);
    const { success, errorReason, transaction } = receiptsOf(result).v2;
    assert.deepEqual({ success, errorReason, transaction }, { success: false, errorReason: shown, transaction: '' });
    assert.deepEqual([calls.settle, calls.verify, paid], [1, definite ? 0 : 1, 0n]);
    assert.equal((await entryOf(worker, buyer.address, payment.nonce)).state, 'refused');
  }))));
});

test('a no that /verify does not confirm stays open, and the buyer is told what was said', { concurrency: true }, async (t) => {
  await Promise.all([
    // What our own attempt may have caused, or what says nothing of the payment.
    ['settle_failed', 'invalid_exact_evm_insufficient_balance'], ['settle_failed', 'invalid_exact_evm_payload_authorization_valid_before'],
    ['settle_failed', 'invalid_exact_evm_nonce_already_used'], ['insufficient_balance', undefined], ['expired', 'rpc_error'],
    ['rate_limited', 'insufficient_funds'],
  ].map(([reason, verdict]) => t.test(`${reason}, then ${verdict ?? 'a yes'}`, async () => {
    const path = '/weather/after-local';
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    faults.set(buyer.address, faulty(refusal(reason), verdict && (() => saysNo(verdict))));
    const { result, calls } = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assertUnknown(result);
    assert.match(result.json().detail, new RegExp(reason));
    assert.equal(receiptsOf(result).v2, undefined);
    assert.equal(calls.verify, reason === 'rate_limited' ? 0 : 1);
    const again = await ask(path, payment);
    assertUnknown(again);
    assert.match(again.json().detail, new RegExp(reason), 'the second time the reason is gone');
    faults.lift(buyer.address);
    await assertOwedOnce(path, buyer, payment, 'told');
  })));
});

test('a refusal in the words of either official facilitator is a refusal', async () => {
  for (const reason of [
    'missing_eip712_domain', 'network_mismatch', 'unsupported_scheme', 'invalid_exact_evm_payload_undeployed_smart_wallet',
    'invalid_exact_evm_failed_to_get_network_config',
  ]) {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, '/weather/after-local', buyer);
    faults.set(buyer.address, at('/settle', refusal(reason)));
    const { result, calls } = await effectsFor(stack, buyer.address, () => ask('/weather/after-local', payment));
    assert.equal(assertRefused(result, 402, 'payment_refused').detail, reason);
    assert.deepEqual([calls.settle, calls.verify], [1, 0]);
  }
});

describe('a transaction that failed', { concurrency: true }, () => {
  const reverted = `0x${'ef'.repeat(32)}`;
  const WORDS = ['invalid_transaction_state', 'transaction_failed', 'invalid_exact_evm_transaction_failed'];
  for (const reason of WORDS) {
    const fails = refusal(reason, 200, { transaction: reverted });

    test(`${reason}: a no of /verify is the reason, and the failed transaction is in no receipt`, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, '/weather/after-local', buyer);
      faults.set(buyer.address, faulty(fails, () => saysNo('invalid_exact_evm_insufficient_balance')));
      const { result, calls } = await effectsFor(stack, buyer.address, () => ask('/weather/after-local', payment));
      assert.match(assertRefused(result, 402, 'payment_refused').detail, /insufficient_balance/);
      assert.deepEqual([calls.settle, calls.verify, receiptsOf(result).v2.transaction], [1, 1, '']);
    });

    test(`${reason}: a nonce that is used then was used by another`, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, '/weather/before-local', buyer);
      faults.set(buyer.address, faulty(fails, () => saysNo('invalid_exact_evm_nonce_already_used')));
      for (const _ of 'ab') {
        const response = await ask('/weather/before-local', payment);
        assertRefused(response, 409, 'payment_already_used');
        assert.equal(receiptsOf(response).v2, undefined);
      }
      assert.equal((await entryOf(worker, buyer.address, payment.nonce)).state, 'spent');
    });

    test(`${reason}: it is sent again once /verify says yes, and not before`, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, '/weather/after-local', buyer);
      let mute = true;
      faults.set(buyer.address, faulty(fails, () => (mute ? { status: 500, raw: '' } : undefined)));
      const result = await ask('/weather/after-local', payment);
      assertUnknown(result);
      assert.equal(receiptsOf(result).v2, undefined, 'nothing of it can land');
      await until('/verify is asked again', () => callsAbout(stack, buyer.address, '/verify').length >= 3);
      assert.equal(callsAbout(stack, buyer.address, '/settle').length, 1);
      faults.lift(buyer.address);
      mute = false;
      await assertOwedOnce('/weather/after-local', buyer, payment, 'told');
    });

    test(`${reason}: but not where the facilitator says that it could not follow it`, async () => {
      const buyer = await stack.buyer();
      const payment = await authorize(worker.url, '/weather/after-local', buyer);
      const errorMessage = 'settlement_pending, but failed to persist for retry: disk full';
      faults.set(buyer.address, inTurn((body) => ({ ...refusal(reason, 200, { transaction: reverted, errorMessage })(body), forward: true }), unspoilt));
      const { result, calls } = await effectsFor(stack, buyer.address, () => ask('/weather/after-local', payment));
      assertUnknown(result);
      assert.equal(calls.verify, 0);
      const { errorReason, transaction } = receiptsOf(result).v2;
      assert.deepEqual({ errorReason, transaction }, { errorReason: 'settlement_pending', transaction: reverted });
      // It has landed: "used" is by our own attempt.
      await assertOwedOnce('/weather/after-local', buyer, payment, 'unproven');
    });
  }
});

test('a success with empty optional members is a success', async () => {
  for (const optional of [{ payer: '' }, { payer: null }, { network: '' }, { network: undefined, payer: undefined }]) {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, '/weather/after-facilitator', buyer);
    faults.set(buyer.address, (path) => (path === '/supported' ? undefined : { forward: true, body: (answer) => ({ ...answer, ...optional }) }));
    const { result, paid } = await effectsFor(stack, buyer.address, () => ask('/weather/after-facilitator', payment));
    assertAnswered(result);
    assert.equal(paid, 1000n);
    assert.deepEqual([receiptsOf(result).v2.success, receiptsOf(result).v2.network], [true, NETWORK]);
  }
});

test('a real buyer without money gets a 402 from the chain, and no answer', async () => {
  for (const path of PATHS) {
    const buyer = await stack.buyer(999n);
    const payment = await authorize(worker.url, path, buyer);
    const { result, calls, paid } = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assertRefused(result, 402, path.includes('facilitator') ? 'payment_invalid' : 'payment_refused');
    assert.equal(calls.origin, path === '/weather/after-local' ? 1 : 0);
    assert.equal(paid, 0n);
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
    // Both times: that we have asked about it once does not make it ours.
    for (const _ of 'ab') assertRefused(await ask(path, payment), 409, 'payment_already_used');
    const state = (await entryOf(worker, buyer.address, payment.nonce))?.state;
    assert.equal(state, path.includes('facilitator') ? 'released' : 'spent');
    assert.equal((await transfersOf(buyer)).length, 1);
  }
});

const VERIFIED = PATHS.filter((path) => path.endsWith('facilitator'));

test('verify without a verdict: 503, nothing happened, and the same payment is good afterwards', { concurrency: true }, async (t) => {
  const broken = {
    'status 500': () => ({ status: 500, raw: 'oops' }),
    'malformed JSON': () => ({ raw: '{"isValid":tr' }),
    'JSON that is no verdict': () => ({ body: { ok: true } }),
    'isValid as a string': () => ({ body: { isValid: 'true' } }),
    'a closed connection': () => ({ reset: true }),
    'silence': () => ({ hang: true }),
  };
  await Promise.all(VERIFIED.flatMap((path) => Object.entries(broken).map(([name, make]) => t.test(`${path}: ${name}`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    faults.set(buyer.address, at('/verify', make));
    const { result, calls, paid } = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assertUnknown(result, 'verification_unavailable');
    assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 0, settle: 0 });
    assert.equal(paid, 0n);
    faults.lift(buyer.address);
    const again = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assertAnswered(again.result);
    assert.equal(again.paid, 1000n);
  }))));
});

test('verify says no: 402 with its reason, nothing happened, and the claim is free again', async () => {
  for (const path of VERIFIED) {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    const says = (answer) => faults.set(buyer.address, at('/verify', () => answer));
    says({ body: { isValid: false, invalidReason: 'insufficient_funds', payer: buyer.address } });
    const { result, calls } = await effectsFor(stack, buyer.address, () => ask(path, payment));
    assert.match(assertRefused(result, 402, 'payment_invalid').detail, /insufficient_funds/);
    assert.deepEqual(calls, { origin: 0, verify: 1, settle: 0 });
    says({ status: 400, body: { isValid: false, invalidReason: 'kyt_risk_detected' } });
    assertRefused(await ask(path, payment), 403, 'payer_forbidden');
    says({ body: { isValid: false, invalidReason: 'invalid_exact_evm_nonce_already_used' } });
    assertRefused(await ask(path, payment), 409, 'payment_already_used');
  }
});

test('the facilitator is shown our requirement and the signed fields, not what the client wrote beside them', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/after-facilitator', buyer);
  const dressed = {
    ...payment.json.v2,
    resource: { url: 'https://elsewhere.example/dear' },
    extensions: { bazaar: { info: {} } },
    facilitatorUrl: 'http://127.0.0.1:1',
  };
  const header = Buffer.from(JSON.stringify(dressed)).toString('base64');
  assertAnswered(await ask('/weather/after-facilitator', { 'PAYMENT-SIGNATURE': header }));
  const calls = ['/verify', '/settle'].flatMap((path) => callsAbout(stack, buyer.address, path));
  assert.equal(calls.length, 2);
  for (const { body } of calls) {
    assert.deepEqual(body.paymentRequirements, payment.requirement);
    assert.deepEqual(body.paymentPayload.payload.authorization.nonce.toLowerCase(), payment.nonce);
    assert.doesNotMatch(JSON.stringify(body), /elsewhere\.example|127\.0\.0\.1:1"/);
  }
});
