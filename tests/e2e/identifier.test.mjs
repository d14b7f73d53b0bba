// An identifier stands for one payment and one request, belongs to one wallet, and is never passed on.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, test } from 'node:test';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import {
  assertAnswered, assertNoAnswer, assertRefused, authorize, call, challengeOf, effectsOf, encode, NETWORK, receiptsOf, spellings,
  withoutEffect,
} from './helpers.mjs';
import { assertSaidAgain, EXTENSION, newId, startIdentified, withId } from './identified.mjs';

const stack = await startIdentified({
  '/after/*': '$0.001',
  '/before/*': { price: '$0.001', settle: 'before' },
  '/required/*': { price: '$0.001', payment_identifier: 'required' },
  '/local/*': { price: '$0.001', verify: 'local' },
});
const { proxy, chain, script, buy, worker } = stack;
// All that the facilitator was ever sent.
const asked = [];
after(stack.stop);
afterEach(() => {
  asked.push(...proxy.calls.map(({ body, headers }) => JSON.stringify({ body, headers })));
  stack.reset();
});

const onceOnChain = async (buyer) => assert.equal((await chain.transfers({ from: buyer.address })).length, 1);

test('the challenge says that there are identifiers, in the form that the standard has for it', async () => {
  for (const [target, required] of [['/after/json', false], ['/required/json', true]]) {
    const { required: { extensions } } = await challengeOf(worker.url, target);
    const { info, schema } = extensions[EXTENSION];
    assert.deepEqual(info, { required });
    // What the schema has to accept is `info` with an id put in: an object, its members known, the id by length and form.
    assert.equal(schema.type, 'object');
    assert.deepEqual(schema.properties.required, { type: 'boolean' });
    const { type, minLength, maxLength, pattern } = schema.properties.id;
    assert.deepEqual({ type, minLength, maxLength }, { type: 'string', minLength: 16, maxLength: 128 });
    for (const id of [newId(), 'x'.repeat(16), 'Y_'.repeat(64)]) assert.match(id, new RegExp(pattern));
    for (const id of ['with space in the middle', 'dots.are.not.allowed', 'ä'.repeat(16)]) assert.doesNotMatch(id, new RegExp(pattern));
    assert.ok(!(schema.required ?? []).includes('id'), 'a client that only echoes would be wrong by the schema');
    assert.notEqual(schema.additionalProperties, false);
  }
});

test('the official client, with an id put into what was advertised, hears a lost answer again', async () => {
  const buyer = await stack.buyer();
  let sent;
  const client = x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(buyer) }] });
  client.registerExtension({
    key: EXTENSION,
    enrichPaymentPayload: async (payload) => {
      const declared = payload.extensions[EXTENSION];
      const extensions = { ...payload.extensions, [EXTENSION]: { ...declared, info: { ...declared.info, id: newId() } } };
      return { ...payload, extensions };
    },
  });
  const remembering = (input, init) => {
    const request = new Request(input, init);
    if (request.headers.has('payment-signature')) sent = request.headers.get('payment-signature');
    return fetch(request);
  };
  const response = await wrapFetchWithPayment(remembering, client)(`${worker.url}/required/json`);
  assert.equal(response.status, 200);
  const first = Buffer.from(await response.arrayBuffer());
  const again = await withoutEffect(stack, () => call(worker.url, '/required/json', { headers: { 'PAYMENT-SIGNATURE': sent } }));
  assert.equal(again.headers['idempotent-replayed'], 'true', again.text);
  assert.ok(again.body.equals(first));
  await onceOnChain(buyer);
});

test('the id stands for one method, path, query and body', async () => {
  const body = '{"ask":1}';
  const { buyer, ask } = await buy('/after/echo?a=1', { method: 'POST', body });
  const first = await ask();
  assertAnswered(first);
  assert.equal(first.text, `celsius: ${body}`);
  for (const other of [
    { body: '{"ask":2}' }, { body: '' }, { body: `${body} ` }, { target: '/after/echo?a=2' }, { target: '/after/echo' },
    { target: '/after/echo?a=1&b=2' }, { target: '/after/Echo?a=1' }, { target: '/after/json' }, { method: 'PUT' },
  ]) {
    const refused = await withoutEffect(stack, () => ask(other));
    assertRefused(refused, 409, 'identifier_taken');
  }
  assertSaidAgain(await withoutEffect(stack, ask), first);
  await onceOnChain(buyer);
});

