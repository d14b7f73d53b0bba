// An answer that got lost is not paid for twice: whoever shows the payment's identifier hears it again, with its receipt,
// and nobody is called for it.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { assertAnswered, assertRefused, assertUnknown, atOnce, call, effectsOf, prepare, receiptsOf, until, withoutEffect } from './helpers.mjs';
import { assertNotKept, assertSaidAgain, BINARY, LARGE, PACKED_TEXT, startIdentified } from './identified.mjs';

const stack = await startIdentified({
  '/after/*': '$0.001',
  '/before/*': { price: '$0.001', settle: 'before' },
  '/deferred/*': { price: '$0.001', settle: 'deferred', max_exposure: '$1' },
  '/none/*': { price: '$0.001', replay: 0 },
  '/brief/*': { price: '$0.001', replay: 2 },
});
const { proxy, chain, script, buy, booksOf } = stack;
after(stack.stop);
afterEach(stack.reset);

const onceOnChain = async (buyer) => assert.equal((await chain.transfers({ from: buyer.address })).length, 1);

const KINDS = {
  json: 200, binary: 200, empty: 200, created: 201, 'no-content': 204, 'moved-here': 302, 'see-other': 303, permanent: 308,
  cookies: 200, largest: 200,
};

for (const [target, status] of [
  ...Object.entries(KINDS).map(([kind, status]) => [`/after/${kind}`, status]),
  ...Object.entries({ ...KINDS, missing: 404, broken: 500 }).map(([kind, status]) => [`/before/${kind}`, status]),
]) {
  test(`${target}: said again to the letter, as often as it is asked for`, async () => {
    const { buyer, ask } = await buy(target);
    const first = await effectsOf(stack, ask);
    assert.equal(first.result.status, status, first.result.text);
    assert.deepEqual(first.calls, { origin: 1, verify: 0, settle: 1 });
    assert.equal(first.result.headers['x-from-origin'], 'kept');
    for (let i = 0; i < 2; i += 1) assertSaidAgain(await withoutEffect(stack, ask), first.result);
    await onceOnChain(buyer);
  });
}

for (const kind of ['json', 'binary', 'created', 'no-content', 'moved-here']) {
  test(`/deferred/${kind}: said again before it is settled and afterwards`, async () => {
    const { buyer, payment, ask } = await buy(`/deferred/${kind}`);
    const first = await ask();
    assert.equal(first.status, { created: 201, 'no-content': 204, 'moved-here': 302 }[kind] ?? 200);
    assert.equal(first.headers['payment-response'], undefined);
    const calls = script.calls.length;
    assertSaidAgain(await ask(), first, { receipt: false });
    await until('settled', () => chain.authorizationState(buyer.address, payment.nonce));
    const settled = await until('in the books', async () => (await booksOf(buyer.address)).find(({ state }) => state === 'settled'));
    const again = await withoutEffect(stack, ask);
    assertSaidAgain(again, first, { receipt: false });
    assert.equal(receiptsOf(again).v2.transaction, settled.transaction);
    assert.equal(script.calls.length, calls);
    await onceOnChain(buyer);
  });
}

