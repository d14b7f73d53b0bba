// The same requests before each of the official facilitators: TypeScript's, and Python's with and without its simulation in
// settle. They say the same things in other words, and fail at other moments; what a buyer, the seller and the books end
// with is the same.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { createWalletClient, http } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { PACKAGES, SECRETS } from './credits.mjs';
import { assertAnswered, assertNoAnswer, assertRefused, assertUnknown, atOnce, authorize, call, prepare, receiptsOf, startStack, until, USDC } from './helpers.mjs';
import { ADMIN_TOKEN, callsAbout, entryOf, faultsByPayer, untilBooked } from './payers.mjs';
import { sign } from './stack/client.mjs';
import { contracts } from './stack/contracts.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startFacilitatorProxy } from './stack/proxy.mjs';
import { startPythonFacilitator } from './stack/python-facilitator.mjs';
import { startWorker } from './stack/worker.mjs';

const ROUTES = {
  'GET /weather/*': '$0.001',
  'GET /weather/checked': { price: '$0.001', verify: 'facilitator' },
  'GET /weather/before': { price: '$0.001', settle: 'before' },
  'GET /weather/before-checked': { price: '$0.001', settle: 'before', verify: 'facilitator' },
  'GET /weather/deferred': { price: '$0.001', settle: 'deferred', max_exposure: '$0.01' },
};
const PATHS = ['/weather/lisbon', '/weather/checked', '/weather/before', '/weather/before-checked'];
const PACKAGE = '/api/buy-credits/small';

const stack = await startStack();
const { chain } = stack;
after(stopEverything);

const facilitators = {
  TypeScript: { ...stack.facilitator, address: chain.accounts.facilitator.address, simulates: false, estimates: true },
  'Python, that simulates': await python(true),
  'Python, that does not': await python(false),
};
async function python(simulates) {
  const started = await startPythonFacilitator({ chain, simulates });
  return { ...started, address: started.account.address, simulates, estimates: false };
}

/** A Worker before one of them, and what was seen of it there. */
async function before(facilitator) {
  const proxy = await startFacilitatorProxy({ target: facilitator.url });
  const vars = stack.vars({ ROUTES, PACKAGES, FACILITATORS: [{ url: proxy.url, timeout_seconds: 10 }] });
  const worker = await startWorker({ vars, secrets: { ...SECRETS, ADMIN_TOKEN } });
  return { worker, facilitator, stack: { ...stack, proxy }, faults: faultsByPayer(proxy) };
}

const ask = ({ worker }, path, headers) => call(worker.url, path, { headers, method: path === PACKAGE ? 'POST' : 'GET' });
const signed = ({ worker }, path, buyer) => authorize(worker.url, path, buyer, { method: path === PACKAGE ? 'POST' : 'GET' });
const settles = (at, buyer) => callsAbout(at.stack, buyer.address, '/settle').length;
const transfersOf = (buyer) => chain.transfers({ from: buyer.address });
const paidToSeller = async (buyer) => (await chain.transfers({ from: buyer.address, to: stack.seller })).reduce((sum, { value }) => sum + value, 0n);
/** How many transactions it has sent: what it broadcast, whether it failed or not. */
const sent = ({ facilitator }) => chain.client.getTransactionCount({ address: facilitator.address });

