// What was claimed stays claimed when the machine goes away: the same Durable Objects' storage under a new process.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  assertAnswered, assertNoAnswer, assertRefused, assertUnknown, authorize, call, prepare, receiptsOf, startStack, until,
} from './helpers.mjs';
import {
  ADMIN_TOKEN, callsAbout, effectsFor, faultsByPayer, passesNothingOn, servedTo, untilBooked,
} from './payers.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { proxy, chain } = stack;
const vars = stack.vars({
  ROUTES: {
    'GET /weather/*': '$0.001',
    'GET /echo': '$0.001',
    'GET /weather/before/*': { price: '$0.001', settle: 'before' },
    'GET /hang': { price: '$0.001', timeout_seconds: 2 },
  },
  FACILITATORS: [{ url: proxy.url, timeout_seconds: 30 }],
});
const secrets = { ADMIN_TOKEN };
let worker = await startWorker({ vars, secrets });
const { persistPath } = worker;
const faults = faultsByPayer(proxy);
after(async () => {
  await worker.stop();
  await stack.stop();
});

async function restart(end) {
  await worker[end]();
  worker = await startWorker({ vars, secrets, persist: persistPath });
}
const ask = (path, headers) => call(worker.url, path, { headers });

for (const end of ['stop', 'kill']) {
  test(`what was answered is not answered again after ${end}`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, '/weather/lisbon', buyer);
    assertAnswered(await ask('/weather/lisbon', payment.v2));
    await restart(end);
    for (const path of ['/weather/lisbon', '/echo']) {
      for (const headers of [payment.v2, payment.v1, payment.third]) {
        const { result, calls, paid } = await effectsFor(stack, buyer.address, () => ask(path, headers));
        assertRefused(result, 409, 'payment_already_used');
        assert.deepEqual({ calls, paid }, { calls: { origin: 0, verify: 0, settle: 0 }, paid: 0n });
      }
    }
  });
}

test('what was unknown is still unknown, and the alarm of the next life brings it to its end', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/weather/lisbon', buyer);
  const again = () => ask('/weather/lisbon', payment.v2);
  faults.set(buyer.address, (path) => (path === '/settle' ? { status: 500, raw: '' } : undefined));
  assertUnknown(await again());
  await restart('kill');
  assertUnknown(await passesNothingOn(stack, buyer.address, again));
  faults.lift(buyer.address);
  await untilBooked(worker, buyer.address, payment.nonce, 'settled');
  const { result, calls } = await effectsFor(stack, buyer.address, again);
  assertAnswered(result);
  assert.equal(receiptsOf(result).v2.success, true);
  assert.deepEqual(calls, { origin: 1, verify: 0, settle: 0 });
  assertRefused(await passesNothingOn(stack, buyer.address, again), 409, 'payment_already_used');
  const [first, ...others] = callsAbout(stack, buyer.address, '/settle').map(({ body }) => body);
  for (const body of others) assert.deepEqual(body, first, 'sent again, but not the same');
  assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
});

for (const path of ['/weather/lisbon', '/weather/before/lisbon']) {
  test(`${path}: killed while the settlement was under way, the payment is not taken a second time`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    let landed = false;
    faults.set(buyer.address, async (at) => {
      if (at !== '/settle') return undefined;
      // It does land on chain, after the Worker has died.
      await until('the Worker dead', () => landed);
      return undefined;
    });
    const dying = prepare(worker.url, path, { headers: payment.v2 });
    await dying.ready;
    dying.release();
    await until('the settlement under way', () => callsAbout(stack, buyer.address, '/settle').length > 0);
    await restart('kill');
    await assert.rejects(dying.response);
    landed = true;
    await until('the settlement on chain', () => chain.authorizationState(buyer.address, payment.nonce));
    faults.lift(buyer.address);

    for (const target of [path, '/echo']) {
      const again = await passesNothingOn(stack, buyer.address, () => ask(target, payment.v1));
      assert.ok([409, 503].includes(again.status), again.text);
      assertNoAnswer(again);
    }
    assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
  });
}

test('a claim whose request died at the origin is not held for ever, and was not charged', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/hang', buyer);
  const dying = prepare(worker.url, '/hang', { headers: payment.v2 });
  await dying.ready;
  dying.release();
  await until('the request at the origin', () => servedTo(stack, buyer.address).length > 0);
  await restart('kill');
  await assert.rejects(dying.response);
  // The alarm that frees it comes after the route's time-out and ten seconds more; until then it is in flight.
  const freed = await until('the claim released', async () => {
    const again = await ask('/hang', payment.v2);
    if (again.status === 409) return void assertRefused(again, 409, 'payment_in_flight');
    return again;
  }, 60);
  assertRefused(freed, 504, 'origin_timeout');
  assert.equal((await chain.transfers({ from: buyer.address })).length, 0);
});
