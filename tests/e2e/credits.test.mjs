// Prepaid credits: bought with one payment, spent call by call, to the last one, on the real chain.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { atOnce, authorize, call, challengeOf, effectsOf, prepare, receiptsOf, spellings, startStack, until, withoutEffect } from './helpers.mjs';
import { bearer, buy, creditsOf, entriesOf, operator, PACKAGES, SECRETS, spend } from './credits.mjs';
import { ADMIN_TOKEN, newId, withId } from './identified.mjs';
import { gate } from './points.mjs';
import { payV2 } from './stack/client.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const ROUTES = {
  'GET /weather/*': '$0.001',
  'GET /weather/dear/*': { price: '$0.001', credits: 3 },
  'GET /weather/never/*': { price: '$0.001', credits: 'none' },
  'GET /status/*': '$0.3',
};
const worker = await startWorker({ vars: stack.vars({ ROUTES, PACKAGES }), secrets: SECRETS });
after(stopEverything);
const { url } = worker;

const rich = () => stack.buyer(100_000_000n);

test('the official client buys each package, spends all of it, is told the shortfall, tops up, and goes on', async () => {
  const buyer = await rich();
  // Its own limit is a dollar a payment unless it is told otherwise.
  const pay = (target, init) => payV2(target, buyer, { init, spend: '$20' });
  const sold = { atoms: 0n, credits: 0 };
  for (const [name, { price, credits }] of Object.entries(PACKAGES)) {
    const { result, calls, earned } = await effectsOf(stack, async () => {
      const response = await pay(`${url}/api/buy-credits/${name}`, { method: 'POST' });
      return { status: response.status, receipt: response.headers.get('payment-response'), body: await response.json() };
    });
    assert.equal(result.status, 200, JSON.stringify(result.body));
    assert.equal(earned, BigInt(price.slice(1)) * 1_000_000n);
    assert.deepEqual(calls, { origin: 0, verify: 0, settle: 1 });
    const { key, available } = result.body;
    assert.match(key, /^e402_test_[0-9a-f]{68}$/);
    assert.deepEqual([result.body.credits, available], [credits, credits]);
    assert.equal(result.body.dashboardUrl, `${url}/dashboard#${key}`);
    assert.ok(result.receipt && result.body.payment.transaction.startsWith('0x'));
    sold.atoms += earned;
    sold.credits += credits;
    if (name !== 'small') continue;
    for (let left = credits - 1; left >= 0; left -= 1) {
      const response = await spend(url, key);
      assert.equal(response.status, 200, response.text);
      assert.deepEqual([response.headers['x-credits-charged'], response.headers['x-credits-remaining']], ['1', String(left)]);
    }
    const refused = await withoutEffect(stack, () => spend(url, key));
    assert.equal(refused.status, 402);
    const { code, balance, required, topUpUrl, accepts } = refused.json();
    assert.deepEqual({ code, balance, required, topUpUrl },
      { code: 'insufficient_credits', balance: 0, required: 1, topUpUrl: `${url}/api/buy-credits/small` });
    assert.ok(refused.headers['payment-required'] && accepts.length, 'it can be paid directly as well');
    // The same call as the purchase, with the key beside the payment.
    const topped = await pay(topUpUrl, { method: 'POST', headers: bearer(key) });
    const body = await topped.json();
    assert.equal(topped.status, 200, JSON.stringify(body));
    assert.equal(body.key, undefined, 'who tops a key up has it');
    assert.equal(body.available, credits);
    assert.equal((await spend(url, key)).status, 200);
    const shown = await until('the capture', async () => {
      const now = await creditsOf(url, key);
      return now.held === 0 && now;
    });
    assert.deepEqual([shown.available, shown.calls, shown.succeeded], [credits - 1, credits + 1, credits + 1]);
    const entries = await entriesOf(url, key);
    assert.equal(entries.entries.reduce((sum, entry) => sum + entry.credits, 0), entries.balance, 'the balance is the sum of its entries');
    assert.equal(entries.balance, credits - 1);
  }
  const transfers = await stack.chain.transfers({ from: buyer.address });
  assert.equal(transfers.length, Object.keys(PACKAGES).length + 1);
  assert.equal(sold.credits, 185);
});

