// Money under load: many wallets at once, and a facilitator of whose settlements every fifth answer is lost after the
// money has moved. Whoever loses one sends the same payment again until it is answered, as the Worker tells him to. In
// the end receipts, chain and books hold the same sums, and nobody has paid twice for one answer.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import { assertNoAnswer, call, challengeOf, encode, now, receiptsOf, startStack, until } from './helpers.mjs';
import { privateKeyToAccount } from 'viem/accounts';
import { sign } from './stack/client.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

/** LOAD_CALLS=100 for a quick look. */
const CALLS = Number(process.env.LOAD_CALLS ?? 1_000);
const WALLETS = 50;
const AT_ONCE = 64;
const PRICE = 1_000n;
/** One in so many answers of the facilitator is lost. */
const LOST = 5;
const ADMIN_TOKEN = 'load-test-admin-token';
const ROUTES = {
  'GET /weather/after/*': '$0.001',
  'GET /weather/before/*': { price: '$0.001', settle: 'before' },
  // Room for all that one wallet buys: that it is bounded is another test's business.
  'GET /weather/deferred/*': { price: '$0.001', settle: 'deferred', max_exposure: '$1' },
};
const MODES = ['after', 'before', 'deferred'];

const stack = await startStack();
const worker = await startWorker({
  // With a node to ask, every receipt names its transaction: sums can be taken of what receipts show, not of how many.
  vars: stack.vars({ ROUTES, RPC: stack.chain.rpcUrl, FACILITATORS: [{ url: stack.proxy.url, timeout_seconds: 60 }] }),
  secrets: { ADMIN_TOKEN },
});
after(stopEverything);

/** The same fifth in every run that signs the same nonces: chosen by a hash, not by a die. */
const digest = (text) => createHash('sha256').update(text).digest();
const isUnlucky = (nonce) => digest(`lost ${nonce}`).readUInt32BE() % LOST === 0;

/** Loses the first answer about each unlucky payment, once the facilitator has really settled it. */
function loseAnswers(counts) {
  const lost = new Set();
  stack.proxy.fault = (path, body) => {
    const nonce = body?.paymentPayload?.payload?.authorization?.nonce;
    if (path !== '/settle' || !isUnlucky(nonce) || lost.has(nonce)) return undefined;
    lost.add(nonce);
    counts.lost += 1;
    // By turns, what a dying connection and a dying server look like.
    return { forward: true, ...(lost.size % 2 ? { reset: true } : { status: 502, raw: '<html>' }) };
  };
}

const wallets = Array.from({ length: WALLETS }, (_, at) => privateKeyToAccount(`0x${digest(`wallet ${at}`).toString('hex')}`));

/** So many at once, each one job after the other; none after one has failed. */
async function inTurns(jobs, atOnce, work) {
  const queue = jobs.values();
  let failed = false;
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const job of queue) {
      if (failed) return;
      try {
        await work(job, () => failed);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  }));
}

/** Pays once and asks until it is answered: with the same payment, and no sooner than told. */
async function buy(job, counts, over) {
  const { account, mode, path, requirement, nonce } = job;
  const signed = await sign(requirement, account, { nonce });
  const headers = { 'PAYMENT-SIGNATURE': encode({ x402Version: 2, payload: signed, accepted: requirement }) };
  for (;;) {
    const response = await call(worker.url, path, { headers });
    counts[response.status] = (counts[response.status] ?? 0) + 1;
    if (response.status === 200) {
      const receipt = receiptsOf(response).v2;
      assert.equal(receipt === undefined, mode === 'deferred', `${path}: a receipt is what says that money has moved`);
      if (receipt) assert.equal(receipt.success, true, path);
      Object.assign(job, { answers: job.answers + 1, receipt, headers });
      return;
    }
    // A fresh challenge, or a definite no, would make an honest buyer sign again, or go without what was paid for.
    assertNoAnswer(response);
    assert.ok([409, 503].includes(response.status), `${path}: ${response.status} ${response.text}`);
    assert.match(response.headers['retry-after'] ?? '', /^\d+$/, `${path}: ${response.text}`);
    assert.ok(now() < Number(signed.authorization.validBefore), `${path} was never answered: ${response.text}`);
    if (over()) return;
    job.asked += 1;
    await sleep(Number(response.headers['retry-after']) * 1_000);
  }
}

