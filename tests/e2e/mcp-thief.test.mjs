// Somebody who wants a tool's result for nothing, or for another's money. The origin does whatever it is asked, and has
// bad readings of its own: what must not be paid around must not reach it.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { atOnce, authorize, call, encode, prepare, startStack, THIEF, until } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { newId } from './identified.mjs';
import {
  assertError, assertNothingSaid, assertPrice, assertReceipt, assertRefusal, assertSaid, payFor, PAYMENT, post, prepared, read,
  RECEIPT, request, resultOf, toolCall,
} from './mcp.mjs';
import { said, startMcpOrigin, startRawOrigin } from './stack/mcp-origin.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const PRICE = 10_000n;
const stack = await startStack();
const { chain, proxy, seller } = stack;
const origin = await startRawOrigin();
const TOOLS = {
  search: '$0.01', twin: '$0.01', ping: 'free', quick: { price: '$0.01', timeout_seconds: 1 },
  first: { price: '$0.01', settle: 'before', timeout_seconds: 1 }, later: { price: '$0.01', settle: 'deferred', max_exposure: '$0.05' },
};
const ROUTES = {
  'GET /weather/:city': { price: '$0.01', name: 'weather', input: { query: { units: 'c or f' }, headers: { 'x-mood': 'A mood' } } },
  'GET /climate/:city': { price: '$0.01', name: 'climate', input: {} },
};
const vars = (more) => stack.vars({
  ORIGIN: origin.url, PACKAGES, CREDIT_VALUE: '$0.01', FACILITATORS: [{ url: proxy.url, timeout_seconds: 3 }], ...more,
});
const gated = vars({ MCP: 'origin:/mcp', TOOLS, ROUTES: { 'GET /weather/*': '$0.01' } });
const [gate, strict, own] = await Promise.all([
  startWorker({ vars: gated, secrets: SECRETS }),
  startWorker({ vars: { ...gated, DEFAULT: 'deny' }, secrets: SECRETS }),
  startWorker({ vars: vars({ ROUTES, DISCOVERY: { mcp: '/mcp' } }), secrets: SECRETS }),
]);
afterEach(() => {
  proxy.reset();
  origin.answer = undefined;
});
after(stopEverything);

/** What `act` cost the others: requests at the origin, settlements that were asked for, atoms that the seller has more. */
async function effects(act) {
  const before = [origin.calls.length, proxy.count('/settle'), await chain.balanceOf(seller)];
  const result = await act();
  const earned = (await chain.balanceOf(seller)) - before[2];
  return { result, did: [origin.calls.length - before[0], proxy.count('/settle') - before[1], earned] };
}

/** Nothing reaches the origin, nobody pays, and not a word of an answer. */
async function inVain(act, what) {
  const { result, did } = await effects(act);
  assert.deepEqual(did, [0, 0, 0n], `${what ?? ''} ${result.status} ${result.text}`);
  assertNothingSaid(result);
  return result;
}
const transfersOf = async (buyer) => (await chain.transfers({ from: buyer.address, to: seller })).length;
const search = (payment, args = { text: 'a' }) => toolCall('search', args, { payment });

// One payment for two things

test('a payment of one tool is none for its twin at the same price', async () => {
  for (const [tool, other] of [['search', 'twin'], ['first', 'search'], ['later', 'twin']]) {
    const buyer = await stack.buyer();
    const { payment } = await payFor(gate.url, tool, {}, buyer);
    assertSaid(await post(gate.url, toolCall(tool, {}, { payment })));
    // What is deferred is collected in the background, and must not be counted below.
    await until('it is paid', async () => (await transfersOf(buyer)) === 1);
    const refused = await inVain(() => post(gate.url, toolCall(other, {}, { payment })));
    const code = resultOf(refused).structuredContent.code;
    // What flows otherwise is asked for otherwise.
    if (tool !== 'first' || code !== undefined) assertRefusal(refused, 'payment_already_used');
    assertRefusal(await inVain(() => post(gate.url, toolCall(tool, {}, { payment }))), 'payment_already_used');
    assert.equal(await transfersOf(buyer), 1);
  }
});

test('16 copies for one tool and 16 for its twin at once: one answer, one transfer', async () => {
  const buyer = await stack.buyer();
  const { payment } = await payFor(gate.url, 'search', {}, buyer);
  const copies = Array.from({ length: 32 }, (_, id) => prepared(gate.url, toolCall(id % 2 ? 'search' : 'twin', {}, { payment, id })));
  const { result, did } = await effects(() => atOnce(copies));
  assert.deepEqual(did, [1, 1, PRICE]);
  const answered = result.map(read).filter(({ message }) => !message.result.isError);
  assert.equal(answered.length, 1);
  assertReceipt(answered[0].message.result, buyer.address);
});

test('a payment of a tool is none over HTTP, nor the other way round, nor both at once', async () => {
  const args = { city: 'lisbon' };
  const byTool = (payment) => post(own.url, toolCall('weather', args, { payment }));
  const overHttp = (headers) => call(own.url, '/weather/lisbon', { headers });
  const one = await payFor(own.url, 'weather', args, await stack.buyer());
  assertSaid(await byTool(one.payment));
  for (const dress of [one.v2, one.v1, one.third]) assert.equal((await inVain(() => overHttp(dress))).status, 409);
  const other = await authorize(own.url, '/weather/lisbon', await stack.buyer());
  assert.equal((await overHttp(other.v2)).status, 200);
  for (const dress of [other.json.v2, other.json.v1]) assertRefusal(await inVain(() => byTool(dress)), 'payment_already_used');
  const buyer = await stack.buyer();
  const both = await payFor(own.url, 'weather', args, buyer);
  const copies = Array.from({ length: 32 }, (_, id) => (id % 2 ? prepared(own.url, toolCall('weather', args, { payment: both.payment, id }))
    : prepare(own.url, '/weather/lisbon', { headers: both.v2 })));
  const { result, did } = await effects(() => atOnce(copies));
  assert.deepEqual(did, [1, 1, PRICE]);
  assert.equal(result.filter(({ text }) => /celsius/.test(text)).length, 1);
});