test('the price of a package is its own, and its payment buys nothing else', async () => {
  const { required } = await challengeOf(url, '/api/buy-credits/small', { method: 'POST' });
  assert.equal(required.accepts[0].amount, '1000000');
  assert.equal(required.accepts[0].extra.paymentFlow, 'upfront');
  assert.match(required.resource.url, /\/api\/buy-credits\/small$/);
  assert.equal(required.extensions['sign-in-with-x'], undefined, 'a signed-in wallet could not buy again');
  const payment = await authorize(url, '/api/buy-credits/small', await rich(), { method: 'POST' });
  for (const target of ['/api/buy-credits/large', '/weather/lisbon']) {
    const response = await withoutEffect(stack, () => call(url, target, { method: target.startsWith('/api') ? 'POST' : 'GET', headers: payment.v2 }));
    assert.equal(response.status, 402, response.text);
  }
  assert.equal((await call(url, '/api/buy-credits/huge', { method: 'POST' })).status, 404);
  assert.equal((await call(url, '/api/buy-credits/small')).status, 405);
});

test('a wallet that cannot sign in names its purchase', async () => {
  const payment = await authorize(url, '/api/buy-credits/small', await rich(), { method: 'POST' });
  const dressed = spellings(payment.requirement, { ...payment.signed, signature: `${payment.signed.signature}00` });
  const response = await withoutEffect(stack, () => call(url, '/api/buy-credits/small', { method: 'POST', headers: dressed.v2 }));
  assert.deepEqual([response.status, response.json().code], [400, 'identifier_required'], response.text);
});

test('a call costs its own credits, or its price over the dearest credit, rounded up', async () => {
  const { key } = await buy(stack, url);
  const charged = async (target) => (await spend(url, key, target)).headers['x-credits-charged'];
  assert.equal(await charged('/weather/dear/x'), '3');
  // A credit of the small package is $0.20, the dearest; $0.30 is one and a half.
  assert.equal(await charged('/status/200'), '2');
  const refused = await withoutEffect(stack, () => spend(url, key, '/weather/never/x'));
  assert.equal(refused.status, 400, refused.text);
  assert.equal(refused.json().code, 'credential_not_supported');
});

test('what fails at the origin is not charged, and the credit is back', async () => {
  const { key } = await buy(stack, url);
  for (const status of [404, 500]) {
    const response = await spend(url, key, `/status/${status}`);
    assert.equal(response.status, status, response.text);
    assert.deepEqual([response.headers['x-credits-charged'], response.headers['x-credits-remaining']], ['0', '5']);
  }
  const shown = await creditsOf(url, key);
  assert.deepEqual([shown.available, shown.held, shown.calls, shown.succeeded], [5, 0, 2, 0]);
  assert.deepEqual(shown.activity.map(({ status, outcome }) => [status, outcome]), [[500, 'released'], [404, 'released']]);
});

test('64 calls at once on 10 credits: exactly 10 reach the origin', async () => {
  const key = (await operator(url, { action: 'mint', credits: 10 })).json().key;
  const { result, calls } = await effectsOf(stack, () =>
    atOnce(Array.from({ length: 64 }, () => prepare(url, '/weather/lisbon', { headers: bearer(key) }))));
  const statuses = result.map(({ status }) => status).sort();
  assert.deepEqual([calls.origin, statuses.filter((status) => status === 200).length], [10, 10], statuses.join());
  assert.deepEqual([...new Set(statuses)], [200, 402]);
  const shown = await until('the captures', async () => {
    const now = await creditsOf(url, key);
    return now.held === 0 && now;
  });
  assert.deepEqual([shown.available, shown.succeeded], [0, 10]);
});