async function booksOf(account) {
  const response = await call(worker.url, `/api/admin/books/84532/${account.address}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  assert.equal(response.status, 200, response.text);
  return response.json().authorizations;
}

test(`${CALLS} paid calls of ${WALLETS} wallets while every fifth answer of the facilitator is lost`, async () => {
  const counts = { lost: 0 };
  const started = Date.now();
  const jobs = Array.from({ length: CALLS }, (_, at) => {
    const mode = MODES[at % MODES.length];
    const nonce = `0x${digest(`payment ${at}`).toString('hex')}`;
    return { account: wallets[at % WALLETS], mode, path: `/weather/${mode}/${at}`, nonce, answers: 0, asked: 0 };
  });
  await Promise.all(wallets.map(({ address }) => stack.chain.mint(address, 10n ** 6n)));
  for (const mode of MODES) {
    const { required } = await challengeOf(worker.url, `/weather/${mode}/price`);
    for (const job of jobs.filter((job) => job.mode === mode)) job.requirement = required.accepts[0];
  }
  loseAnswers(counts);
  const answered = () => jobs.filter(({ answers }) => answers > 0).length;
  const say = () => {
    const seconds = Math.round((Date.now() - started) / 1_000);
    // Not a diagnostic: those are shown when the test is over.
    console.log(`load: ${seconds} s, ${answered()} of ${CALLS} answered; ${JSON.stringify(counts)}`);
  };
  say();
  const progress = setInterval(say, 5_000);
  try {
    await inTurns(jobs, AT_ONCE, (job, over) => buy(job, counts, over));
    say();
    // What is deferred is collected in the background, its lost answers after a while.
    await until('everything settled', async () => {
      const open = (await Promise.all(wallets.map(booksOf))).flat().filter(({ state }) => state !== 'settled');
      return open.length === 0;
    }, 120);
    say();
  } finally {
    clearInterval(progress);
  }

  assert.ok(counts.lost > CALLS / LOST / 2, `${counts.lost} answers were lost: the test has not happened`);
  assert.ok(jobs.some(({ asked }) => asked > 0), 'nobody had to ask twice');
  assert.ok(jobs.every(({ answers }) => answers === 1), 'one answer for each payment');
  assert.equal(new Set(stack.origin.calls.map(({ url }) => url).filter((url) => !url.endsWith('/price'))).size, CALLS);

  // The chain: each wallet has paid for what it was answered, once.
  const transfers = await stack.chain.transfers({ to: stack.seller });
  const onChain = transfers.reduce((sum, { value }) => sum + value, 0n);
  assert.equal(onChain, PRICE * BigInt(CALLS), 'on chain');
  assert.equal(await stack.chain.balanceOf(stack.seller), onChain);
  for (const { address } of wallets) {
    const bought = jobs.filter(({ account }) => account.address === address);
    const paid = transfers.filter(({ from }) => from === address);
    assert.equal(paid.length, bought.length, `${address} has paid ${paid.length} times for ${bought.length} answers`);
    assert.ok(paid.every(({ value }) => value === PRICE));
  }

  // The books: the same, under the chain's own transactions.
  const moved = new Map(transfers.map(({ transactionHash, ...transfer }) => [transactionHash, transfer]));
  assert.equal(moved.size, CALLS);
  const books = (await Promise.all(wallets.map(booksOf))).flat();
  assert.ok(books.every(({ state, answered, payTo }) => state === 'settled' && answered && payTo === stack.seller));
  assert.equal(books.reduce((sum, { value }) => sum + BigInt(value), 0n), onChain, 'in the books');
  assert.deepEqual(new Set(books.map(({ transaction }) => transaction)), new Set(moved.keys()));
  for (const { payer, transaction } of books) assert.equal(moved.get(transaction).from, payer);

  // The receipts: what they show moved, and with what was deferred, of which there are none, it is the same sum.
  const receipts = jobs.filter(({ receipt }) => receipt);
  const shown = receipts.map(({ receipt }) => receipt.transaction);
  assert.equal(new Set(shown).size, receipts.length, 'one receipt for one transaction');
  for (const { receipt, account } of receipts) assert.equal(moved.get(receipt.transaction)?.from, account.address);
  const receipted = shown.reduce((sum, hash) => sum + moved.get(hash).value, 0n);
  const deferred = books.filter(({ mode }) => mode === 'deferred').reduce((sum, { value }) => sum + BigInt(value), 0n);
  assert.equal(receipts.length, jobs.filter(({ mode }) => mode !== 'deferred').length);
  assert.equal(receipted + deferred, onChain, 'in the receipts');

  // And nobody gets a second answer for the first price.
  await inTurns(jobs.filter((_, at) => at % 10 === 0), AT_ONCE, async ({ path, headers }) => {
    const again = await call(worker.url, path, { headers });
    assert.equal(again.status, 409, again.text);
    assertNoAnswer(again);
  });
});