test('what is owed to a tool is owed to nobody else', async () => {
  const args = { city: 'lisbon' };
  const buyer = await stack.buyer();
  const one = await payFor(own.url, 'weather', args, buyer);
  proxy.fault = (path) => (path === '/settle' ? { forward: true, reset: true } : undefined);
  assertRefusal(await post(own.url, toolCall('weather', args, { payment: one.payment })), 'settlement_unknown');
  proxy.reset();
  await until('it has moved', () => chain.authorizationState(buyer.address, one.nonce));
  const owed = await until('the alarm has found out', async () => {
    const before = origin.calls.length;
    for (const response of [await call(own.url, '/weather/lisbon', { headers: one.v2 }), await post(own.url, toolCall('climate',
      args, { payment: one.payment })),
      await post(own.url, toolCall('weather', { city: 'porto' }, { payment: one.payment }))]) assertNothingSaid(response);
    assert.equal(origin.calls.length, before);
    const response = await post(own.url, toolCall('weather', args, { payment: one.payment }));
    return !resultOf(response).isError && response;
  });
  assertSaid(owed);
  assert.equal(await transfersOf(buyer), 1);
  assertRefusal(await inVain(() => post(own.url, toolCall('weather', args, { payment: one.payment }))), 'payment_already_used');
});

test('an identified call that was answered is said again for its own arguments alone', async () => {
  const buyer = await stack.buyer();
  const one = await payFor(gate.url, 'search', {}, buyer);
  const [id, fresh] = [newId(), newId()];
  assertSaid(await post(gate.url, search(one.named(id))));
  for (const message of [
    search(one.named(id), { text: 'b' }), search(one.named(id), {}), search(one.named(id), { text: 'a', more: 1 }), search(one.named(fresh)),
    toolCall('twin', { text: 'a' }, { payment: one.named(id) }), search(one.payment),
    toolCall('search', { '"text"\n"a"': 1 }, { payment: one.named(id) }),
  ]) assertRefusal(await inVain(() => post(gate.url, message)), ['identifier_taken', 'payment_already_used']);
  // Somebody else's money under the same identifier is another purchase.
  const other = await stack.buyer();
  const two = await payFor(gate.url, 'search', {}, other);
  const { result, did } = await effects(() => post(gate.url, search(two.named(id))));
  assert.deepEqual(did, [1, 1, PRICE]);
  assertReceipt(assertSaid(result), other.address);
});

test('a result that is too large to be kept is neither said again nor sold again', async () => {
  const buyer = await stack.buyer();
  const one = await payFor(gate.url, 'search', {}, buyer);
  const payment = one.named(newId());
  origin.answer = ({ message }) => said(message.id, '21 celsius '.repeat(30_000));
  const { result, did } = await effects(() => post(gate.url, search(payment)));
  assert.deepEqual(did, [1, 1, PRICE]);
  assert.equal(assertSaid(result).content[0].text.length, 330_000);
  const again = resultOf(await inVain(() => post(gate.url, search(payment))));
  const { answered, kept } = again.structuredContent;
  assert.deepEqual([answered, kept], [true, false]);
  assertReceipt(again, buyer.address);
});

test('wrong payments: the price, and nothing done', async () => {
  const buyer = await stack.buyer();
  for (const fields of [{ value: '9999' }, { value: '10001' }, { to: THIEF }, { from: THIEF }, { validBefore: '1' }, { domain: { chainId: 1 } }]) {
    const { payment, json } = await payFor(gate.url, 'search', {}, buyer, { fields });
    for (const one of [payment, json.v1]) {
      const refused = await inVain(() => post(gate.url, search(one)), JSON.stringify(fields));
      assertPrice(resultOf(refused), { tool: 'search' });
    }
  }
  const { payment } = await payFor(gate.url, 'search', {}, buyer);
  for (const bad of [
    null, 'x', encode(payment).slice(0, -4), ` ${encode(payment)}`, encode({ ...payment, accepted: { ...payment.accepted, payTo: THIEF } }), [payment], 7, {}, { x402Version: 3 }, { ...payment, x402Version: '2' }, { ...payment,
      accepted: { ...payment.accepted, amount: '1' } },
    { ...payment, accepted: { ...payment.accepted, payTo: THIEF } }, { ...payment, pad: 'x'.repeat(600_000) }, { ...payment,
    payload: { ...payment.payload, signature: '0x' } },
  ]) {
    const refused = await inVain(() => post(gate.url, search(bad)), JSON.stringify(bad).slice(0, 300));
    assert.ok(refused.message.error || refused.message.result.isError, refused.text);
  }
  assert.equal(await transfersOf(buyer), 0);
});

test('two ways to pay at once are none', async () => {
  const buyer = await stack.buyer();
  const { key } = (await operator(gate.url, { action: 'mint', credits: 5 })).json();
  for (const { url, name, args } of [{ url: gate.url, name: 'search', args: {} }, { url: own.url, name: 'weather', args: { city: 'lisbon' } }]) {
    const [one, two] = [await payFor(url, name, args, buyer), await payFor(url, name, args, buyer)];
    for (const [payment, headers] of [
      [one.payment, one.v2], [one.payment, two.v2], [one.payment, two.v1], [one.json.v1, two.v2], [one.json.v1, two.v1],
      [one.payment, { 'PAYMENT-SIGNATURE': 'x' }],
      [one.payment, bearer(key)], [undefined, { ...one.v2, ...two.v1 }], [undefined, { ...one.v2, ...bearer(key) }],
    ]) {
      const refused = await inVain(() => post(url, toolCall(name, args, { payment }), { headers }));
      assert.ok(refused.message.result?.isError, refused.text);
      assert.equal(refused.message.result.structuredContent.status, 400, refused.text);
    }
    const { did } = await effects(async () => assertSaid(await post(url, toolCall(name, args, { payment: one.payment }))));
    assert.deepEqual(did, [1, 1, PRICE], 'neither was used up');
  }
  assert.equal((await creditsOf(gate.url, key)).available, 5);
});