for (const [name, facilitator] of Object.entries(facilitators)) {
  const at = await before(facilitator);
  describe(name, () => {
    test('a call is settled in every dialect, before or after its answer, and once', async () => {
      for (const path of PATHS) {
        for (const dialect of ['v2', 'v1', 'third']) {
          const buyer = await stack.buyer();
          const payment = await signed(at, path, buyer);
          const response = await ask(at, path, payment[dialect]);
          assertAnswered(response);
          const receipt = receiptsOf(response)[dialect === 'v1' ? 'v1' : 'v2'];
          const [transfer, ...more] = await transfersOf(buyer);
          assert.deepEqual([receipt.success, receipt.transaction, more], [true, transfer.transactionHash, []]);
          assert.deepEqual([transfer.to, transfer.value], [stack.seller, 1000n]);
          assertRefused(await ask(at, path, payment[dialect]), 409, 'payment_already_used');
          const { state, evidence } = await entryOf(at.worker, buyer.address, payment.nonce);
          assert.deepEqual({ state, evidence }, { state: 'settled', evidence: 'told' });
        }
      }
    });

    test('one payment shown sixteen times at once buys one answer', async () => {
      const buyer = await stack.buyer();
      const payment = await signed(at, PATHS[0], buyer);
      const answers = await atOnce(Array.from({ length: 16 }, () => prepare(at.worker.url, PATHS[0], { headers: payment.v2 })));
      assert.equal(answers.filter(({ status }) => status === 200).length, 1);
      assert.equal(await paidToSeller(buyer), 1000n);
    });

    test('a deferred call is collected', async () => {
      const buyer = await stack.buyer();
      const payment = await signed(at, '/weather/deferred', buyer);
      assertAnswered(await ask(at, '/weather/deferred', payment.v2));
      await untilBooked(at.worker, buyer.address, payment.nonce, 'settled');
      assert.equal(await paidToSeller(buyer), 1000n);
    });

    test('an empty wallet gets 402 with the reason and at most one transaction fails for it', async () => {
      for (const path of [...PATHS, PACKAGE]) {
        const buyer = await stack.buyer(0n);
        const payment = await signed(at, path, buyer);
        const transactions = await sent(at);
        const response = await ask(at, path, payment.v2);
        const checked = path.endsWith('checked');
        const body = assertRefused(response, 402, checked ? 'payment_invalid' : 'payment_refused');
        assert.match(body.detail, /insufficient_balance/);
        const receipt = receiptsOf(response).v2;
        if (!checked) {
          const { success, errorReason, transaction } = receipt;
          assert.deepEqual({ success, errorReason, transaction }, { success: false, errorReason: body.detail, transaction: '' });
        }
        // One that neither simulates nor estimates finds out on the chain, once.
        const broadcast = !checked && !facilitator.simulates && !facilitator.estimates ? 1 : 0;
        assert.equal((await sent(at)) - transactions, broadcast);
        assert.equal(settles(at, buyer), checked ? 0 : 1);
        // Shown again, and left alone: nothing more is sent.
        assertRefused(await ask(at, path, payment.v2), 402, checked ? 'payment_invalid' : 'payment_refused');
        await sleep(3_000);
        assert.equal((await sent(at)) - transactions, broadcast);
      }
    });

    test('a wallet that is emptied after a deferred call costs at most one failed transaction while it is empty', async () => {
      const buyer = await stack.buyer(1000n);
      at.faults.set(buyer.address, (path) => (path === '/settle' ? { status: 429, raw: 'slow down', headers: { 'retry-after': '4' } } : undefined));
      const payment = await signed(at, '/weather/deferred', buyer);
      assertAnswered(await ask(at, '/weather/deferred', payment.v2));
      await transferAway(buyer, 1000n);
      at.faults.lift(buyer.address);
      const transactions = await sent(at);
      await untilBooked(at.worker, buyer.address, payment.nonce, 'failed');
      await sleep(8_000);
      assert.ok((await sent(at)) - transactions <= 1, 'it goes on failing on the chain');
      // It is still collected once there is money.
      await chain.mint(buyer.address, 1000n);
      await untilBooked(at.worker, buyer.address, payment.nonce, 'settled');
      assert.equal(await paidToSeller(buyer), 1000n);
    });

    test('an authorization that was spent elsewhere buys nothing', async () => {
      for (const path of [...PATHS, PACKAGE]) {
        const buyer = await stack.buyer(2_000_000n);
        const payment = await signed(at, path, buyer);
        const body = { x402Version: 2, paymentPayload: payment.json.v2, paymentRequirements: payment.requirement };
        const settled = await fetch(`${stack.facilitator.url}/settle`, { method: 'POST', body: JSON.stringify(body) });
        assert.equal((await settled.json()).success, true);
        for (const _ of 'ab') {
          const response = await ask(at, path, payment.v2);
          assertRefused(response, 409, 'payment_already_used');
          assert.equal(receiptsOf(response).v2, undefined);
        }
        assert.equal((await transfersOf(buyer)).length, 1);
      }
    });

    test('a package is bought, its key pays, and the same payment buys no second one', async () => {
      const buyer = await stack.buyer(2_000_000n);
      const payment = await signed(at, PACKAGE, buyer);
      const response = await ask(at, PACKAGE, payment.v2);
      assert.equal(response.status, 200, response.text);
      const { key, balance } = response.json();
      assert.equal(balance, 5);
      assert.equal((await call(at.worker.url, '/weather/lisbon', { headers: { authorization: `Bearer ${key}` } })).status, 200);
      assertRefused(await ask(at, PACKAGE, payment.v2), 409, ['payment_already_used', 'purchase_unclaimed']);
      assert.equal(await paidToSeller(buyer), 1_000_000n);
    });

    test('an answer of the facilitator that was lost is found out, and what was paid is delivered once', async () => {
      for (const path of [PATHS[0], '/weather/before']) {
        const buyer = await stack.buyer();
        const payment = await signed(at, path, buyer);
        at.faults.set(buyer.address, (where) => (where === '/settle' ? { forward: true, reset: true } : undefined));
        assertUnknown(await ask(at, path, payment.v2));
        at.faults.lift(buyer.address);
        await untilBooked(at.worker, buyer.address, payment.nonce, 'settled');
        assertAnswered(await ask(at, path, payment.v2));
        assertRefused(await ask(at, path, payment.v2), 409, 'payment_already_used');
        assert.equal(await paidToSeller(buyer), 1000n);
      }
    });

    // Last: no block is made for a while.
    for (const path of ['/weather/lisbon', '/weather/before', PACKAGE]) {
      test(`a payer who outbids the facilitator's transaction with another authorization of the same nonce gets nothing: ${path}`, async () => {
        const buyer = await stack.buyer(2_000_000n);
        const payment = await signed(at, path, buyer);
        const { result, reverted, wallet } = await outbid(at, path, buyer, payment);
        assertRefused(result, 409, 'payment_already_used');
        assert.ok(!JSON.stringify([receiptsOf(result), result.text]).includes(reverted), 'the receipt names the reverted transaction');
        assert.equal(receiptsOf(result).v2, undefined);
        // And not later either: the alarm has had its time.
        await sleep(5_000);
        for (const _ of 'ab') {
          const again = await ask(at, path, payment.v2);
          assertRefused(again, 409, 'payment_already_used');
          assertNoAnswer(again);
        }
        assert.equal((await entryOf(at.worker, buyer.address, payment.nonce)).state, 'spent');
        assert.equal(await paidToSeller(buyer), 0n);
        assert.ok((await chain.balanceOf(wallet)) > 0n, 'the thief has not got to it');
        assert.equal(settles(at, buyer), 1);
      });
    }
  });
}