test('32 copies of one purchase at once: one key, one transfer', async () => {
  const buyer = await rich();
  const payment = await authorize(url, '/api/buy-credits/small', buyer, { method: 'POST' });
  const id = newId();
  const headers = withId(payment, id);
  const answers = await atOnce(Array.from({ length: 32 }, () => prepare(url, '/api/buy-credits/small', { method: 'POST', headers })));
  const keys = new Set(answers.filter(({ status }) => status === 200).map((answer) => answer.json().key));
  assert.equal(keys.size, 1, answers.map(({ status }) => status).join());
  assert.ok(answers.every(({ status }) => [200, 409, 503].includes(status)));
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  const [key] = keys;
  assert.equal((await creditsOf(url, key)).available, 5);
  // Afterwards as well: who shows the identifier hears the same key, and nobody else hears any.
  const again = await withoutEffect(stack, () => call(url, '/api/buy-credits/small', { method: 'POST', headers }));
  assert.deepEqual([again.status, again.json().key], [200, key]);
  assert.equal(receiptsOf(again).v2.success, true);
  const thief = await withoutEffect(stack, () => call(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 }));
  assert.equal(thief.status, 409, thief.text);
  assert.doesNotMatch(thief.text, /e402_/);
  assert.equal((await creditsOf(url, key)).available, 5);
  // Whoever overheard the purchase must not have the key that replaces its own.
  assert.equal((await call(url, '/api/credits/rotate', { method: 'POST', headers: bearer(key) })).status, 200);
  const late = await withoutEffect(stack, () => call(url, '/api/buy-credits/small', { method: 'POST', headers }));
  assert.deepEqual([late.status, late.json().key], [200, undefined]);
  assert.doesNotMatch(late.text, /e402_test_/);
});

test('a payment copied from the chain buys nothing, in whatever dress', async () => {
  const { key, buyer, payment } = await buy(stack, url);
  const loot = spellings(payment.requirement, payment.signed);
  const other = (await operator(url, { action: 'mint', credits: 1 })).json().key;
  for (const dress of [loot.v2, loot.v1, loot.third, withId(payment, newId())]) {
    for (const more of [{}, bearer(other), bearer(key)]) {
      for (const [method, target] of [['POST', '/api/buy-credits/small'], ['POST', '/api/buy-credits/medium'], ['GET', '/weather/lisbon']]) {
        const response = await withoutEffect(stack, () => call(url, target, { method, headers: { ...dress, ...more } }));
        assert.ok(response.status >= 400, `${method} ${target}: ${response.status} ${response.text}`);
        assert.doesNotMatch(response.text, /e402_test_/);
      }
    }
  }
  assert.deepEqual([(await creditsOf(url, key)).available, (await creditsOf(url, other)).available], [5, 1]);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
});

test('no key, another key, a changed key, a revoked key', async () => {
  const { key } = await buy(stack, url);
  const changed = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
  const renamed = key.replace('_test_', '_live_');
  for (const none of [changed, renamed, 'e402_test_', 'e402_x', `${key}0`, key.toUpperCase().replace('E402_TEST', 'e402_test')]) {
    const response = await withoutEffect(stack, () => spend(url, none));
    assert.equal(response.status, 401, `${none}: ${response.text}`);
    assert.equal(response.json().code, 'key_unknown');
    assert.match(response.headers['www-authenticate'], /^Bearer /);
  }
  const query = await withoutEffect(stack, () => call(url, `/weather/lisbon?key=${key}`));
  assert.equal(query.status, 402, 'a key in a URL is none');
  const both = await withoutEffect(stack, () => call(url, '/weather/lisbon', { headers: { ...bearer(key), 'X-PAYMENT': 'x' } }));
  assert.equal(both.status, 400);
  const rotated = await call(url, '/api/credits/rotate', { method: 'POST', headers: { ...bearer(key), 'idempotency-key': 'rotation-1' } });
  assert.equal(rotated.status, 200, rotated.text);
  const next = rotated.json().key;
  const old = await withoutEffect(stack, () => spend(url, key));
  assert.deepEqual([old.status, old.json().code], [403, 'key_revoked']);
  const repeated = await call(url, '/api/credits/rotate', { method: 'POST', headers: { ...bearer(key), 'idempotency-key': 'rotation-1' } });
  assert.equal(repeated.json().key, next, 'its answer was lost');
  const thief = await call(url, '/api/credits/rotate', { method: 'POST', headers: { ...bearer(key), 'idempotency-key': 'rotation-2' } });
  assert.equal(thief.status, 403);
  assert.equal((await spend(url, next)).status, 200);
  assert.equal((await call(url, '/api/credits/revoke', { method: 'POST', headers: bearer(next) })).status, 200);
  const revoked = await withoutEffect(stack, () => spend(url, next));
  assert.deepEqual([revoked.status, revoked.json().code], [403, 'key_revoked']);
  // Refused before any money moves.
  const buyer = await rich();
  const payment = await authorize(url, '/api/buy-credits/small', buyer, { method: 'POST' });
  for (const [bad, status] of [[next, 403], [changed, 401]]) {
    const response = await withoutEffect(stack, () =>
      call(url, '/api/buy-credits/small', { method: 'POST', headers: { ...payment.v2, ...bearer(bad) } }));
    assert.equal(response.status, status, response.text);
  }
  assert.equal((await call(url, '/api/buy-credits/small', { method: 'POST', headers: bearer(next) })).status, 403, 'never a 402');
  // The payment is as good as before.
  assert.equal((await call(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 })).status, 200);
});