// One message with two readings

const CALL = '{"name":"search","arguments":{"text":"a"}}';
const wrapped = (inside) => `{"jsonrpc":"2.0","id":1,${inside}}`;

test('a key twice, batches, calls that want no answer: refused before anybody has read them', async () => {
  for (const body of [
    `[${wrapped(`"method":"tools/call","params":${CALL}`)}]`,
    `[${wrapped('"method":"ping"')},${wrapped(`"method":"tools/call","params":${CALL}`)}]`, '[[]]',
    wrapped(`"method":"ping","method":"tools/call","params":${CALL}`), wrapped(`"method":"tools/call","method":"ping","params":${CALL}`),
    wrapped(`"method":"ping","\\u006dethod":"tools/call","params":${CALL}`),
    wrapped(`"method":"tools/call","params":${CALL},"params":{"name":"ping"}`),
    wrapped(`"method":"tools/call","params":{"name":"ping"},"par\\u0061ms":${CALL}`),
    wrapped('"method":"tools/call","params":{"name":"ping","name":"search"}'),
    wrapped('"method":"tools/call","params":{"name":"search","\\u006eame":"ping"}'),
    wrapped('"method":"tools/call","params":{"name":"ping","_meta":{},"_meta":{}}'),
    wrapped('"method":"tools/call","params":{"name":"ping","arguments":{"a":1,"\\u0061":2}}'),
    wrapped('"id":2,"method":"ping"'), wrapped(`"method":"tools/call","params":{"name":"ping","_meta":{"x402/payment":{},"x402/p\\u0061yment":{}}}`),
    `{"jsonrpc":"2.0","method":"tools/call","params":${CALL}}`, `{"jsonrpc":"2.0","id":null,"method":"tools/call","params":${CALL}}`,
    `{"jsonrpc":"2.0","method":"tools\\u002fcall","params":${CALL}}`,
    ...['true', '[]', '{}', '[1]'].map((id) => `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${CALL}}`),
    `${wrapped('"method":"ping"')}\n${wrapped(`"method":"tools/call","params":${CALL}`)}`, `${wrapped('"method":"ping"')},`,
    `/**/${wrapped('"method":"ping"')}`, wrapped('"method":"ping",'), wrapped('"method":"ping","x":NaN'),
    wrapped("'method':'ping'"), wrapped('"method":"ping","x":"\\ud800"'),
    wrapped('"method":"ping","x":"\u0000"'), wrapped('"method":"ping","x":01'), wrapped(`"method":["tools/call"],"params":${CALL}`),
    wrapped('"method":"ping"').replace('2.0', '1.0'), wrapped(`"method":"ping","x":${'['.repeat(20_000)}${']'.repeat(20_000)}`),
  ]) {
    const refused = await inVain(() => post(gate.url, body), body.slice(0, 200));
    assert.equal(refused.status, 400, `${body.slice(0, 200)}: ${refused.text}`);
    assert.equal((await inVain(() => post(own.url, body))).status, 400, body.slice(0, 200));
  }
  // Other spellings of the same are the same.
  for (const body of [wrapped(`"method":"tools\\u002fcall","params":${CALL}`), wrapped(`"method":"tools\\/call","params":${CALL}`),
    wrapped(`"\\u006dethod":"tools/call","params":${CALL}`),
    wrapped('"method":"tools/call","params":{"\\u006eame":"\\u0073earch"}'), ` \r\n\t${wrapped(`"method":"tools/call","params":${CALL}`)}\n`,
    wrapped('"method":"tools/call","params":{"name":"search","arguments":null}')]) {
    assertPrice(resultOf(await inVain(() => post(gate.url, body), body)), { tool: 'search' });
  }
});

test('other encodings of the bytes', async () => {
  const body = JSON.stringify(search());
  const utf16 = Buffer.from(`\ufeff${body}`, 'utf16le');
  for (const [bytes, headers] of [
    [Buffer.from(`\ufeff${body}`), {}], [utf16, {}], [Buffer.from(utf16).swap16(), {}], [utf16.subarray(2),
    { 'content-type': 'application/json; charset=utf-16le' }],
    [gzipSync(body), { 'content-encoding': 'gzip' }], [gzipSync(body), {}], [Buffer.from(body), { 'content-encoding': 'gzip' }],
    [gzipSync(body), { 'content-encoding': 'x-gzip' }],
    [gzipSync(body), { 'content-encoding': 'identity, gzip' }], [Buffer.concat([Buffer.from(wrapped('"method":"ping","x":"')),
    Buffer.from([0xff]), Buffer.from('"}')]), {}],
    [Buffer.from(JSON.stringify({ ...search(), pad: 'x'.repeat(2 * 1024 * 1024) })), {}], ['', {}],
  ]) {
    const refused = await inVain(() => post(gate.url, bytes, { headers }), JSON.stringify(headers));
    assert.equal(refused.status, 400, refused.text);
  }
  const hex = Buffer.byteLength(body).toString(16);
  const chunked = await inVain(async () => read(await call(gate.url, '/mcp', {
    method: 'POST', headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      body: `5\r\n${body.slice(0, 5)}\r\n${(Number.parseInt(hex, 16) - 5).toString(16)}\r\n${body.slice(5)}\r\n0\r\n\r\n`,
  })));
  assertPrice(resultOf(chunked), { tool: 'search' });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x',
    'application/json; charset=ibm037', 'application/json, text/plain', '']) {
    const response = await inVain(() => post(gate.url, search(), { headers: { 'content-type': type } }), type);
    assert.ok(response.status >= 400 || response.message.result.isError, response.text);
  }
});

