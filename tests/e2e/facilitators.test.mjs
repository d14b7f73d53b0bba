// Several facilitators: what each says that it settles decides what is offered, and the list of it holds up nobody.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { ExactEvmSchemeV1 } from '@x402/evm/exact/v1/client';
import { assertAnswered, assertRefused, atOnce, authorize, call, NETWORK, now, prepare, until, V1_NETWORK } from './helpers.mjs';
import { payV1 } from './stack/client.mjs';
import { CHECKED, kind, lists, on, PATH, startSeveral, V1, V2 } from './several.mjs';
import { stopEverything } from './stack/processes.mjs';

const { facilitator, workerWith, offered, payment, transfersOf, stack } = await startSeveral();
after(stopEverything);
const get = (worker, path, headers) => call(worker.url, path, { headers });

for (const [name, kinds, offer] of [
  ['both versions', [V1, V2], { v2: 1, v1: 1 }],
  ['version 1 alone', [V1], { v2: 0, v1: 1 }],
  ['version 2 alone', [V2], { v2: 1, v1: 0 }],
  ['version 1 under a CAIP-2 name', [kind(1, NETWORK)], { v2: 0, v1: 1 }],
  ['ours among others', [kind(2, 'eip155:8453'), kind(2, 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'), 7, null, {}, V2], { v2: 1, v1: 0 }],
]) {
  test(`a facilitator that lists ${name} has that offered, and is paid by it`, async () => {
    const first = await facilitator(lists(...kinds));
    const worker = await workerWith([first]);
    assert.deepEqual(await offered(worker), offer);
    const paid = await payment();
    assertAnswered(await get(worker, PATH, offer.v2 ? paid.v2 : paid.v1));
    assert.equal(first.calls.at(-1).body.x402Version, offer.v2 ? 2 : 1);
    assert.equal(await transfersOf(paid), 1);
    await Promise.all([worker.stop(), first.stop()]);
  });
}

test('the official clients of both versions pay where version 1 alone is settled', async () => {
  const first = await facilitator(lists(V1));
  const worker = await workerWith([first]);
  const url = worker.url + PATH;
  const old = await stack.buyer();
  const paid = await payV1(url, old);
  assert.equal(paid.status, 200, await paid.text());
  // The present one, which knows version 1 as well: it reads the body where there is no header.
  const both = await stack.buyer();
  const client = new x402Client().registerV1(V1_NETWORK, new ExactEvmSchemeV1(both));
  const again = await wrapFetchWithPayment(fetch, client)(url);
  assert.equal(again.status, 200, await again.text());
  for (const buyer of [old, both]) assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
  await Promise.all([worker.stop(), first.stop()]);
});

for (const [name, kinds] of [
  ['nothing', []], ['another network', [kind(2, 'eip155:8453'), kind(1, 'base')]], ['another scheme', [kind(2, NETWORK, 'upto')]],
  ['another version', [kind(3, NETWORK)]],
]) {
  test(`a facilitator that lists ${name}: nothing is on offer, and nothing is free`, async () => {
    const first = await facilitator(lists(...kinds));
    const worker = await workerWith([first]);
    for (const path of [PATH, CHECKED, '/weather/before/x']) {
      const refused = await get(worker, path);
      assertRefused(refused, 503, 'nothing_on_offer');
      assert.match(refused.headers['retry-after'], /^\d+$/);
    }
    // What is free is free all the same.
    assert.equal((await get(worker, '/free')).status, 404);
    await Promise.all([worker.stop(), first.stop()]);
  });
}

test('a payment that is over is not answered with an invitation to sign another, with nothing to choose from in it', async () => {
  const first = await facilitator(lists());
  const worker = await workerWith([first]);
  const { buyer, requirement } = await payment();
  const expired = await authorize(undefined, PATH, buyer, { requirement, fields: { validBefore: String(now() - 5) } });
  assertRefused(await get(worker, PATH, expired.v2), 503, 'nothing_on_offer');
  await Promise.all([worker.stop(), first.stop()]);
});

for (const [name, fault] of Object.entries({
  'a 500': { status: 500, raw: 'oops' }, 'half of it': { raw: '{"kinds":[{"x402Ver' }, 'no list in it': { body: { ok: true } },
  'a closed connection': { reset: true }, 'silence': { hang: true },
})) {
  test(`a facilitator that gives no list (${name}) is offered as it is configured`, async () => {
    const first = await facilitator(on('/supported', fault));
    const worker = await workerWith([first]);
    assert.deepEqual(await offered(worker), { v2: 1, v1: 1 });
    const paid = await payment();
    assertAnswered(await get(worker, PATH, paid.v2));
    assert.equal(await transfersOf(paid), 1);
    await Promise.all([worker.stop(), first.stop()]);
  });
}

test('what one does not settle the other may: each is sent what it lists', async () => {
  const first = await facilitator(lists(V1));
  const second = await facilitator(lists(V2));
  const worker = await workerWith([first, second]);
  assert.deepEqual(await offered(worker), { v2: 1, v1: 1 });
  for (const [spelling, asked, other] of [['v1', first, second], ['v2', second, first]]) {
    for (const path of [PATH, CHECKED]) {
      asked.calls.length = other.calls.length = 0;
      const paid = await payment(path);
      assertAnswered(await get(worker, path, paid[spelling]));
      assert.equal(asked.count('/settle'), 1);
      assert.equal(asked.count('/verify'), path === CHECKED ? 1 : 0);
      assert.deepEqual(other.calls, []);
      assert.equal(await transfersOf(paid), 1);
    }
  }
  await Promise.all([worker.stop(), first.stop(), second.stop()]);
});

test('the list is asked for once, whatever comes, and not for what is free', async () => {
  const first = await facilitator();
  const worker = await workerWith([first]);
  for (let i = 0; i < 3; i += 1) await get(worker, '/free');
  assert.equal(first.count('/supported'), 0);
  await atOnce(Array.from({ length: 20 }, () => prepare(worker.url, PATH)));
  for (let i = 0; i < 10; i += 1) await offered(worker);
  assertAnswered(await get(worker, PATH, (await payment()).v2));
  assert.equal(first.count('/supported'), 1);
  assert.equal(first.calls[0].path, '/supported');
  await Promise.all([worker.stop(), first.stop()]);
});

test('KV keeps the list for the next Worker', async () => {
  const first = await facilitator(lists(V2));
  const one = await workerWith([first], { kv: {} });
  assert.deepEqual(await offered(one), { v2: 1, v1: 0 });
  assert.equal(first.count('/supported'), 1);
  // What is written after the answer is there before the Worker is gone.
  await one.stop();
  first.fault = lists(V1);
  const two = await workerWith([first], { kv: { persist: one.kvPath } });
  assert.deepEqual(await offered(two), { v2: 1, v1: 0 });
  assertAnswered(await get(two, PATH, (await payment()).v2));
  assert.equal(first.count('/supported'), 1, 'it was asked again');
  // Another facilitator's list is another.
  const second = await facilitator(lists(V1));
  const three = await workerWith([second], { kv: { persist: one.kvPath } });
  assert.deepEqual(await offered(three), { v2: 0, v1: 1 });
  assert.equal(second.count('/supported'), 1);
  await Promise.all([two.stop(), three.stop(), first.stop(), second.stop()]);
});

test('a stale list is served while it is refreshed, and then the new one is', async () => {
  let letGo;
  const held = new Promise((done) => (letGo = done));
  const first = await facilitator(async (path) => (path === '/supported' ? (await held, lists(V1, V2)(path)) : undefined));
  const entry = { kinds: [{ version: 1, chain_id: 84532 }], stale_at: now() - 1000 };
  const kv = { entries: { [`supported:${first.url}`]: entry } };
  const worker = await workerWith([first], { kv });
  // The facilitator does not answer before these are answered.
  for (let i = 0; i < 5; i += 1) assert.deepEqual(await offered(worker), { v2: 0, v1: 1 });
  await until('it is asked', () => first.count('/supported') === 1);
  letGo();
  await until('the new list', async () => (await offered(worker)).v2 === 1);
  assert.equal(first.count('/supported'), 1);
  await worker.stop();
  const next = await workerWith([first], { kv: { persist: worker.kvPath } });
  assert.deepEqual(await offered(next), { v2: 1, v1: 1 });
  assert.equal(first.count('/supported'), 1);
  await Promise.all([next.stop(), first.stop()]);
});

test('what was known is not forgotten because the facilitator is silent now', async () => {
  const first = await facilitator(on('/supported', { status: 500, raw: '' }));
  const kv = { entries: { [`supported:${first.url}`]: { kinds: [{ version: 2, chain_id: 84532 }], stale_at: now() - 1000 } } };
  const worker = await workerWith([first], { kv });
  await offered(worker);
  await until('it was asked', () => first.count('/supported') === 1);
  for (let i = 0; i < 5; i += 1) assert.deepEqual(await offered(worker), { v2: 1, v1: 0 });
  await Promise.all([worker.stop(), first.stop()]);
});

test('what is no list in KV is no list', async () => {
  const entries = ['garbage', '[]', '{"kinds":7,"stale_at":9999999999}', ''];
  const all = await Promise.all(entries.map(() => facilitator(lists(V2))));
  const written = Object.fromEntries(all.map(({ url }, i) => [`supported:${url}`, entries[i]]));
  const worker = await workerWith(all, { kv: { entries: written } });
  assert.deepEqual(await offered(worker), { v2: 1, v1: 0 });
  assert.deepEqual(all.map((one) => one.count('/supported')), entries.map(() => 1));
  await Promise.all([worker.stop(), ...all.map((one) => one.stop())]);
});

// A request that waits for a promise of another hangs in workerd, or dies with it: the official middleware has one promise
// for all, made by whoever came first.

test('the first request is a free one, and all others are answered', async () => {
  const first = await facilitator();
  const worker = await workerWith([first]);
  assert.equal((await get(worker, '/free')).status, 404);
  const paid = await Promise.all([1, 2, 3].map(() => payment()));
  const requests = [
    ...paid.map(({ v2 }) => prepare(worker.url, PATH, { headers: v2 })),
    ...Array.from({ length: 10 }, () => prepare(worker.url, PATH)), prepare(worker.url, '/free'),
  ];
  const statuses = (await atOnce(requests)).map(({ status }) => status);
  assert.deepEqual(statuses, [200, 200, 200, ...Array(10).fill(402), 404]);
  await Promise.all([worker.stop(), first.stop()]);
});

for (const leaves of [true, false]) {
  test(`the first request ${leaves ? 'hangs up' : 'waits'} while the list is held, and all others are answered meanwhile`, async () => {
    let letGo;
    const held = new Promise((done) => (letGo = done));
    const first = await facilitator(async (path) => (path === '/supported' ? void await held : undefined));
    const worker = await workerWith([first]);
    const paid = await Promise.all([1, 2, 3].map(() => payment()));
    const waiting = prepare(worker.url, PATH);
    await waiting.ready;
    waiting.release();
    await until('it is asked', () => first.count('/supported') === 1);
    if (leaves) waiting.socket.destroy();
    // Nobody has an answer from the facilitator about what it settles until these are through.
    const meanwhile = async () => {
      const requests = [
        ...Array.from({ length: 10 }, () => prepare(worker.url, PATH)), prepare(worker.url, '/free'),
        prepare(worker.url, PATH, { headers: paid.pop().v2 }),
      ];
      assert.deepEqual((await atOnce(requests)).map(({ status }) => status), [...Array(10).fill(402), 404, 200]);
    };
    await meanwhile();
    await meanwhile();
    letGo();
    if (!leaves) assert.equal((await waiting.response).status, 402);
    await meanwhile();
    await Promise.all([worker.stop(), first.stop()]);
  });
}

test('a burst of first requests while the list never comes: all are answered', async () => {
  const first = await facilitator(on('/supported', { hang: true }));
  const worker = await workerWith([first]);
  const paid = await Promise.all([1, 2, 3, 4].map(() => payment()));
  const requests = [
    ...Array.from({ length: 20 }, () => prepare(worker.url, PATH)), ...paid.map(({ v2 }) => prepare(worker.url, PATH, { headers: v2 })),
  ];
  assert.deepEqual((await atOnce(requests)).map(({ status }) => status), [...Array(20).fill(402), ...Array(4).fill(200)]);
  for (const one of paid) assert.equal(await transfersOf(one), 1);
  await Promise.all([worker.stop(), first.stop()]);
});

test('a stale list whose refresher hangs up is refreshed by and for the others', async () => {
  let letGo;
  const held = new Promise((done) => (letGo = done));
  const first = await facilitator(async (path) => (path === '/supported' ? (await held, lists(V1, V2)(path)) : undefined));
  const kv = { entries: { [`supported:${first.url}`]: { kinds: [{ version: 2, chain_id: 84532 }], stale_at: now() - 1000 } } };
  const worker = await workerWith([first], { kv });
  const leaving = Array.from({ length: 5 }, () => prepare(worker.url, PATH));
  await Promise.all(leaving.map(({ ready }) => ready));
  for (const one of leaving) {
    one.release();
    one.socket.destroySoon();
  }
  for (let i = 0; i < 3; i += 1) assert.deepEqual(await offered(worker), { v2: 1, v1: 0 });
  letGo();
  // At the latest with the next refresh, half a minute later.
  await until('the new list', async () => (await offered(worker)).v1 === 1, 60);
  await Promise.all([worker.stop(), first.stop()]);
});
