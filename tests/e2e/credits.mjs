// Packages, keys and what an operator can do with them, for the tests of prepaid credits.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { authorize, call } from './helpers.mjs';
import { ADMIN_TOKEN } from './identified.mjs';

export const PACKAGES = {
  small: { price: '$1', credits: 5 },
  medium: { price: '$5', credits: 30 },
  large: { price: '$20', credits: 150 },
};
export const SECRETS = { KEY_SECRET: 'the-secret-that-keys-are-made-with', ADMIN_TOKEN };

export const bearer = (key) => ({ authorization: `Bearer ${key}` });

/** A new wallet buys the small package. */
export async function buy(stack, url, { buyer, headers } = {}) {
  buyer ??= await stack.buyer(10_000_000n);
  const target = '/api/buy-credits/small';
  const payment = await authorize(url, target, buyer, { method: 'POST' });
  const response = await call(url, target, { method: 'POST', headers: { ...payment.v2, ...headers } });
  assert.equal(response.status, 200, response.text);
  return { ...response.json(), buyer, payment, response };
}

export const spend = (url, key, target = '/weather/lisbon') => call(url, target, { headers: bearer(key) });

/** What the holder of a key sees. */
export async function creditsOf(url, key) {
  const response = await call(url, '/api/credits', { headers: bearer(key) });
  assert.equal(response.status, 200, response.text);
  return response.json();
}

/** An operator's order. `idempotency` null sends none. */
export function operator(url, order, idempotency = randomBytes(8).toString('hex')) {
  const headers = { ...bearer(ADMIN_TOKEN), 'content-type': 'application/json', ...(idempotency && { 'idempotency-key': idempotency }) };
  return call(url, '/api/admin/credits', { method: 'POST', headers, body: typeof order === 'string' ? order : JSON.stringify(order) });
}

/** What an operator sees: entries, holds, balance. */
export async function entriesOf(url, account) {
  const response = await call(url, `/api/admin/credits/${account}`, { headers: bearer(ADMIN_TOKEN) });
  assert.equal(response.status, 200, response.text);
  return response.json();
}