/** A message that is a ping in UTF-8, and a call of `search` in UTF-7. */
const IN_UTF7 = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${
  '"},"method":"tools/call","params":{"name":"search","arguments":{"text":"stolen"},"y":"'.replaceAll('"', '+ACI-')}"}}`;

test('a charset that the origin reads and we do not', async () => {
  const express = await startMcpOrigin({ json: true });
  const worker = await startWorker({ vars: { ...gated, ORIGIN: express.url }, secrets: SECRETS });
  const client = new Client({ name: 'a thief', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', worker.url));
  await client.connect(transport);
  const session = { 'mcp-session-id': transport.sessionId };
  const stolen = [];
  for (const charset of ['utf-7', 'UTF-7', '"utf-7"', 'utf-7-imap', 'utf-16', 'utf-32']) {
    const response = await post(worker.url, IN_UTF7, { headers: { ...session, 'content-type': `application/json; charset=${charset}` } });
    if (express.ran.length || /celsius/.test(response.text)) stolen.push(charset);
    express.ran.length = 0;
  }
  await client.close();
  await worker.stop();
  assert.deepEqual(stolen, []);
});

/** As Go's encoding/json reads: whatever the case of a key, and the last one wins. */
function readAsGo(bytes) {
  const folded = (key) => key.toLowerCase().replaceAll('ſ', 's').replaceAll('\u212a', 'k');
  try {
    return JSON.parse(bytes.toString('utf8'), (_, value) => {
      if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [folded(key), inner]));
    });
  } catch {
    return undefined;
  }
}

test('a key in another case is a key to an origin in Go', async () => {
  const stolen = [];
  for (const body of [
    wrapped(`"method":"ping","Method":"tools/call","params":${CALL}`), wrapped(`"method":"ping","METHOD":"tools/call","Params":${CALL}`),
    wrapped('"method":"tools/call","params":{"name":"ping","Name":"search"}'),
    wrapped(`"method":"tools/call","params":{"name":"ping"},"paramſ":${CALL}`),
    wrapped(`"method":"tools/call","params":{"name":"ping"},"pARAMS":${CALL}`),
  ]) {
    const before = origin.calls.length;
    await post(gate.url, body);
    const passed = origin.calls.slice(before).map(({ body: bytes }) => readAsGo(bytes));
    if (passed.some((message) => message?.method === 'tools/call' && message.params?.name === 'search')) stolen.push(body);
  }
  assert.deepEqual(stolen, []);
});

// The way to the origin

test('other spellings of the path', async () => {
  const body = JSON.stringify(search());
  for (const target of [
    '/mcp', '/MCP', '/Mcp', '/mcp/', '/mcp;x=1', '/mcp;', '//mcp', '/%6dcp', '/mcp?x', '/mcp?', '/mcp/.', '/./mcp', '/x/../mcp',
    '/mcp%2f', '/mcp%5c', '/mcp\\', '/mcp%20', '/mcp.', '/mcp..',
    '/mcp%00', '/mcp/;x', '/mcp/;', '/;x/mcp', '/mcp%3fx', '/mcp%23', '/mcp#x', '/mcp%253f', '/mcp%', '/mcp%3b', '/mcp//',
    '/mcp/%2e', '/%4d%43%50', '/mcp%c0%af', '/mcp;x/',
  ]) {
    for (const worker of [gate, strict]) {
      const { result, did } = await effects(() => call(worker.url, target, { method: 'POST',
        headers: { 'content-type': 'application/json' }, body }));
      assert.deepEqual(did, [0, 0, 0n], `${target}: ${result.status} ${result.text}`);
      assertNothingSaid(result);
    }
  }
  for (const target of ['/mcp/x', '/mcp/message', '/']) {
    const { did } = await effects(() => call(strict.url, target, { method: 'POST', body }));
    assert.deepEqual(did, [0, 0, 0n], target);
  }
});

test('what is below the path is the server\'s too', async () => {
  for (const target of ['/mcp/x', '/mcp/x/', '/MCP/x']) await inVain(() => post(gate.url, search(), { target }), target);
});

test('other methods, and methods in disguise', async () => {
  const body = JSON.stringify(search());
  const headers = { 'content-type': 'application/json' };
  for (const method of ['PUT', 'PATCH', 'OPTIONS', 'QUERY', 'TRACE', 'CONNECT', 'PROPFIND', 'post', 'Post', 'SEARCH', 'LINK', 'PURGE']) {
    const { result, did } = await effects(() => call(gate.url, '/mcp', { method, headers, body }).catch(({ message }) =>
      ({ status: 0, text: message })));
    assert.deepEqual(did, [0, 0, 0n], `${method}: ${result.status} ${result.text}`);
    assertNothingSaid(result);
    assert.ok(result.status === 0 || result.status >= 400, `${method}: ${result.status}`);
  }
  const OVERRIDES = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X_HTTP_Method_Override', 'X-Original-URL', 'X-Rewrite-URL'];
  for (const name of OVERRIDES) {
    for (const method of ['GET', 'DELETE', 'POST']) {
      const before = origin.calls.length;
      await call(gate.url, '/mcp', { method, headers: { ...headers, [name]: 'POST' },
        body: method === 'POST' ? JSON.stringify(request('ping')) : '' });
      for (const one of origin.calls.slice(before)) assert.equal(one.headers[name.toLowerCase()], undefined, `${method} ${name}`);
      assert.equal(origin.calls.length, before + 1);
    }
  }
});

