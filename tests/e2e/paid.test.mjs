// The main job: real clients pay a real chain through the Worker and get the origin's answer, for exactly the price.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { PaymentRequirementsSchema } from 'x402/types';
import {
  assertAnswered, assertRefused, authorize, call, challengeOf, effectsOf, NETWORK, receiptsOf, spellings, startStack, USDC,
  V1_NETWORK, withoutEffect,
} from './helpers.mjs';
import { payV1, payV2, sign } from './stack/client.mjs';
import { startFacilitatorProxy } from './stack/proxy.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { chain, origin, proxy, seller } = stack;
const till = privateKeyToAccount(generatePrivateKey()).address;
const ROUTES = {
  'GET /weather/*': { price: '$0.001', description: 'The weather of a city', mime_type: 'application/json' },
  'GET /weather/before/*': { price: '$0.002', settle: 'before' },
  'GET /weather/checked/*': { price: '$0.003', verify: 'facilitator' },
  'GET /weather/till/*': { price: '$0.004', pay_to: till },
  'GET /weather/dear/*': '$1.000001',
  'GET /weather/many/*': { price: '$0.001', networks: [NETWORK, 'eip155:8453', 'eip155:42161'] },
  'POST /echo': '$0.001',
};
const worker = await startWorker({ vars: stack.vars({ ROUTES }) });
// The real facilitator settles on one network and says so. This one gives no list: what is configured is offered then.
const listless = await startFacilitatorProxy({ target: proxy.url });
listless.fault = (at) => (at === '/supported' ? { status: 404, body: { error: 'not_found' } } : undefined);
const unlisted = await startWorker({ vars: stack.vars({ ROUTES, FACILITATORS: [{ url: listless.url }] }) });
// Others who want the same money: networks with and without a v1 name, and the body that v2-only readers take.
const many = await startWorker({
  vars: stack.vars({
    ROUTES,
    NETWORKS: [NETWORK, 'eip155:8453', 'eip155:42161'],
    FACILITATORS: [{ url: listless.url, headers: { 'X-Api-Key': 'key-of-the-operator' } }],
    CHALLENGE_BODY: 'v2',
  }),
});
after(async () => {
  await Promise.all([worker.stop(), unlisted.stop(), many.stop(), listless.stop()]);
  await stack.stop();
});
afterEach(() => proxy.reset());

/** The receipt names a transaction that is on the chain and holds exactly this transfer. */
async function assertOnChain(receipt, { network, payer, to = seller, value }) {
  assert.equal(receipt.success, true);
  assert.equal(receipt.network, network);
  assert.equal(receipt.payer.toLowerCase(), payer.toLowerCase());
  assert.match(receipt.transaction, /^0x[0-9a-f]{64}$/);
  const mined = await chain.client.getTransactionReceipt({ hash: receipt.transaction });
  assert.equal(mined.status, 'success');
  const transfers = await chain.transfers({ from: payer });
  assert.deepEqual(transfers.filter(({ transactionHash }) => transactionHash === receipt.transaction)
    .map(({ to, value }) => ({ to, value })), [{ to, value }]);
}

/** Pays by `pay(url, buyer)` and asserts everything that is true of any paid call; returns the receipts. */
async function assertPaidOnce(path, price, pay, { upfront = false, base = worker.url } = {}) {
  const buyer = await stack.buyer(1_000_000n);
  let originBeforeSettlement;
  proxy.fault = (at) => {
    if (at === '/settle') originBeforeSettlement = origin.calls.length;
    return undefined;
  };
  const before = origin.calls.length;
  const { result: response, calls, earned } = await effectsOf(stack, () => pay(`${base}${path}`, buyer));
  assert.equal(response.status, 200);
  const body = typeof response.text === 'function' ? await response.json() : response.json();
  assert.deepEqual(body, { city: path.split('/')[2] ?? '', sky: 'clear', celsius: 21 });
  assert.deepEqual({ origin: calls.origin, settle: calls.settle }, { origin: 1, settle: 1 });
  assert.equal(originBeforeSettlement - before, upfront ? 0 : 1, 'the order of origin and settlement');
  assert.equal(earned, price);
  assert.equal(await chain.balanceOf(buyer.address), 1_000_000n - price);
  const cacheControl = response.headers.get?.('cache-control') ?? response.headers['cache-control'];
  assert.match(cacheControl, /private/);
  assert.match(cacheControl, /no-store/);
  assert.equal(origin.calls.at(-1).headers['x-edge402-payer'].toLowerCase(), buyer.address.toLowerCase());
  return { receipts: receiptsOf(response), buyer, calls };
}

