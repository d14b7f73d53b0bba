// The wallet as the account: with sign-in-with-x it spends what it has bought, by the official client with its extension and
// no code of its own, and nobody else spends it.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { createSIWxClientExtension, createSIWxMessage, encodeSIWxHeader } from '@x402/extensions/sign-in-with-x';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { bearer, buy, creditsOf, operator, PACKAGES, SECRETS, spend } from './credits.mjs';
import { authorize, call, challengeOf, decode, effectsOf, encode, startStack, until, withoutEffect } from './helpers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const ROUTES = { '/weather/*': '$0.001', 'GET /other/*': '$0.001' };
const vars = stack.vars({ ROUTES, PACKAGES });
const worker = await startWorker({ vars, secrets: SECRETS });
after(stopEverything);
const { url } = worker;
const HEADER = 'SIGN-IN-WITH-X';

/** What a challenge (or the 401 of /api/credits) asks a wallet to sign. */
async function asked(target, { method = 'GET', base = url } = {}) {
  const response = await call(base, target, { method });
  const { extensions } = response.status === 402 ? decode(response.headers['payment-required']) : response.json();
  return extensions['sign-in-with-x'];
}

/** A header signed by a wallet, with any of its fields changed before or after signing. */
async function signIn(account, target, { method, base, before = {}, after: afterwards = {}, chainId = 'eip155:84532' } = {}) {
  const { info } = await asked(target, { method, base });
  const signed = { ...info, ...before, chainId, type: 'eip191' };
  const message = createSIWxMessage(signed, account.address);
  const signature = await account.signMessage({ message });
  return { [HEADER]: encodeSIWxHeader({ ...signed, address: account.address, signature, ...afterwards }) };
}

const balanceOf = async (key) => (await until('nothing is held', async () => {
  const shown = await creditsOf(url, key);
  return shown.held === 0 && shown;
})).available;

test('the official client with its extension buys, then spends, and pays when it is all spent', async () => {
  const account = await stack.buyer(10_000_000n);
  const client = new x402Client().register('eip155:*', new ExactEvmScheme(account)).registerExtension(createSIWxClientExtension({ signers: [account] }));
  const pay = wrapFetchWithPayment(fetch, client);
  const bought = await pay(`${url}/api/buy-credits/small`, { method: 'POST' });
  assert.equal(bought.status, 200, await bought.clone().text());
  const { key } = await bought.json();
  for (let left = 4; left >= 0; left -= 1) {
    const { result, earned, calls } = await effectsOf(stack, () => pay(`${url}/weather/lisbon?day=1`));
    assert.equal(result.status, 200);
    assert.deepEqual([result.headers.get('x-credits-charged'), result.headers.get('x-credits-remaining')], ['1', String(left)]);
    assert.deepEqual([earned, calls], [0n, { origin: 1, verify: 0, settle: 0 }], 'no money moves for a credit');
    assert.equal(stack.origin.calls.at(-1).headers['sign-in-with-x'], undefined);
    assert.equal(stack.origin.calls.at(-1).headers['x-edge402-payer'], account.address);
  }
  assert.equal(await balanceOf(key), 0);
  const { result, earned } = await effectsOf(stack, () => pay(`${url}/weather/lisbon`));
  assert.deepEqual([result.status, earned], [200, 1000n], 'there is nothing left: it pays for the call');
});

test('a sign-in is good once, for its method, path, domain, chain and wallet', async () => {
  const { key, buyer } = await buy(stack, url);
  const used = await signIn(buyer, '/weather/lisbon');
  assert.equal((await call(url, '/weather/lisbon', { headers: used })).status, 200);
  const thief = privateKeyToAccount(generatePrivateKey());
  const { port } = new URL(url);
  const other = await startWorker({ vars, secrets: { ...SECRETS, KEY_SECRET: 'another-secret-that-issues-nonces' } });
  const fresh = (how) => signIn(buyer, '/weather/lisbon', how);
  const refused = [
    ['used before', '/weather/lisbon', used, 'invalid_siwx_nonce'],
    ['for another path', '/weather/porto', await fresh()],
    ['for another query', '/weather/lisbon?x=1', await fresh()],
    ['for another route', '/other/lisbon', await fresh()],
    ['for another method', '/weather/lisbon', await fresh({ method: 'POST' })],
    ['issued by somebody else', '/weather/lisbon', await fresh({ base: other.url, before: { domain: `127.0.0.1:${port}`, uri: `${url}/weather/lisbon`, resources: [`${url}/weather/lisbon`] } }), 'invalid_siwx_nonce'],
    ['of the wallet\'s own making', '/weather/lisbon', await fresh({ before: { nonce: '0123456789abcdef0123456789abcdef' } }), 'invalid_siwx_nonce'],
    ['for another domain', '/weather/lisbon', await fresh({ before: { domain: 'evil.example' } }), 'invalid_siwx_domain_mismatch'],
    ['for another chain', '/weather/lisbon', await fresh({ chainId: 'eip155:8453' }), 'invalid_siwx_unsupported_chain'],
    ['too old', '/weather/lisbon', await fresh({ before: { issuedAt: '2026-01-01T00:00:00.000Z' } }), 'invalid_siwx_issued_at_too_old'],
    ['another wallet\'s that names the buyer', '/weather/lisbon', await signIn(thief, '/weather/lisbon', { after: { address: buyer.address } }), 'invalid_siwx_signature'],
    ['a wallet that bought nothing', '/weather/lisbon', await signIn(thief, '/weather/lisbon'), 'this call costs'],
    ['nothing', '/weather/lisbon', { [HEADER]: encode({}) }],
    ['no base64', '/weather/lisbon', { [HEADER]: '{}' }],
  ];
  for (const [what, target, headers, detail = 'invalid_siwx'] of refused) {
    const response = await withoutEffect(stack, () => call(url, target, { headers }));
    assert.equal(response.status, 402, `${what}: ${response.status} ${response.text}`);
    assert.ok(response.headers['payment-required'], what);
    assert.match(response.json().detail, new RegExp(detail), what);
  }
  assert.equal(await balanceOf(key), 4);
  const both = await withoutEffect(stack, async () => call(url, '/weather/lisbon', { headers: { ...(await fresh()), ...bearer(key) } }));
  assert.equal(both.status, 400);
});