test('no message goes along with GET, HEAD or DELETE', async () => {
  const body = JSON.stringify(search());
  const stolen = [];
  for (const method of ['GET', 'DELETE', 'HEAD']) {
    const before = origin.calls.length;
    await call(gate.url, '/mcp', { method, headers: { 'content-type': 'application/json' }, body });
    if (origin.calls.slice(before).some((one) => one.body.length > 0)) stolen.push(method);
  }
  assert.deepEqual(stolen, []);
});

test('no WebSocket around the gate', async () => {
  const before = origin.upgrades;
  await call(gate.url, '/mcp', {
    headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Protocol': 'mcp' },
  });
  assert.equal(origin.upgrades, before);
});

const LENIENT = ['Search', 'SEARCH', ' search', 'search ', 'search.', 'search\u00a0', 'search\u200b', 'ｓｅａｒｃｈ', 'ſearch',
  'sea\u00adrch', 'search\ufeff'];

test('a name in other letters is free of charge nowhere that has none but what is named', async () => {
  for (const name of [...LENIENT, 'sеarch', 'search/', 'x.search', '__proto__', '*', 'toString']) {
    const refused = await inVain(() => post(strict.url, toolCall(name, {})), name);
    // One that differs by its case alone may be told the price of what it is like.
    if (refused.message.result) assertPrice(refused.message.result, { amount: `${PRICE}` });
    else assertError(refused, -32_602);
    assertError(await inVain(() => post(own.url, toolCall(name, {})), name), -32_602);
  }
  for (const name of ['', 'search\n', 'search\u0000', '\u0085search', 'x'.repeat(129)]) {
    assertError(await inVain(() => post(gate.url, toolCall(name, {})), JSON.stringify(name)), -32_602);
  }
  for (const [tool, args] of [['search', {}], ['twin', {}]]) assertPrice(resultOf(await inVain(() => post(strict.url, toolCall(tool,
    args)))), { tool });
});

test('a name in other letters at an origin that does not care', async () => {
  const stolen = [];
  for (const name of LENIENT) {
    const before = origin.calls.length;
    await post(gate.url, toolCall(name, {}));
    const folded = (text) => text.normalize('NFKC').toLowerCase().replace(/[\s\u00ad\u200b\ufeff.]/g, '');
    if (origin.calls.slice(before).some(({ message }) => folded(message.params.name) === 'search')) stolen.push(name);
  }
  assert.deepEqual(stolen, []);
});

test('what is free for everybody else is no price of a tool that has one', async () => {
  const open = await startWorker({
    vars: { ...gated, ROUTES: { '/*': 'free' }, TOOLS: { search: '$0.01', '*': 'free' } }, secrets: SECRETS,
  });
  const stolen = [];
  const tried = [['/mcp/x', 'search'], ...LENIENT.map((name) => ['/mcp', name])];
  for (const [target, name] of tried) {
    const before = origin.calls.length;
    await post(open.url, toolCall(name, {}), { target });
    if (origin.calls.length > before) stolen.push([target, name]);
  }
  await open.stop();
  assert.deepEqual(stolen, []);
});

test('a tool that costs something is not called as a task, whose result other messages would fetch', async () => {
  const task = toolCall('search', {});
  task.params.task = { ttl: 60_000 };
  assertError(await inVain(() => post(gate.url, task)), -32_602);
  const free = toolCall('ping', {});
  free.params.task = { ttl: 60_000 };
  const before = origin.calls.length;
  await post(gate.url, free);
  assert.equal(origin.calls.length, before + 1, 'what is free may be one');
});

test('no stream is resumed by another spelling of its header', async () => {
  for (const name of ['Last-Event-ID', 'Last_Event_ID', 'last_event-id']) {
    await call(gate.url, '/mcp', { headers: { accept: 'text/event-stream', [name]: '1' } });
    assert.equal(origin.calls.at(-1).headers[name.toLowerCase()], undefined, name);
  }
});

/** Those of the messages that reach the origin under a header that names `search`; CGI and its heirs read `_` as `-`. */
async function misnamed(tried) {
  const passed = [];
  for (const [headers, message] of tried) {
    const before = origin.calls.length;
    await post(gate.url, message, { headers });
    const names = origin.calls.slice(before).flatMap(({ headers: got }) => [got['mcp-name'], got.mcp_name]);
    if (names.includes('search')) passed.push([headers, message.params]);
  }
  return passed;
}

test('a header that names another tool than the message', async () => {
  const messages = [request('ping'), toolCall('ping', {})];
  const headers = [{ 'Mcp-Name': 'search', 'Mcp-Method': 'tools/call' }, { 'Mcp-Name': 'search' }];
  assert.deepEqual(await misnamed(headers.flatMap((one) => messages.map((message) => [one, message]))), []);
  // What says the same is no harm.
  const { result, did } = await effects(() => post(gate.url, toolCall('ping', {}), { headers: { 'Mcp-Method': 'tools/call', 'Mcp-Name': 'ping' } }));
  assert.deepEqual(did, [1, 0, 0n]);
  assertSaid(result);
});

test('a header that names another tool, by another member or another spelling', async () => {
    const [byUri, byTask] = ['uri', 'taskId'].map((key) => request('tools/call', { name: 'ping', arguments: {}, [key]: 'search' }));
    const tried = [[{ 'Mcp-Name': 'search' }, byUri], [{ 'Mcp-Name': 'search' }, byTask], [{ Mcp_Name: 'search' }, toolCall('ping', {})]];
    assert.deepEqual(await misnamed(tried), []);
  });

// Arguments