for (const mode of ['after', 'before']) {
  test(`${mode}: answers without a length are kept as they stream`, async () => {
    for (const [kind, body] of [['chunked', Buffer.from('21 degrees celsius')], ['chunked-binary', Buffer.concat([BINARY, BINARY])]]) {
      const { ask } = await buy(`/${mode}/${kind}`);
      const first = await ask();
      assert.ok(first.body.equals(body), 'the first answer');
      const again = await until('it is kept', async () => {
        const response = await withoutEffect(stack, ask);
        return response.headers['content-type'] === first.headers['content-type'] && response;
      });
      assertSaidAgain(again, first);
    }
  });

  test(`${mode}: what the origin packs is unpacked for whoever asks again`, async () => {
    const { ask } = await buy(`/${mode}/gzip`, { headers: { 'accept-encoding': 'gzip' } });
    const read = ({ headers, body }) => (headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();
    const first = await ask();
    assert.equal(read(first), PACKED_TEXT);
    const again = await withoutEffect(stack, ask);
    assert.equal(read(again), PACKED_TEXT);
    assertSaidAgain({ ...again, text: '', body: first.body }, first);
  });

  test(`${mode}: what is packed in a way that the runtime does not unpack stays so, and says so`, async () => {
    const { ask } = await buy(`/${mode}/deflate`);
    const first = await ask();
    assert.equal(first.headers['content-encoding'], 'deflate');
    const again = await withoutEffect(stack, ask);
    assertSaidAgain(again, first);
    assert.equal(again.headers['content-encoding'], 'deflate', 'packed bytes that nobody is told are packed');
  });

  test(`${mode}: what is not kept is answered with its receipt, never a second time`, async () => {
    for (const kind of ['stream', 'large', 'chunked-large']) {
      const { buyer, ask } = await buy(`/${mode}/${kind}`);
      const first = await ask();
      if (kind !== 'stream') assert.ok(first.body.equals(LARGE), 'the answer itself is whole');
      assert.match(first.text, /celsius/);
      for (let i = 0; i < 2; i += 1) {
        const again = await withoutEffect(stack, ask);
        assertNotKept(again);
        assert.deepEqual(receiptsOf(again), receiptsOf(first));
      }
      await onceOnChain(buyer);
    }
  });
}

test('what is said again is said for as long as the route says: not at all, or until it is over', async () => {
  const none = await buy('/none/json');
  assertAnswered(await none.ask());
  assertNotKept(await withoutEffect(stack, none.ask));
  const brief = await buy('/brief/json');
  assertAnswered(await brief.ask());
  assertNotKept(await until('the time is over', async () => {
    const again = await withoutEffect(stack, brief.ask);
    assert.equal(again.headers['idempotent-replayed'], 'true');
    return again.json().kept === false && again;
  }));
});

test('an answer of which the buyer heard the half is kept whole', async () => {
  const buyer = await stack.buyer();
  let letGo;
  const held = new Promise((done) => (letGo = done));
  script.between = (one, at) => (at === 0 ? held : undefined);
  const { headers, ask } = await buy('/after/chunked', { buyer });
  const leaving = prepare(stack.url(), '/after/chunked', { headers });
  await leaving.ready;
  leaving.release();
  await new Promise((done) => leaving.socket.once('data', done));
  leaving.socket.destroy();
  letGo();
  const again = await until('kept', async () => {
    const response = await withoutEffect(stack, ask);
    return response.text === '21 degrees celsius' && response;
  });
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(receiptsOf(again).v2.success, true);
  await onceOnChain(buyer);
});

test('while an answer is still streaming, nobody is told that it is lost', async () => {
  let letGo;
  const held = new Promise((done) => (letGo = done));
  script.between = (one, at) => (at === 0 ? held : undefined);
  const { headers, ask } = await buy('/after/chunked');
  const first = prepare(stack.url(), '/after/chunked', { headers });
  await first.ready;
  first.release();
  await new Promise((done) => first.socket.once('data', done));
  const meanwhile = await withoutEffect(stack, ask);
  letGo();
  const answer = await first.response;
  assertSaidAgain(await until('kept', async () => {
    const response = await withoutEffect(stack, ask);
    return response.text === answer.text && response;
  }), answer);
  // "kept: false" is final to who reads it; this one is to be asked for again.
  assertRefused(meanwhile, 409, 'payment_in_flight');
});

for (const target of ['/after/json', '/before/json', '/after/chunked', '/deferred/json']) {
  test(`${target}: 32 copies at once are one call, one transfer, and no answer that is not the answer`, async () => {
    const { buyer, payment, headers, ask } = await buy(target);
    const copies = Array.from({ length: 32 }, () => prepare(stack.url(), target, { headers }));
    const before = script.calls.length;
    const responses = await atOnce(copies);
    const first = responses.filter(({ status, headers: got }) => status === 200 && !got['idempotent-replayed']);
    assert.equal(first.length, 1, responses.map(({ status }) => status).join(' '));
    for (const response of responses.filter((one) => one !== first[0])) {
      if (response.status === 409) assertRefused(response, 409, 'payment_in_flight');
      else assertSaidAgain(response, first[0], { receipt: !target.includes('deferred') });
    }
    await until('settled', () => chain.authorizationState(buyer.address, payment.nonce));
    await until('kept', async () => (await ask()).text === first[0].text);
    assert.equal(script.calls.length, before + 1);
    await onceOnChain(buyer);
  });
}

test('whoever asks again and again meanwhile hears that it is in flight, and then the answer', async () => {
  for (const target of ['/after/json', '/before/json', '/deferred/json', '/after/binary', '/before/empty', '/deferred/largest']) {
    const { buyer, headers, ask } = await buy(target);
    const heard = [];
    const first = prepare(stack.url(), target, { headers });
    await first.ready;
    first.release();
    await Promise.all(Array.from({ length: 12 }, async () => {
      for (;;) {
        const response = await ask();
        heard.push(response);
        if (response.status !== 409) return;
      }
    }));
    const answers = [await first.response, ...heard.filter(({ status }) => status === 200)];
    const original = answers.filter((one) => !one.headers['idempotent-replayed']);
    assert.equal(original.length, 1);
    for (const one of heard.filter(({ status }) => status !== 200)) assertRefused(one, 409, 'payment_in_flight');
    for (const one of answers.filter((answer) => answer !== original[0])) assertSaidAgain(one, original[0], { receipt: !target.includes('deferred') });
    await until('settled', async () => (await chain.transfers({ from: buyer.address })).length > 0);
    await onceOnChain(buyer);
  }
});

test('no origin status that was not charged is kept', async () => {
  const { ask } = await buy('/after/missing');
  for (let i = 0; i < 2; i += 1) {
    const { result, calls, earned } = await effectsOf(stack, ask);
    assert.equal(result.status, 404);
    assert.equal(result.headers['idempotent-replayed'], undefined);
    assert.deepEqual({ ...calls, earned }, { origin: 1, verify: 0, settle: 0, earned: 0n });
  }
});

test('what settled late and was answered then can be heard again as well', async () => {
  proxy.fault = (path) => (path === '/settle' ? { forward: true, status: 500, raw: 'broken' } : undefined);
  const { buyer, ask } = await buy('/after/json');
  assertUnknown(await ask());
  proxy.reset();
  const late = await until('answered', async () => {
    const response = await ask();
    return response.status === 200 && response;
  });
  assert.equal(late.headers['idempotent-replayed'], undefined);
  assertSaidAgain(await withoutEffect(stack, ask), late);
  await onceOnChain(buyer);
});

for (const end of ['stop', 'kill']) {
  test(`an answer outlives the Worker: ${end}`, async () => {
    const bought = [];
    for (const target of ['/after/binary', '/before/missing', '/deferred/json']) {
      const one = await buy(target);
      bought.push({ ...one, target, first: await one.ask() });
    }
    const stream = await buy('/after/stream');
    await stream.ask();
    await until('the deferred one settled', async () => (await chain.transfers({ from: bought[2].buyer.address })).length);
    await until('and in the books', async () => (await booksOf(bought[2].buyer.address))[0].state === 'settled');
    await stack.restart(end);
    for (const { target, ask, first, buyer, payment } of bought) {
      assertSaidAgain(await withoutEffect(stack, ask), first, { receipt: !target.includes('deferred') });
      const without = await withoutEffect(stack, () => call(stack.url(), target, { headers: payment.v2 }));
      assertRefused(without, 409, 'payment_already_used');
      await onceOnChain(buyer);
    }
    assertNotKept(await withoutEffect(stack, stream.ask));
  });
}
