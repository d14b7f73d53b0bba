// What was claimed stays claimed when the machine goes away: the same Durable Objects' storage under a new process.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  assertAnswered, assertNoAnswer, assertRefused, assertUnknown, authorize, call, prepare, startStack, until, withoutEffect,
} from './helpers.mjs';
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
let worker = await startWorker({ vars });
const { persistPath } = worker;
after(async () => {
  await worker.stop();
  await stack.stop();
});

async function restart(end) {
  await worker[end]();
  worker = await startWorker({ vars, persist: persistPath });
}
const ask = (path, headers) => call(worker.url, path, { headers });

for (const end of ['stop', 'kill']) {
  test(`what was answered is not answered again after ${end}`, async () => {
    const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
    assertAnswered(await ask('/weather/lisbon', payment.v2));
    await restart(end);
    for (const path of ['/weather/lisbon', '/echo']) {
      for (const headers of [payment.v2, payment.v1, payment.third]) {
        assertRefused(await withoutEffect(stack, () => ask(path, headers)), 409, 'payment_already_used');
      }
    }
  });
}

test('what was unknown is still unknown', async () => {
  const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
  proxy.fault = (path) => (path === '/settle' ? { status: 500, raw: '' } : undefined);
  assertUnknown(await ask('/weather/lisbon', payment.v2));
  proxy.fault = undefined;
  await restart('kill');
  assertUnknown(await withoutEffect(stack, () => ask('/weather/lisbon', payment.v2)));
});

for (const path of ['/weather/lisbon', '/weather/before/lisbon']) {
  test(`${path}: killed while the settlement was under way, the payment is not taken a second time`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, path, buyer);
    let landed = false;
    proxy.fault = async (at, body) => {
      if (at !== '/settle') return undefined;
      // It does land on chain, after the Worker has died.
      await until('the Worker dead', () => landed);
      return undefined;
    };
    const settles = proxy.count('/settle');
    const dying = prepare(worker.url, path, { headers: payment.v2 });
    await dying.ready;
    dying.release();
    await until('the settlement under way', () => proxy.count('/settle') > settles);
    await restart('kill');
    await assert.rejects(dying.response);
    landed = true;
    await until('the settlement on chain', () => chain.authorizationState(buyer.address, payment.nonce));
    proxy.fault = undefined;

    for (const target of [path, '/echo']) {
      const again = await withoutEffect(stack, () => ask(target, payment.v1));
      assert.ok([409, 503].includes(again.status), again.text);
      assertNoAnswer(again);
    }
    assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
  });
}

test('a claim whose request died at the origin is not held for ever, and was not charged', async () => {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, '/hang', buyer);
  const before = stack.origin.calls.length;
  const dying = prepare(worker.url, '/hang', { headers: payment.v2 });
  await dying.ready;
  dying.release();
  await until('the request at the origin', () => stack.origin.calls.length > before);
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