/** The payer sends his money elsewhere, by an authorization that he hands in himself. */
async function transferAway(buyer, value) {
  const wallet = await rich();
  const to = privateKeyToAccount(generatePrivateKey()).address;
  const hash = await wallet.writeContract(transfer(await authorizationTo(buyer, to, value)));
  await chain.client.waitForTransactionReceipt({ hash });
}

/**
 * The payment is shown; once the facilitator's transaction waits for a block, the payer puts another before it that uses the
 * same nonce for a wallet of his own.
 */
async function outbid(at, path, buyer, payment) {
  const thief = await rich();
  const wallet = privateKeyToAccount(generatePrivateKey()).address;
  const value = BigInt(payment.signed.authorization.value);
  const theft = await authorizationTo(buyer, wallet, value, payment.nonce);
  await chain.client.setAutomine(false);
  await chain.client.setIntervalMining({ interval: 0 });
  try {
    const asked = ask(at, path, payment.v2);
    const waiting = await until('the facilitator has broadcast', async () => {
      const { pending } = await chain.client.getTxpoolContent();
      const mine = Object.entries(pending).find(([from]) => from.toLowerCase() === at.facilitator.address.toLowerCase());
      return mine && Object.values(mine[1])[0];
    });
    const price = BigInt(waiting.gasPrice ?? waiting.maxFeePerGas);
    await thief.writeContract({ ...transfer(theft), gas: 200_000n, maxFeePerGas: price * 100n, maxPriorityFeePerGas: price * 50n });
    await chain.client.mine({ blocks: 1 });
    const { status } = await chain.client.getTransactionReceipt({ hash: waiting.hash });
    assert.equal(status, 'reverted', 'the thief was not first');
    return { result: await asked, reverted: waiting.hash, wallet };
  } finally {
    await chain.client.setIntervalMining({ interval: 1 });
    await chain.client.setAutomine(true);
  }
}

async function rich() {
  const account = privateKeyToAccount(generatePrivateKey());
  await chain.client.setBalance({ address: account.address, value: 10n ** 20n });
  return createWalletClient({ account, chain: chain.chain, transport: http(chain.rpcUrl) });
}

async function authorizationTo(buyer, payTo, value, nonce) {
  const requirement = {
    payTo, amount: String(value), asset: USDC, network: `eip155:${chain.chain.id}`, maxTimeoutSeconds: 300, extra: { name: 'USDC', version: '2' },
  };
  return sign(requirement, buyer, nonce && { nonce });
}

function transfer({ authorization, signature }) {
  const { from, to, value, validAfter, validBefore, nonce } = authorization;
  const r = signature.slice(0, 66);
  const s = `0x${signature.slice(66, 130)}`;
  const v = Number.parseInt(signature.slice(130, 132), 16);
  return {
    address: USDC, abi: contracts().Usdc.abi, functionName: 'transferWithAuthorization',
    args: [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, v, r, s],
  };
}