test('arguments stay in their place: path, query and headers of the request that is made', async () => {
  const { key } = (await operator(own.url, { action: 'mint', credits: 50 })).json();
  const ask = (args) => effects(() => post(own.url, toolCall('weather', args), { headers: bearer(key) }));
  for (const units of ['c&city=porto', 'c#x', 'c?x', 'a=b', 'c\r\nX-Evil: 1', '%26', 'ç', '', '../x']) {
    const { did, result } = await ask({ city: 'lisbon', units });
    assert.deepEqual(did, [1, 0, 0n], result.text);
    const { pathname, searchParams } = new URL(origin.calls.at(-1).url, 'http://origin');
    assert.deepEqual([pathname, [...searchParams]], ['/weather/lisbon', [['units', units]]]);
    assert.equal(origin.calls.at(-1).headers['x-evil'], undefined);
  }
  for (const mood of ['a\r\nx-evil: 1', 'a\nb', 'a\u0000', 'ç', '\u2028', ['a'], { a: 1 }]) {
    const { did, result } = await ask({ city: 'lisbon', 'x-mood': mood });
    assert.deepEqual(did, [0, 0, 0n], result.text);
    assertError(result, -32_602);
  }
  for (const args of [
    { city: 'lisbon', 'X-Mood': 'a' }, { city: 'lisbon', authorization: 'Bearer x' }, { city: 'lisbon', 'payment-signature': 'x' },
    { city: 'lisbon', __proto__x: 1 },
    JSON.parse('{"city":"lisbon","__proto__":{"a":1}}'), { city: 'a/b' }, { city: '..' }, { city: '' }, { city: 'a%2fb' },
      { city: '\\' }, { body: 'x', city: 'lisbon' },
  ]) {
    const { did, result } = await ask(args);
    assert.deepEqual(did, [0, 0, 0n], result.text);
    assertError(result, -32_602);
  }
});

test('no operator can make an argument of what is money\'s, or of what only the gateway says', async () => {
  const names = ['authorization', 'Authorization', 'payment-signature', 'x-payment', 'sign-in-with-x', 'x-edge402-payer',
    'X_Edge402_Payer', 'x-forwarded-host', 'host', 'cookie', 'content-length', 'transfer-encoding', 'connection',
    'x-http-method-override', 'mcp-session-id'];
  const headers = Object.fromEntries(names.map((name) => [name, { type: 'string', example: 'x' }]));
  const worker = await startWorker({ vars: vars({ ROUTES: { 'GET /weather/x': { price: '$0.01', input: { headers } } } }), secrets: SECRETS });
  assert.equal((await post(worker.url, request('ping'))).status, 503);
  for (const name of names) await until(`${name} in the log`, () => worker.logs().includes(name));
  await worker.stop();
});

test('a key is nobody\'s but ours, wherever it is written', async () => {
  const mint = async ({ url }) => (await operator(url, { action: 'mint', credits: 20 })).json().key;
  for (const worker of [gate, own]) {
    const { url } = worker;
    const key = await mint(worker);
    const [name, args] = worker === own ? ['weather', { city: 'lisbon', 'x-mood': `Bearer ${key}` }] : ['search', { text: key }];
    for (const message of [toolCall(name, args), toolCall(name, args, { meta: { authorization: `Bearer ${key}`, Authorization: key } })]) {
      // In arguments and _meta it pays for nothing.
      assertPrice(resultOf(await inVain(() => post(url, message))), { tool: name });
      for (const how of [bearer(key), { authorization: `bearer ${key}` }]) {
        const { result, did } = await effects(() => post(url, message, { headers: how }));
        assert.deepEqual(did, [1, 0, 0n]);
        assertSaid(result);
        assert.equal(origin.calls.at(-1).headers.authorization, undefined);
      }
    }
    assertError(await inVain(() => post(url, toolCall(name, args, { payment: key }))), -32_602);
    assert.equal((await creditsOf(url, key)).available, 16);
  }
  // On what is free as well; somebody else's token passes.
  const key = await mint(gate);
  for (const message of [toolCall('ping', {}), request('tools/list')]) {
    for (const [authorization, arrives] of [[`Bearer ${key}`, undefined], [`Token ${key}`, undefined], ['Bearer theirs', 'Bearer theirs']]) {
      await post(gate.url, message, { headers: { authorization } });
      assert.equal(origin.calls.at(-1).headers.authorization, arrives);
    }
  }
  assert.equal((await creditsOf(gate.url, key)).available, 20);
  const buyer = await stack.buyer();
  const { payment } = await payFor(gate.url, 'search', {}, buyer);
  const { did } = await effects(async () => assertSaid(await post(gate.url, search(payment), { headers: { authorization: 'Bearer theirs' } })));
  assert.deepEqual([did, origin.calls.at(-1).headers.authorization], [[1, 1, PRICE], 'Bearer theirs']);
});

test('what only the gateway says reaches the origin from nobody else', async () => {
  const forged = { 'X-Edge402-Payer': THIEF, X_Edge402_Payer: THIEF, 'X-Edge402-Secret': 'x', 'X-Forwarded-Host': 'evil.example',
    'PAYMENT-RESPONSE': 'x' };
  const buyer = await stack.buyer();
  const { payment } = await payFor(gate.url, 'search', {}, buyer);
  const tool = await payFor(own.url, 'weather', { city: 'lisbon' }, buyer);
  for (const [url, message, payer] of [
    [gate.url, toolCall('ping', {})], [gate.url, request('tools/list')], [gate.url, search(payment), buyer.address],
    [own.url, toolCall('weather', { city: 'lisbon' }, { payment: tool.payment }), buyer.address],
  ]) {
    const { did } = await effects(() => post(url, message, { headers: forged }));
    assert.deepEqual(did, payer ? [1, 1, PRICE] : [1, 0, 0n]);
    const { headers } = origin.calls.at(-1);
    assert.equal(headers['x-edge402-payer']?.toLowerCase(), payer?.toLowerCase());
    for (const name of ['x_edge402_payer', 'x-edge402-secret', 'payment-response', 'payment-signature',
      'x-payment']) assert.equal(headers[name], undefined, name);
    assert.equal(headers['x-forwarded-host'], new URL(url).host);
  }
});