test('HEAD and GET are two requests', async () => {
  for (const [method, other] of [['GET', 'HEAD'], ['HEAD', 'GET']]) {
    const { buyer, ask } = await buy('/after/json', { method });
    const first = await ask();
    assertAnswered(first);
    assertSaidAgain(await withoutEffect(stack, ask), first);
    const refused = await withoutEffect(stack, () => ask({ method: other }));
    assert.equal(refused.status, 409);
    assertNoAnswer(refused);
    await onceOnChain(buyer);
  }
});

for (const [name, method, body, more] of [
  ['a POST without a body', 'POST', '', {}], ['a POST with an empty one', 'POST', '', { 'content-length': '0' }],
  ['a GET with an empty one', 'GET', '', { 'content-length': '0' }], ['a GET with one', 'GET', '{"query":1}', {}],
  ['a PUT of bytes', 'PUT', randomBytes(70_000), {}], ['a DELETE without', 'DELETE', '', {}],
]) {
  test(`${name} can have an id as well as not`, async () => {
    const options = { method, body, headers: more };
    const plain = await authorize(worker.url, '/local/echo', await stack.buyer(), { method });
    const without = await call(worker.url, '/local/echo', { ...options, headers: { ...more, ...plain.v2 } });
    assert.equal(without.status, 200, without.text);
    const { ask } = await buy('/local/echo', options);
    const first = await ask();
    assert.equal(first.status, 200, first.text);
    assert.equal(first.text, without.text);
    assert.equal(script.calls.at(-1).body, Buffer.from(body).toString('utf8'));
    assertSaidAgain(await withoutEffect(stack, ask), first);
  });
}

test('the same bytes are the same body, however they are framed', async () => {
  const { headers, ask } = await buy('/local/echo', { method: 'POST', body: 'abcdef' });
  const first = await ask();
  const chunked = { headers: { ...headers, 'transfer-encoding': 'chunked' }, body: '3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n' };
  assertSaidAgain(await withoutEffect(stack, () => ask(chunked)), first);
});

test('an id belongs to the first payment that came with it, and to its wallet', async () => {
  const one = await buy('/after/json');
  const first = await one.ask();
  assertAnswered(first);
  // Another payment of the same wallet, for the same request.
  const another = await buy('/after/json', { buyer: one.buyer, id: one.id });
  assertRefused(await withoutEffect(stack, another.ask), 409, 'identifier_taken');
  // It is not spent by that: without the id it is as good as new.
  const without = await effectsOf(stack, () => ask(another.payment.v2));
  assertAnswered(without.result);
  assert.equal(without.earned, 1000n);
  assertRefused(await withoutEffect(stack, () => ask(another.payment.v2)), 409, 'payment_already_used');
  // Somebody else's id is somebody else's: a sale of its own, and not the first one's answer.
  const stranger = await buy('/after/json', { id: one.id });
  const { result, calls, earned } = await effectsOf(stack, stranger.ask);
  assertAnswered(result);
  assert.equal(result.headers['idempotent-replayed'], undefined);
  assert.deepEqual({ origin: calls.origin, earned }, { origin: 1, earned: 1000n });
  assertSaidAgain(await withoutEffect(stack, one.ask), first);

  function ask(headers) {
    return call(worker.url, '/after/json', { headers });
  }
});

test('an id whose payment came to nothing is free for another', async () => {
  const buyer = await stack.buyer();
  const released = await buy('/after/broken', { buyer });
  const failure = await effectsOf(stack, released.ask);
  assert.equal(failure.result.status, 500);
  assert.equal(failure.earned, 0n);
  const next = await buy('/after/json', { buyer, id: released.id });
  assertAnswered(await next.ask());

  const no = (payer) => ({ body: { success: false, errorReason: 'insufficient_funds', payer, network: NETWORK, transaction: '' } });
  proxy.fault = (path, body) => (path === '/settle' ? no(body.paymentPayload.payload.authorization.from) : undefined);
  const refused = await buy('/after/json', { buyer });
  assertRefused(await refused.ask(), 402, 'payment_refused');
  proxy.reset();
  const paid = await buy('/after/json', { buyer, id: refused.id });
  const first = await paid.ask();
  assertAnswered(first);
  assertSaidAgain(await withoutEffect(stack, paid.ask), first);
  assert.equal((await chain.transfers({ from: buyer.address })).length, 2);
});

test('required and not there', async () => {
  const payment = await authorize(worker.url, '/required/json', await stack.buyer());
  for (const headers of [
    payment.v2, payment.v1, payment.third, withId(payment, undefined, { required: true }), withId(payment, undefined, {}),
    withId(payment, null),
  ]) {
    assertRefused(await withoutEffect(stack, () => call(worker.url, '/required/json', { headers })), 400, 'identifier_required');
  }
  assertAnswered(await call(worker.url, '/required/json', { headers: withId(payment, newId()) }));
});