test('a top-up that was owed when its key was revoked is delivered to its account, and to no other', async () => {
  const { key, account } = await buy(stack, url);
  const buyer = await rich();
  const payment = await authorize(url, '/api/buy-credits/small', buyer, { method: 'POST' });
  stack.proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  const ask = (more) => call(url, '/api/buy-credits/small', { method: 'POST', headers: { ...payment.v2, ...more } });
  assert.equal((await ask(bearer(key))).status, 503);
  stack.proxy.reset();
  assert.equal((await call(url, '/api/credits/revoke', { method: 'POST', headers: bearer(key) })).status, 200);
  const other = (await operator(url, { action: 'mint', credits: 1 })).json().key;
  const delivered = await until('the alarm has found out', async () => {
    for (const thief of [bearer(other), {}]) assert.ok([409, 503].includes((await ask(thief)).status));
    const now = await ask(bearer(key));
    return now.status === 200 && now;
  });
  assert.equal(delivered.json().account, account);
  assert.deepEqual([(await entriesOf(url, account)).balance, (await creditsOf(url, other)).available], [10, 1]);
  assert.equal((await ask(bearer(key))).status, 409);
});

test('a key never reaches the origin, on whatever path, and another bearer does', async () => {
  const { key } = await buy(stack, url);
  for (const [target, authorization, arrives] of [
    ['/weather/lisbon', `Bearer ${key}`, false], ['/free', `Bearer ${key}`, false], ['/free', `bearer ${key}`, false],
    ['/free', 'Bearer e402_test_nonsense', false], ['/free', 'Bearer theirs', true],
    ['/free', `Token ${key}`, false], ['/free', key, false], ['/free', `Bearer theirs, Bearer ${key}`, false],
  ]) {
    stack.origin.calls.length = 0;
    await call(url, target, { headers: { authorization } });
    assert.equal(stack.origin.calls.length, 1, target);
    assert.equal(stack.origin.calls[0].headers.authorization, arrives ? authorization : undefined, `${target} ${authorization}`);
  }
});

test('a client that hangs up has paid for what the origin answered, and locks nothing', async () => {
  const { key } = (await operator(url, { action: 'mint', credits: 2 })).json();
  for (const [target, available] of [['/status/500', 2], ['/weather/lisbon', 1]]) {
    const held = gate();
    stack.origin.gate = () => held.opened;
    const calls = stack.origin.calls.length;
    const leaving = prepare(url, target, { headers: bearer(key) });
    await leaving.ready;
    leaving.release();
    await until('the origin is asked', () => stack.origin.calls.length > calls);
    leaving.socket.resetAndDestroy();
    await sleep(200);
    stack.origin.gate = undefined;
    held.open();
    const shown = await until('it has ended', async () => {
      const now = await creditsOf(url, key);
      return now.held === 0 && now;
    }, 15);
    assert.equal(shown.available, available, target);
  }
});