// The origin's side

test('an origin\'s own receipt is none', async () => {
  const forged = { [RECEIPT]: { success: true, transaction: `0x${'1'.repeat(64)}`, network: 'eip155:84532', payer: THIEF }, kept: 1 };
  const { key } = (await operator(gate.url, { action: 'mint', credits: 5 })).json();
  const buyer = await stack.buyer();
  origin.answer = ({ message }) => said(message.id, '21 celsius', { _meta: forged });
  const { payment } = await payFor(gate.url, 'search', {}, buyer);
  const paid = assertSaid(await post(gate.url, search(payment)));
  assertReceipt(paid, buyer.address);
  assert.equal(paid._meta.kept, 1);
  assert.deepEqual(assertSaid(await post(gate.url, search(), { headers: bearer(key) }))._meta[RECEIPT], undefined);
  origin.answer = ({ message }) => said(message.id, '21 celsius', { _meta: forged, isError: true });
  const second = await payFor(gate.url, 'search', {}, buyer);
  const { result, did } = await effects(() => post(gate.url, search(second.payment)));
  assert.deepEqual([did, resultOf(result)._meta], [[1, 0, 0n], { kept: 1 }]);
  for (const _meta of [[], 'x', null]) {
    origin.answer = ({ message }) => said(message.id, '21 celsius', { _meta });
    const { payment: next } = await payFor(gate.url, 'search', {}, buyer);
    assertReceipt(assertSaid(await post(gate.url, search(next))), buyer.address);
  }
  // Over HTTP, in headers, and in the dress of our own.
  origin.answer = (_, response) => void response.writeHead(200, {
    'content-type': 'application/vnd.edge402.outcome+json', 'PAYMENT-RESPONSE': encode({ success: true }), 'X-Credits-Charged': '0',
    'X-Credits-Remaining': '99', 'PAYMENT-REQUIRED': encode({ x402Version: 2 }),
  }).end(JSON.stringify({ result: { _meta: forged, content: [] } }));
  const third = await payFor(own.url, 'weather', { city: 'x' }, buyer);
  const honest = resultOf(await post(own.url, toolCall('weather', { city: 'x' }, { payment: third.payment })));
  assert.equal(assertReceipt(honest, buyer.address).transaction === forged[RECEIPT].transaction, false);
  assert.deepEqual(Object.keys(honest._meta), [RECEIPT]);
});