test('an id that is none', async () => {
  for (const target of ['/after/json', '/required/json']) {
    const payment = await authorize(worker.url, target, await stack.buyer());
    const fifteen = 'x'.repeat(15);
    for (const id of ['', fifteen, 'x'.repeat(129), `${fifteen}.`, `${fifteen} `, 'ä'.repeat(16), 7, true, ['x'.repeat(16)], {}]) {
      const refused = await withoutEffect(stack, () => call(worker.url, target, { headers: withId(payment, id) }));
      assertRefused(refused, 400, 'identifier_malformed');
    }
    for (const id of ['x'.repeat(16), 'X_-9'.repeat(32)]) {
      const { ask } = await buy(target, { id });
      const first = await ask();
      assertAnswered(first);
      assertSaidAgain(await withoutEffect(stack, ask), first);
    }
  }
});

test('the dialect between the versions carries ids too', async () => {
  const payment = await authorize(worker.url, '/after/json', await stack.buyer());
  const id = newId();
  const extensions = { [EXTENSION]: { info: { id } } };
  const headers = { 'X-PAYMENT': encode({ ...payment.json.third, extensions }) };
  const ask = () => call(worker.url, '/after/json', { headers });
  const first = await ask();
  assertAnswered(first);
  const again = await withoutEffect(stack, ask);
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.ok(again.body.equals(first.body));
  assert.equal(receiptsOf(again).v1.transaction, receiptsOf(first).v1.transaction);
  // It is the payment and its id that count, not their spelling.
  assert.ok((await withoutEffect(stack, () => call(worker.url, '/after/json', { headers: withId(payment, id) }))).body.equals(first.body));
});

test('a body that is too large to be bound is refused with an id, and only then', async () => {
  const most = Buffer.alloc(1024 * 1024, 'a');
  const chunked = Buffer.concat([Buffer.from((most.length + 1).toString(16)), Buffer.from('\r\n'), most, Buffer.from('b\r\n0\r\n\r\n')]);
  const payment = await authorize(worker.url, '/local/json', await stack.buyer(), { method: 'POST' });
  const post = (headers, body) => call(worker.url, '/local/json', { method: 'POST', headers, body });
  const id = newId();
  for (const [headers, body] of [
    [{}, Buffer.concat([most, Buffer.from('b')])],
    [{ 'transfer-encoding': 'chunked' }, chunked],
  ]) {
    assertRefused(await withoutEffect(stack, () => post({ ...headers, ...withId(payment, id) }, body)), 413, 'body_too_large');
  }
  const first = await post(withId(payment, id), most);
  assertAnswered(first);
  assert.equal(script.calls.at(-1).body.length, most.length);
  assertSaidAgain(await withoutEffect(stack, () => post(withId(payment, id), most)), first);
  const plain = await authorize(worker.url, '/local/json', await stack.buyer(), { method: 'POST' });
  assertAnswered(await post(plain.v2, Buffer.concat([most, most])));
});

test('a smart wallet hears it again, and its facilitator is not asked', async () => {
  const owner = await stack.buyer(0n);
  const wallet = await chain.smartWallet(owner.address);
  await chain.mint(wallet, 10_000n);
  for (const target of ['/after/json', '/before/missing']) {
    const payment = await authorize(worker.url, target, owner, { fields: { from: wallet } });
    const dressed = (tail) => spellings(payment.requirement, { ...payment.signed, signature: payment.signed.signature + tail });
    const id = newId();
    const ask = (tail, shown = id) => call(worker.url, target, { headers: shown ? withId(dressed(tail), shown) : dressed(tail).v2 });
    const first = await effectsOf(stack, () => ask('c0ffee'));
    assert.equal(first.calls.settle, 1);
    assertSaidAgain(await withoutEffect(stack, () => ask('c0ffee')), first.result);
    for (const shown of [null, newId()]) assertRefused(await withoutEffect(stack, () => ask('c0ffee', shown)), 409, 'payment_already_used');
  }
});

test('neither the id nor the header is passed on', () => {
  // Of everything that this file has sent: each id begins so, and each header is base64 of JSON.
  assert.ok(script.calls.length > 10);
  for (const { headers, url } of script.calls) {
    assert.deepEqual(Object.keys(headers).filter((name) => /^(x-)?payment/.test(name)), []);
    assert.doesNotMatch(JSON.stringify({ headers, url }), /pay_|payment-identifier|eyJ/);
  }
  assert.ok(asked.length > 10);
  assert.doesNotMatch(asked.join('\n'), /pay_|payment-identifier|payment-signature|eyJ/i);
});