test('32 copies of one sign-in at once: one call', async () => {
  const { buyer, key } = await buy(stack, url);
  const headers = await signIn(buyer, '/weather/lisbon');
  const { result, calls } = await effectsOf(stack, () => Promise.all(Array.from({ length: 32 }, () => call(url, '/weather/lisbon', { headers }))));
  assert.deepEqual([calls.origin, result.filter(({ status }) => status === 200).length], [1, 1]);
  assert.equal(await balanceOf(key), 4);
});

test('who tops up somebody else\'s key has bought nothing for itself', async () => {
  const { key } = await buy(stack, url);
  const friend = await stack.buyer(10_000_000n);
  const payment = await authorize(url, '/api/buy-credits/small', friend, { method: 'POST' });
  const topped = await call(url, '/api/buy-credits/small', { method: 'POST', headers: { ...payment.v2, ...bearer(key) } });
  assert.deepEqual([topped.status, topped.json().available], [200, 10], topped.text);
  const response = await withoutEffect(stack, async () => call(url, '/weather/lisbon', { headers: await signIn(friend, '/weather/lisbon') }));
  assert.equal(response.status, 402);
  const listed = await call(url, '/api/credits', { headers: await signIn(friend, '/api/credits') });
  assert.deepEqual(listed.json().accounts, []);
});

test('a purchase whose answer is lost is in the wallet\'s account, and its key with it', async () => {
  const buyer = await stack.buyer(10_000_000n);
  const payment = await authorize(url, '/api/buy-credits/small', buyer, { method: 'POST' });
  stack.proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  const lost = await call(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 });
  stack.proxy.reset();
  assert.equal(lost.status, 503, lost.text);
  await until('the alarm has found out', async () =>
    (await call(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 })).json().code === 'purchase_unclaimed');
  const call1 = await call(url, '/weather/lisbon', { headers: await signIn(buyer, '/weather/lisbon') });
  assert.deepEqual([call1.status, call1.headers['x-credits-remaining']], [200, '4'], call1.text);
  const listed = await call(url, '/api/credits', { headers: await signIn(buyer, '/api/credits') });
  assert.equal(listed.status, 200, listed.text);
  const [{ key, purchases }] = listed.json().accounts;
  assert.equal(listed.json().accounts.length, 1);
  assert.equal(purchases.length, 1);
  assert.equal((await spend(url, key)).status, 200);
  assert.equal(await balanceOf(key), 3);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
});

test('what is owed is found also by a wallet whose other account is spent', async () => {
  const { key, buyer } = await buy(stack, url);
  for (let left = 5; left > 0; left -= 1) assert.equal((await spend(url, key)).status, 200);
  const payment = await authorize(url, '/api/buy-credits/small', buyer, { method: 'POST' });
  stack.proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  assert.equal((await call(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 })).status, 503);
  stack.proxy.reset();
  await until('the alarm has found out', async () =>
    (await call(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 })).json().code === 'purchase_unclaimed');
  for (const left of ['4', '3']) {
    const response = await call(url, '/weather/lisbon', { headers: await signIn(buyer, '/weather/lisbon') });
    assert.deepEqual([response.status, response.headers['x-credits-remaining']], [200, left], response.text);
  }
});

test('/api/credits without a key tells a wallet how to sign in, and a challenge does where credits are taken', async () => {
  const response = await call(url, '/api/credits');
  assert.deepEqual([response.status, response.json().code], [401, 'sign_in_required']);
  const { required } = await challengeOf(url, '/weather/lisbon');
  const { info, supportedChains } = required.extensions['sign-in-with-x'];
  assert.deepEqual(supportedChains, [{ chainId: 'eip155:84532', type: 'eip191' }]);
  assert.equal(info.uri, `${url}/weather/lisbon`);
  assert.notEqual((await asked('/weather/lisbon')).info.nonce, info.nonce);
});

test('an operator\'s own keys belong to no wallet', async () => {
  const { key } = (await operator(url, { action: 'mint', credits: 2 })).json();
  assert.equal((await spend(url, key)).status, 200);
});