const stream = (...parts) => (_, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const part of parts) response.write(part);
  response.end();
};
const event = (message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`;

test('streams with no answer, another\'s, broken ones, and too many', async () => {
  const buyer = await stack.buyer();
  const { payment } = await payFor(gate.url, 'search', {}, buyer);
  const note = { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } };
  const asked = (ID) => ({ jsonrpc: '2.0', id: ID, method: 'sampling/createMessage', params: {} });
  // By the id that the origin was asked under, which is the gateway's own.
  const answers = (ID) => [
    stream(), stream(event(note)), stream(event(said(`${ID}0`))), stream(event(said(4711))), stream(event(asked(ID))),
      stream(`data: ${JSON.stringify(said(ID)).slice(0, -5)}`),
    stream(event({ jsonrpc: '2.0', id: ID })), stream(event([said(ID)])), stream(`: ${JSON.stringify(said(ID))}\n\n`),
    stream(event({ jsonrpc: '2.0', id: ID, result: 'celsius' })), stream(`data: {"jsonrpc":"2.0","id":"${ID}","id":1,"result":{"celsius":1}}\n\n`),
    (_, response) => void response.writeHead(202).end(), (_, response) => void response.writeHead(204).end(), (_, response) =>
      void response.writeHead(200).end(),
    (_, response) => void response.writeHead(302, { location: '/elsewhere' }).end(JSON.stringify(said(ID))),
    (_, response) => void response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify(said(ID))),
    (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify([said(ID)])),
    (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x7b, 0xff])),
    (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ ...said(ID),
      error: { code: 1, message: 'both' } })),
    (_, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(said(ID, 'celsius '.repeat(600_000)))),
    (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('{"jsonrpc"');
      setTimeout(() => response.destroy(), 20);
    },
    (_, response) => void response.destroy(),
  ];
  for (const [at, answer] of answers('ID').entries()) {
    origin.answer = (one, response) => {
      answers(one.message.id)[at](one, response);
      return false;
    };
    const { result, did } = await effects(() => post(gate.url, toolCall('search', {}, { payment, id: 4711 })));
    assert.deepEqual(did, [1, 0, 0n], `${answer} ${result.text.slice(0, 200)}`);
    assertNothingSaid(result);
    assert.ok(result.message.error || result.message.result.isError, `${answer} ${result.text.slice(0, 200)}`);
    assert.equal(result.message.id, 4711);
  }
  // Two answers are one, after whatever the server asks or tells meanwhile.
  origin.answer = (one, response) => {
    const { id } = one.message;
    stream(event(note), event(asked(id)), event(said(id, 'the first: 21 celsius')), event(said(id, 'the second')))(one, response);
    return false;
  };
  const { result, did } = await effects(() => post(gate.url, toolCall('search', {}, { payment, id: 4711 })));
  assert.deepEqual(did, [1, 1, PRICE]);
  assert.deepEqual(assertSaid(result).content, [{ type: 'text', text: 'the first: 21 celsius' }]);
  assert.doesNotMatch(result.text, /the second/);
  assert.equal(await transfersOf(buyer), 1);
});

test('streams that never end are not charged', async () => {
  const buyer = await stack.buyer();
  const { payment } = await payFor(gate.url, 'quick', {}, buyer);
  for (const begin of [undefined, ': wait\n\n', event({ jsonrpc: '2.0', method: 'notifications/progress',
    params: { progressToken: 1, progress: 1 } })]) {
    origin.answer = (_, response) => {
      if (begin) response.writeHead(200, { 'content-type': 'text/event-stream' }).write(begin);
      return false;
    };
    const { result, did } = await effects(() => post(gate.url, toolCall('quick', {}, { payment })));
    assert.deepEqual(did, [1, 0, 0n], result.text);
    assertRefusal(result, ['origin_timeout', 'origin_unreachable']);
  }
  origin.answer = undefined;
  const { did } = await effects(async () => assertSaid(await post(gate.url, toolCall('quick', {}, { payment }))));
  assert.deepEqual(did, [1, 1, PRICE]);
});

test('whatever the id: it is charged if and only if it is answered under that id', async () => {
  const buyer = await stack.buyer(2_000_000n);
  const written = (id, payment) => JSON.stringify(toolCall('search', {}, { payment, id: 'ID' })).replace('"ID"', id);
  for (const id of ['0', '-1', '1.0', '-0', '0.5', '1e3', '9007199254740993', '12345678901234567890123', '1e400', '-1e-400', '""',
    `"${'x'.repeat(50_000)}"`, '"\\u0061"', '"\\ud83d\\ude00"', '"__proto__"', '"1"']) {
    const { payment } = await payFor(gate.url, 'search', {}, buyer);
    const { result, did } = await effects(() => post(gate.url, written(id, payment)));
    if (result.status === 400) {
      assert.deepEqual(did, [0, 0, 0n], id);
      continue;
    }
    const answered = !result.message.error && !result.message.result.isError;
    assert.deepEqual(did, answered ? [1, 1, PRICE] : [1, 0, 0n], `${id}: ${result.text.slice(0, 300)}`);
    assert.deepEqual(result.message.id, JSON.parse(id), id.slice(0, 50));
    if (!answered) assertNothingSaid(result);
  }
});

/** Sends a call, hangs up when the origin's answer is under way, and has the origin finish it then. */
async function hangUp(message, headers) {
  let open;
  const held = new Promise((done) => (open = done));
  origin.answer = async ({ message: asked }, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': it is coming\n\n');
    await held;
    response.end(event(said(asked.id)));
    return false;
  };
  const before = origin.calls.length;
  const leaving = prepared(gate.url, message, { headers });
  await leaving.ready;
  leaving.release();
  await until('the origin is asked', () => origin.calls.length > before);
  // The headers are through, and more is awaited.
  await post(gate.url, toolCall('search', {}));
  leaving.socket.resetAndDestroy();
  // The Worker learns of the closed connection only when it gets around to it.
  await post(gate.url, toolCall('search', {}));
  open();
  origin.answer = undefined;
}

test('hanging up in the middle of a paid call buys nothing, and loses nothing', async () => {
  for (const tool of ['quick', 'first']) {
    const buyer = await stack.buyer();
    const { payment } = await payFor(gate.url, tool, {}, buyer);
    await hangUp(toolCall(tool, {}, { payment }));
    const answers = [];
    await until('it is over', async () => {
      const response = await post(gate.url, toolCall(tool, {}, { payment }));
      if (!resultOf(response).isError) answers.push(response);
      return resultOf(response).structuredContent?.code === 'payment_already_used' || void (await sleep(100));
    }, 60);
    assert.equal(answers.length, 1, tool);
    assert.equal(await transfersOf(buyer), 1);
  }
});

test('hanging up is no way to have a tool work for a key that is not charged', async () => {
  const { key } = (await operator(gate.url, { action: 'mint', credits: 2 })).json();
  await hangUp(toolCall('quick', {}), bearer(key));
  const shown = await until('it has ended', async () => {
    const now = await creditsOf(gate.url, key);
    return now.held === 0 && now;
  }, 40);
  assert.equal(shown.available, 1);
});

test('a result that was not paid for is not had by resuming its stream', async () => {
  const log = [];
  const events = {
    storeEvent: async (streamId, message) => `${log.push({ streamId, message }) - 1}`,
    getStreamIdForEventId: async (id) => log[Number(id)]?.streamId,
    replayEventsAfter: async (id, { send }) => {
      const { streamId } = log[Number(id)];
      for (const [at, one] of log.entries()) if (at > Number(id) && one.streamId === streamId) await send(`${at}`, one.message);
      return streamId;
    },
  };
  const resumable = await startMcpOrigin({ events });
  const worker = await startWorker({ vars: { ...gated, ORIGIN: resumable.url }, secrets: SECRETS });
  const begun = await post(worker.url, request('initialize', { protocolVersion: '2025-11-25', capabilities: {},
    clientInfo: { name: 'x', version: '1' } }));
  const session = { 'mcp-session-id': begun.headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' };
  const buyer = await stack.buyer();
  const { payment } = await payFor(worker.url, 'search', {}, buyer);
  const refusal = { success: false, errorReason: 'insufficient_funds', transaction: '', network: 'eip155:84532', payer: buyer.address };
  proxy.fault = (path) => (path === '/settle' ? { body: refusal } : undefined);
  assertPrice(resultOf(await post(worker.url, search(payment), { headers: session })), { tool: 'search' });
  assert.equal(resumable.ran.length, 1);
  const stolen = [];
  for (const id of log.keys()) {
    const answer = await fetch(`${worker.url}/mcp`, { headers: { ...session, accept: 'text/event-stream',
      'last-event-id': `${id}` }, signal: AbortSignal.timeout(300) }).catch(() => undefined);
    const reader = answer?.body?.getReader();
    for (;;) {
      const { value, done } = (await reader?.read().catch(() => ({ done: true }))) ?? { done: true };
      if (done) break;
      if (/celsius/.test(Buffer.from(value).toString())) stolen.push(id);
    }
  }
  await worker.stop();
  assert.equal(await transfersOf(buyer), 0);
  assert.deepEqual(stolen, []);
});
