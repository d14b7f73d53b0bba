// One payer's part of what happens. An unknown settlement is brought to its end in the background, so that a call that
// is counted in one test may be about the payment of another; who pays is in every call.

import assert from 'node:assert/strict';
import { call, until } from './helpers.mjs';

/** Opens the books: a secret of the Workers that are asked for them. */
export const ADMIN_TOKEN = 'the-operators-own-token';

/** Who pays, of a call to the facilitator; undefined where nobody does. */
export const payerIn = (body) => body?.paymentPayload?.payload?.authorization?.from?.toLowerCase();

/**
 * Faults that hit one payer's calls and last until they are lifted.
 * @param {{fault: any}} proxy
 */
export function faultsByPayer(proxy) {
  const faults = new Map();
  proxy.fault = (path, body) => faults.get(payerIn(body))?.(path, body);
  return {
    /** `fault(path, body)` for every call about this payer, as `proxy.fault` is for all. */
    set: (payer, fault) => void faults.set(payer.toLowerCase(), fault),
    lift: (payer) => void faults.delete(payer.toLowerCase()),
  };
}

/** What the facilitator was asked about one payer, in the order in which it was asked. */
export const callsAbout = ({ proxy }, payer, path) =>
  proxy.calls.filter((call) => call.path === path && payerIn(call.body) === payer.toLowerCase());

/** What the origin was asked for one payer. */
export const servedTo = ({ origin }, payer) =>
  origin.calls.filter(({ headers }) => headers['x-edge402-payer']?.toLowerCase() === payer.toLowerCase());

/** Runs `act` and says what it cost the others on account of this payer: calls, and atoms that the payer has paid. */
export async function effectsFor(stack, payer, act) {
  const count = async () => ({
    origin: servedTo(stack, payer).length,
    verify: callsAbout(stack, payer, '/verify').length,
    settle: callsAbout(stack, payer, '/settle').length,
    paid: await paidBy(stack, payer),
  });
  const before = await count();
  const result = await act();
  const after = await count();
  const { paid, ...calls } = Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));
  return { result, calls, paid };
}

/**
 * `act` must not be passed on for this payer. Whether the settlement is sent meanwhile is the alarm's business: that is
 * the same authorization, and moves its money once.
 */
export async function passesNothingOn(stack, payer, act) {
  const { result, calls } = await effectsFor(stack, payer, act);
  assert.deepEqual({ origin: calls.origin, verify: calls.verify }, { origin: 0, verify: 0 }, 'somebody was called');
  return result;
}

/** What a payer has paid to the seller, in atoms. */
export async function paidBy(stack, payer) {
  const transfers = await stack.chain.transfers({ from: payer, to: stack.seller });
  return transfers.reduce((sum, { value }) => sum + value, 0n);
}

/** A payer's books, as the operator reads them; the Worker's `ADMIN_TOKEN` is ours. */
export async function booksOf(worker, payer) {
  const path = `/api/admin/books/84532/${payer}`;
  const response = await call(worker.url, path, { headers: { Authorization: `Bearer ${ADMIN_TOKEN}` } });
  assert.equal(response.status, 200, response.text);
  return response.json().authorizations;
}

/** One payment's entry in the books; undefined before it is claimed. */
export async function entryOf(worker, payer, nonce) {
  const entries = await booksOf(worker, payer);
  return entries.find((entry) => entry.nonce.toLowerCase() === nonce.toLowerCase());
}

/** Waits until a payment stands so in the books; returns the entry. */
export async function untilBooked(worker, payer, nonce, state) {
  let entry;
  try {
    return await until(`${state} in the books`, async () => {
      entry = await entryOf(worker, payer, nonce);
      return entry?.state === state && entry;
    });
  } catch (cause) {
    throw new Error(`the books never said ${state}, but ${JSON.stringify(entry)}`, { cause });
  }
}