const flows = [['after', '/weather/lisbon', 1000n, false], ['before', '/weather/before/lisbon', 2000n, true]];
for (const [settle, path, price, upfront] of flows) {
  test(`@x402/fetch, settle ${settle}`, async () => {
    const { receipts, buyer } = await assertPaidOnce(path, price, payV2, { upfront });
    await assertOnChain(receipts.v2, { network: NETWORK, payer: buyer.address, value: price });
    assert.equal(receipts.v1, undefined);
  });

  test(`x402-fetch, settle ${settle}`, async () => {
    const { receipts, buyer } = await assertPaidOnce(path, price, payV1, { upfront });
    await assertOnChain(receipts.v1, { network: V1_NETWORK, payer: buyer.address, value: price });
    assert.equal(receipts.v2, undefined);
  });

  for (const name of ['third', 'thirdNamed']) {
    test(`the third dialect, network as ${name === 'third' ? 'CAIP-2' : 'v1 name'}, settle ${settle}`, async () => {
      const pay = async (url, buyer) => call(worker.url, path, { headers: (await authorize(worker.url, path, buyer))[name] });
      const { receipts, buyer } = await assertPaidOnce(path, price, pay, { upfront });
      await assertOnChain(receipts.v2, { network: NETWORK, payer: buyer.address, value: price });
      assert.equal(receipts.v1.success, true);
      assert.equal(receipts.v1.transaction, receipts.v2.transaction);
    });
  }
}

test('verify = "facilitator" asks once, "local" and "before" never', async () => {
  const checked = await assertPaidOnce('/weather/checked/lisbon', 3000n, payV2);
  assert.equal(checked.calls.verify, 1);
  for (const [, path, price, upfront] of flows) {
    assert.equal((await assertPaidOnce(path, price, payV2, { upfront })).calls.verify, 0, path);
  }
  const buyer = await stack.buyer();
  const init = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } };
  const { result, calls, earned } = await effectsOf(stack, () => payV2(`${worker.url}/echo`, buyer, { init }));
  assert.equal(result.status, 200);
  assert.match(await result.text(), /\n\{"a":1\}$/);
  // Other methods than GET may have effects that cannot be taken back: there the facilitator is asked.
  assert.deepEqual(calls, { origin: 1, verify: 1, settle: 1 });
  assert.equal(earned, 1000n);
});

test('the facilitator gets v1 for v1 and v2 for the rest', async () => {
  const path = '/weather/checked/lisbon';
  for (const [name, version, network] of [['v2', 2, NETWORK], ['v1', 1, V1_NETWORK], ['third', 2, NETWORK], ['thirdNamed', 2, NETWORK]]) {
    proxy.reset();
    const payment = await authorize(worker.url, path, await stack.buyer());
    assertAnswered(await call(worker.url, path, { headers: payment[name] }));
    assert.deepEqual(proxy.calls.map(({ path: at }) => at), ['/verify', '/settle']);
    for (const { body } of proxy.calls) {
      assert.equal(body.x402Version, version, name);
      assert.equal(body.paymentPayload.x402Version, version, name);
      assert.equal(body.paymentRequirements.network, network, name);
      assert.equal(body.paymentRequirements.amount ?? body.paymentRequirements.maxAmountRequired, '3000');
    }
  }
});

test('the price is exact to the last atom, and a route may have a till of its own', async () => {
  const buyer = await stack.buyer(5_000_000n);
  const dear = await payV2(`${worker.url}/weather/dear/x`, buyer, { spend: '$2' });
  assert.equal(dear.status, 200);
  assert.equal(await chain.balanceOf(buyer.address), 5_000_000n - 1_000_001n);
  const other = await payV2(`${worker.url}/weather/till/x`, buyer);
  await assertOnChain(other.receipt, { network: NETWORK, payer: buyer.address, to: till, value: 4000n });
  assert.equal(await chain.balanceOf(till), 4000n);
  // A payment to the till is none to the house, nor the other way round.
  const house = (await challengeOf(worker.url, '/weather/till/x')).required.accepts[0];
  const misdirected = spellings(house, await sign(house, buyer, { to: seller }));
  assertRefused(await withoutEffect(stack, () => call(worker.url, '/weather/till/x', { headers: misdirected.v1 })), 402, 'wrong_recipient');
});

