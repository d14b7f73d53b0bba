// `kill -9` of workerd while credits are held, bought or captured: nothing that was paid is lost, and nothing is had twice.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { bearer, buy, creditsOf, entriesOf, operator, PACKAGES, SECRETS, spend } from './credits.mjs';
import { authorize, call, prepare, startStack, until } from './helpers.mjs';
import { newId, withId } from './identified.mjs';
import { gate } from './points.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const HOLD_SECONDS = 11;
const stack = await startStack();
const ROUTES = { 'GET /weather/*': { price: '$0.001', timeout_seconds: 1 }, 'GET /slow': { price: '$0.001', timeout_seconds: 20 } };
// A short time-out, so that the alarm takes over soon.
const vars = stack.vars({ ROUTES, PACKAGES, FACILITATORS: [{ url: stack.proxy.url, timeout_seconds: 4 }] });
let worker = await startWorker({ vars, secrets: SECRETS });
after(stopEverything);
const restart = async (more) => {
  await worker.kill();
  worker = await startWorker({ vars: { ...vars, ...more }, secrets: SECRETS, persist: worker.persistPath });
};

test('a hold whose Worker died is back within its time, and is held until then', async () => {
  const { key } = (await operator(worker.url, { action: 'mint', credits: 1 })).json();
  const held = gate();
  stack.origin.gate = () => held.opened;
  const calls = stack.origin.calls.length;
  const dying = prepare(worker.url, '/weather/lisbon', { headers: bearer(key) });
  await dying.ready;
  dying.release();
  await until('the origin is asked', () => stack.origin.calls.length > calls);
  const began = Date.now();
  await restart();
  stack.origin.gate = undefined;
  held.open();
  await assert.rejects(dying.response);
  const shown = await creditsOf(worker.url, key);
  if (Date.now() - began < HOLD_SECONDS * 1000) assert.deepEqual([shown.available, shown.held], [0, 1], 'nobody has it yet');
  const back = await until('the alarm has released it', async () => {
    const now = await creditsOf(worker.url, key);
    return now.available === 1 && now;
  }, 60);
  assert.deepEqual([back.held, back.activity[0].outcome, back.calls, back.succeeded], [0, 'expired', 1, 0]);
  assert.equal((await spend(worker.url, key)).status, 200);
});

for (const [name, settles] of [
  ['while its settlement is held at the facilitator', false],
  ['after it has settled, before the answer is heard', true],
]) {
  test(`a purchase ${name}: one key, once paid`, async () => {
    const buyer = await stack.buyer(10_000_000n);
    const payment = await authorize(worker.url, '/api/buy-credits/small', buyer, { method: 'POST' });
    const headers = withId(payment, newId());
    const hit = gate();
    const dead = gate();
    stack.proxy.fault = async (path, body) => {
      if (path !== '/settle') return undefined;
      if (settles) {
        const headers = { 'content-type': 'application/json' };
        const settled = await fetch(`${stack.facilitator.url}/settle`, { method: 'POST', headers, body: JSON.stringify(body) });
        assert.equal((await settled.json()).success, true);
      }
      hit.open();
      await dead.opened;
      return { reset: true };
    };
    const dying = prepare(worker.url, '/api/buy-credits/small', { method: 'POST', headers });
    await dying.ready;
    dying.release();
    await hit.opened;
    // Meanwhile the operator has changed the package: what was bought is what was claimed.
    await restart({ PACKAGES: { small: { price: '$1', credits: 60 } } });
    stack.proxy.reset();
    dead.open();
    await assert.rejects(dying.response);
    const ask = () => call(worker.url, '/api/buy-credits/small', { method: 'POST', headers });
    const answer = await until('the alarm has brought it to an end', async () => {
      const now = await ask();
      assert.ok([200, 409, 503].includes(now.status), now.text);
      return now.status === 200 && now;
    }, 120);
    const { key } = answer.json();
    assert.deepEqual([(await ask()).json().key, (await creditsOf(worker.url, key)).available], [key, 5]);
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
    const { entries, balance } = await entriesOf(worker.url, key);
    assert.deepEqual([entries.length, balance], [1, 5]);
    await restart();
  });
}

test('a package that is gone is delivered to who has paid for it, and sold to nobody', async () => {
  const buyer = await stack.buyer(10_000_000n);
  const [paid, unpaid] = [await authorize(worker.url, '/api/buy-credits/small', buyer, { method: 'POST' }), await authorize(worker.url, '/api/buy-credits/small', buyer, { method: 'POST' })];
  const headers = withId(paid, newId());
  stack.proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  const ask = (how) => call(worker.url, '/api/buy-credits/small', { method: 'POST', headers: how });
  assert.equal((await ask(headers)).status, 503);
  stack.proxy.reset();
  await restart({ PACKAGES: { other: { price: '$1', credits: 60 } } });
  const found = await until('the alarm has found out', async () => {
    const now = await ask(headers);
    return now.status === 200 && now;
  }, 60);
  assert.equal((await creditsOf(worker.url, found.json().key)).available, 5);
  assert.equal((await ask(withId(paid, newId()))).status, 409);
  // Of the same price, and signed for what is gone.
  assert.equal((await ask(unpaid.v2)).status, 404);
  assert.equal((await ask({})).status, 404);
  assert.equal((await ask({ 'X-PAYMENT': 'nonsense' })).status, 404);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  await restart();
});

test('a key outlives its Worker, and so do its credits', async () => {
  const { key } = await buy(stack, worker.url);
  assert.equal((await spend(worker.url, key)).status, 200);
  await until('the capture', async () => (await creditsOf(worker.url, key)).held === 0);
  await restart();
  const shown = await creditsOf(worker.url, key);
  assert.deepEqual([shown.available, shown.calls, shown.succeeded], [4, 1, 1]);
});

test('KEY_SECRET can be rotated: old keys are read, and one payment still makes one key', async () => {
  const buyer = await stack.buyer(10_000_000n);
  const payment = await authorize(worker.url, '/api/buy-credits/small', buyer, { method: 'POST' });
  const headers = withId(payment, newId());
  const ask = () => call(worker.url, '/api/buy-credits/small', { method: 'POST', headers });
  const first = (await ask()).json();
  await worker.kill();
  const rotated = { ...SECRETS, KEY_SECRET: 'another-secret-that-keys-are-made-with', KEY_SECRET_PREVIOUS: SECRETS.KEY_SECRET };
  worker = await startWorker({ vars, secrets: rotated, persist: worker.persistPath });
  assert.equal((await spend(worker.url, first.key)).status, 200, 'the overlap');
  const again = (await ask()).json();
  assert.equal(again.account, first.account, 'one payment, one account');
  assert.notEqual(again.key, first.key, 'written with the new secret');
  await until('the capture', async () => (await creditsOf(worker.url, again.key)).available === 4);
  await worker.kill();
  worker = await startWorker({ vars, secrets: { ...rotated, KEY_SECRET_PREVIOUS: undefined }, persist: worker.persistPath });
  assert.equal((await spend(worker.url, first.key)).status, 401, 'the overlap is over');
  assert.equal((await spend(worker.url, again.key)).status, 200);
});
