// Holding payments at a point of their way: each test says, by payer, what becomes of the calls at the facilitator and at
// the origin, so that many can stand at points of their own when one Worker dies.

import assert from 'node:assert/strict';
import { assertRefused, assertUnknown, call, prepare, until } from './helpers.mjs';
import { sleep } from './stack/processes.mjs';

/** Of everything that is sold in these tests. */
export const PRICE = 1000n;
export const SECRETS = { ADMIN_TOKEN: 'a-token-for-the-books' };

/** What the books say of a payer: a list of authorizations. */
export async function booksOf(worker, payer) {
  const response = await call(worker.url, `/api/admin/books/84532/${payer}`, {
    headers: { Authorization: `Bearer ${SECRETS.ADMIN_TOKEN}` },
  });
  assert.equal(response.status, 200, response.text);
  return response.json().authorizations;
}

/** What they say of one payment; undefined where they know nothing of it. */
export async function entryOf(worker, payment) {
  const entries = await booksOf(worker, payment.signed.authorization.from);
  return entries.find(({ nonce }) => nonce === payment.nonce);
}

const nonceOf = (body) => body?.paymentPayload?.payload?.authorization?.nonce;

/** Has the proxy ask, for each call about a payment, what that payment's plan is: `(path, call number) => Fault`. */
export function planned(proxy) {
  const plans = new Map();
  const counts = new Map();
  proxy.fault = (path, body) => {
    const nonce = nonceOf(body);
    const plan = plans.get(nonce);
    if (!plan) return undefined;
    const key = `${nonce} ${path}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    return plan(path, counts.get(key));
  };
  return {
    set: (payment, plan) => plans.set(payment.nonce, plan),
    clear: (payment) => plans.delete(payment.nonce),
  };
}

/** What the facilitator was asked about a payment; under `path`, if that is given. */
export const callsOf = (proxy, payment, path) =>
  proxy.calls.filter((one) => nonceOf(one.body) === payment.nonce && (path === undefined || one.path === path));

/** A promise, and the way to end it. */
export function gate() {
  let open;
  const opened = new Promise((done) => (open = done));
  const one = { opened, isOpen: false, open: () => ((one.isOpen = true), open()) };
  return one;
}

/**
 * What is done with, and asserted of, one payment on its way over the death of its Worker: `{path, buyer, payment}`, each
 * with a path of its own.
 */
export function journeys(stack) {
  const { proxy, origin, chain } = stack;
  const ask = (worker, path, headers) => call(worker.url, path, { headers });
  const originCalls = (path) => origin.calls.filter(({ url }) => url === path).length;
  const transfersOf = (one) => chain.transfers({ from: one.buyer.address, to: stack.seller });

  /** Its first request. What it hears before the Worker dies is kept in `heard`. */
  async function setOff(scene, one) {
    const request = prepare(scene.worker.url, one.path, { headers: one.payment.v2 });
    await request.ready;
    request.release();
    one.heard = request.response.catch(() => undefined);
  }

  /** Asks again until there is an answer, or it is clear that there will be no other; meanwhile nobody may say "pay". */
  async function insist(worker, one, seconds = 120) {
    return until('an end of it', async () => {
      const response = await ask(worker, one.path, one.payment.v2);
      if (response.status === 200) return response;
      const { code } = response.json();
      if (code === 'payment_already_used') return response;
      if (response.status === 503) assertUnknown(response);
      else assertRefused(response, 409, 'payment_in_flight');
      return void await sleep(250);
    }, seconds);
  }

  /** In the books there is one settlement, on chain there is one transfer, and it is the same. */
  async function assertSettled(worker, one, evidence) {
    const entry = await until('settled in the books', async () => {
      const found = await entryOf(worker, one.payment);
      return found.state === 'settled' && found;
    }, 120);
    const transfers = await transfersOf(one);
    assert.deepEqual(transfers.map(({ value }) => value), [PRICE]);
    assert.equal(entry.value, String(PRICE));
    assert.equal(entry.againAt ?? null, null, 'nothing is left to try');
    if (evidence) assert.equal(entry.evidence, evidence);
    if (entry.evidence !== 'unproven') assert.equal(entry.transaction, transfers[0].transactionHash);
    return entry;
  }

  /** Nothing more is to be had for it, and nobody is asked again. */
  async function assertOver(worker, one) {
    const asked = () => [callsOf(proxy, one.payment).length, originCalls(one.path)];
    const before = asked();
    for (const headers of [one.payment.v2, one.payment.v1]) {
      assertRefused(await ask(worker, one.path, headers), 409, 'payment_already_used');
    }
    assert.deepEqual(asked(), before);
  }

  return { plans: planned(proxy), ask, originCalls, transfersOf, setOff, insist, assertSettled, assertOver };
}