test('two payments are two answers', async () => {
  const buyer = await stack.buyer();
  const first = await payV2(`${worker.url}/weather/lisbon`, buyer);
  const second = await payV2(`${worker.url}/weather/lisbon`, buyer);
  assert.notEqual(first.receipt.transaction, second.receipt.transaction);
  assert.equal((await chain.transfers({ from: buyer.address, to: seller })).length, 2);
});

test('the challenge, as both versions read it', async () => {
  const { response, required, body } = await withoutEffect(stack, () => challengeOf(worker.url, '/weather/lisbon?days=3'));
  assert.match(response.headers['content-type'], /^application\/json/);
  assert.match(response.headers['cache-control'], /no-store/);
  // Some intermediaries drop header values beyond this.
  assert.ok(response.headers['payment-required'].length < 2048);

  assert.equal(required.x402Version, 2);
  assert.equal(required.resource.url, `${worker.url}/weather/lisbon?days=3`);
  assert.equal(required.resource.description, 'The weather of a city');
  assert.equal(required.resource.mimeType, 'application/json');
  assert.equal(required.accepts.length, 1);
  const [{ maxTimeoutSeconds, ...entry }] = required.accepts;
  assert.deepEqual(entry, { scheme: 'exact', network: NETWORK, amount: '1000', asset: USDC, payTo: seller, extra: { name: 'USDC', version: '2' } });
  // An authorization signed for it must outlive the origin's time-out and the settlement.
  assert.ok(Number.isInteger(maxTimeoutSeconds) && maxTimeoutSeconds > 60);

  assert.equal(body.x402Version, 1);
  assert.equal(typeof body.error, 'string');
  assert.equal(body.code, 'payment_required');
  assert.equal(body.status, 402);
  assert.equal(body.accepts.length, 1);
  const [v1] = body.accepts;
  PaymentRequirementsSchema.parse(v1);
  assert.equal(v1.network, V1_NETWORK);
  assert.equal(v1.maxAmountRequired, '1000');
  // Byte for byte: the v1 client does not know USDC by any other spelling.
  assert.equal(v1.asset, USDC);
  assert.equal(v1.payTo, seller);
  assert.equal(v1.resource, `${worker.url}/weather/lisbon?days=3`);
  assert.equal(v1.maxTimeoutSeconds, maxTimeoutSeconds);
});

test('a route that settles first says so', async () => {
  const { required } = await challengeOf(worker.url, '/weather/before/x');
  assert.equal(required.accepts[0].extra.paymentFlow, 'upfront');
  const after = await challengeOf(worker.url, '/weather/x');
  assert.ok([undefined, 'authorization'].includes(after.required.accepts[0].extra.paymentFlow));
  // With an edit of the flow the buyer would promise what the route does not do.
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/before/x', buyer);
  const { extra, ...rest } = payment.requirement;
  const flat = { ...rest, extra: { name: extra.name, version: extra.version } };
  const response = await withoutEffect(stack, () => call(worker.url, '/weather/before/x', { headers: spellings(flat, payment.signed).v2 }));
  assertRefused(response, 402, 'accepted_mismatch');
});

test('the same challenge for everyone, whatever they ask it with', async () => {
  const { required } = await challengeOf(worker.url, '/weather/lisbon');
  for (const headers of [{ Accept: 'text/html', 'User-Agent': 'curl/8' }, { Accept: '*/*' }, { Authorization: 'Basic eDp5' }]) {
    assert.deepEqual((await challengeOf(worker.url, '/weather/lisbon', { headers })).required.accepts, required.accepts);
  }
  // A probe without a body learns the price before anything is asked of its body.
  assert.equal((await challengeOf(worker.url, '/echo', { method: 'POST' })).required.accepts[0].amount, '1000');
});