test('an operator mints, tops up, refunds and revokes, each once', async () => {
  const order = { action: 'mint', credits: 7, note: 'order 4711' };
  const minted = await operator(url, order, 'order-4711');
  assert.equal(minted.status, 200, minted.text);
  const { key, account } = minted.json();
  assert.equal((await operator(url, order, 'order-4711')).json().key, key, 'the same order again');
  assert.equal((await operator(url, { ...order, credits: 8 }, 'order-4711')).json().code, 'idempotency_mismatch');
  assert.equal((await operator(url, { action: 'top_up', account, credits: 3 }, 'more')).json().available, 10);
  assert.equal((await operator(url, { action: 'top_up', account, credits: 3 }, 'more')).json().available, 10);
  assert.equal((await operator(url, { action: 'refund', account: key, credits: 11 }, 'too-much')).json().code, 'nothing_to_refund');
  assert.deepEqual((await operator(url, { action: 'refund', account: key, credits: 4 }, 'back')).json(), { account, refunded: 4, available: 6 });
  assert.deepEqual((await operator(url, { action: 'refund', account: key, credits: 4 }, 'back')).json().available, 6);
  const { entries, holds, balance } = await entriesOf(url, account);
  assert.deepEqual([entries.map(({ kind, credits }) => [kind, credits]), holds, balance], [[['refund', -4], ['minted', 3], ['minted', 7]], [], 6]);
  assert.equal((await operator(url, { action: 'revoke', account }, 'end')).json().revoked, true);
  assert.equal((await spend(url, key)).status, 403);
  for (const [bad, idempotency] of [[{ action: 'mint' }, 'a'], [{ action: 'mint', credits: 0 }, 'b'], [{ action: 'give', credits: 1 }, 'c'],
    [{ action: 'mint', credits: 1, extra: 1 }, 'd'], [{ action: 'top_up', credits: 1 }, 'e'], [{ action: 'mint', credits: 1 }, undefined],
    [{ action: 'mint', credits: 1, expires_at: 1 }, 'i'], [{ action: 'mint', credits: 1, expires_at: 2 ** 53 }, 'j'],
    [{ action: 'mint', credits: 1.5 }, 'f'], [{ action: 'mint', credits: -1 }, 'g'], ['nonsense', 'h']]) {
    const response = await operator(url, bad, idempotency ?? null);
    assert.equal(response.status, 400, `${JSON.stringify(bad)}: ${response.text}`);
  }
  assert.equal((await operator(url, { action: 'mint', credits: 1 }, 'a')).status, 200, 'a refused order does not use its Idempotency-Key up');
  assert.equal((await call(url, '/api/admin/creditsfoo', { method: 'POST', headers: bearer(ADMIN_TOKEN), body: '{}' })).status, 404);
  assert.equal((await call(url, '/api/admin/credits', { method: 'POST', headers: bearer(key), body: '{}' })).status, 401);
});

test('a purchase whose answer is lost is found by its identifier, and by nobody without', async () => {
  const buyer = await rich();
  const payment = await authorize(url, '/api/buy-credits/small', buyer, { method: 'POST' });
  const headers = withId(payment, newId());
  stack.proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  const lost = await call(url, '/api/buy-credits/small', { method: 'POST', headers });
  stack.proxy.reset();
  assert.equal(lost.status, 503, lost.text);
  const ask = (how) => call(url, '/api/buy-credits/small', { method: 'POST', headers: how });
  await until('the alarm has found out', async () => (await ask(payment.v2)).json().code === 'purchase_unclaimed');
  const found = await withoutEffect(stack, () => ask(headers));
  assert.equal(found.status, 200, found.text);
  assert.equal((await creditsOf(url, found.json().key)).available, 5);
  assert.equal((await ask(headers)).json().key, found.json().key);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  assert.equal((await ask(payment.v2)).status, 409);
});