test('several networks, and the v2 body', async () => {
  const { required, body } = await challengeOf(many.url, '/weather/lisbon');
  const registry = {
    'eip155:84532': [USDC, 'USDC'],
    'eip155:8453': ['0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913', 'USD Coin'],
    'eip155:42161': ['0xaf88d065e77c8cC2239327C5EDb3A432268e5831', 'USD Coin'],
  };
  const offered = ({ accepts }) => accepts.map(({ network, asset, extra }) => [network, [asset, extra.name]]);
  assert.deepEqual(Object.fromEntries(offered(required)), registry);
  assert.equal(required.accepts[0].network, NETWORK);
  assert.equal(body.x402Version, 2);
  assert.deepEqual(Object.fromEntries(offered(body)), registry);
  for (const entry of body.accepts) {
    assert.equal(entry.amount, '1000');
    assert.equal(entry.maxAmountRequired, '1000');
  }
  const urls = [body.facilitatorUrl, ...body.accepts.map(({ facilitatorUrl }) => facilitatorUrl)].filter(Boolean);
  assert.ok(urls.length > 0 && urls.every((url) => url.replace(/\/$/, '') === listless.url), `facilitatorUrl: ${urls}`);

  const official = await assertPaidOnce('/weather/lisbon', 1000n, payV2, { base: many.url });
  assert.ok(listless.calls.length > 0 && listless.calls.every(({ headers }) => headers['x-api-key'] === 'key-of-the-operator'));
  assert.doesNotMatch(JSON.stringify([required, body, origin.calls.at(-1).headers]), /key-of-the-operator/);
  await assertOnChain(official.receipts.v2, { network: NETWORK, payer: official.buyer.address, value: 1000n });
  // A client that reads the body takes its entry from there.
  const pay = async (url, buyer) => {
    const signed = await sign(body.accepts[0], buyer);
    return call(many.url, '/weather/lisbon', { headers: spellings(body.accepts[0], signed).third });
  };
  await assertPaidOnce('/weather/lisbon', 1000n, pay, { base: many.url });
});

test('a network that the facilitator does not list is not on offer', async () => {
  const { required, body } = await challengeOf(worker.url, '/weather/many/x');
  assert.deepEqual(required.accepts.map(({ network }) => network), [NETWORK]);
  assert.deepEqual(body.accepts.map(({ network }) => network), [V1_NETWORK]);
  await assertPaidOnce('/weather/many', 1000n, payV2);
});

test('a network that v1 has no name for is not in the v1 body', async () => {
  const { required, body } = await challengeOf(unlisted.url, '/weather/many/x');
  assert.deepEqual(required.accepts.map(({ network }) => network), [NETWORK, 'eip155:8453', 'eip155:42161']);
  // One entry that the strict client cannot read, and it reads none.
  assert.deepEqual(body.accepts.map(({ network }) => network), [V1_NETWORK, 'base']);
  for (const entry of body.accepts) PaymentRequirementsSchema.parse(entry);
  await assertPaidOnce('/weather/many', 1000n, payV1, { base: unlisted.url });
});

test('money of one network is none on another', async () => {
  const buyer = await stack.buyer();
  const { required } = await challengeOf(many.url, '/weather/checked/x');
  const [sepolia, base, arbitrum] = required.accepts;
  const signed = await sign(sepolia, buyer);
  for (const requirement of [base, arbitrum]) {
    // The right amount to the right address, but signed for play money and shown as real money.
    const { v2 } = spellings(requirement, signed);
    const { result, earned } = await effectsOf(stack, () => call(many.url, '/weather/checked/x', { headers: v2 }));
    assert.ok([402, 503].includes(result.status), result.text);
    assert.doesNotMatch(result.text, /celsius/);
    assert.equal(earned, 0n);
    const mixed = { ...sepolia, network: requirement.network };
    const half = await withoutEffect(stack, () => call(many.url, '/weather/checked/x', { headers: spellings(mixed, signed).v2 }));
    assertRefused(half, 402, ['wrong_asset', 'wrong_network']);
  }
  // Whatever was tried with it, the nonce is still its owner's on the network it was signed for.
  assertAnswered(await call(many.url, '/weather/checked/x', { headers: spellings(sepolia, signed).v2 }));
});
