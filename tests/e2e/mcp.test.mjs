// The Worker's own MCP server: priced routes as tools. The official MCP clients find them, are told the price, pay it and
// get the origin's answer, for exactly the price.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { validateDiscoveryExtension } from '@x402/extensions/bazaar';
import { x402Client } from '@x402/fetch';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { call, effectsOf, NETWORK, startStack, V1_NETWORK, withoutEffect } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import {
  assertError, assertPrice, assertReceipt, assertRefusal, assertSaid, CREDITS, payFor, PAYMENT, post, RECEIPT, request,
  resultOf, toolCall,
} from './mcp.mjs';
import { ROOT, stopEverything } from './stack/processes.mjs';
import { pythonOfTheMcpClient } from './stack/python.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { chain, origin, proxy, seller } = stack;
const text = { type: 'string', example: 'a text' };
const ROUTES = {
  'GET /weather/:city': {
    price: '$0.001', name: 'weather', description: 'Weather of a city',
    input: { path: { city: 'A city' }, query: { units: { type: 'string', enum: ['c', 'f'] } } },
  },
  'GET /weather/palace/:room': { price: '$1', name: 'palace', input: {} },
  'GET /weather/before/:city': { price: '$0.002', name: 'before', settle: 'before', input: {} },
  'GET /weather/tests/:city': { price: '$0.001', name: 'no_keys', credits: 'none', input: {} },
  'POST /echo': { price: '$0.01', input: { body: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] } } },
  'PUT /echo': { price: '$0.001', name: 'shout', input: { body: text, body_type: 'text', headers: { 'x-mood': 'How it is said' } } },
  'PATCH /echo': { price: '$0.001', name: 'fill_in', input: { body: { type: 'object', example: { a: 'b' } }, body_type: 'form' } },
  'GET /slow': { price: '$0.001', name: 'binary', input: { query: { bytes: 'How many', ms: 'How long' } } },
  'GET /status/:code': { price: '$0.001', name: 'status', input: { path: { code: { type: 'integer', example: 200 } } } },
  'GET /gzip': { price: '$0.001', name: 'packed', input: {} },
  'GET /redirect': { price: '$0.001', name: 'redirect', input: {} },
  'GET /reset': { price: '$0.001', name: 'reset', input: {} },
  'GET /hang': { price: '$0.001', name: 'hang', input: {}, timeout_seconds: 1 },
  'GET /weather/hidden/:city': '$0.001',
};
const worker = await startWorker({
  vars: stack.vars({ ROUTES, PACKAGES, CREDIT_VALUE: '$0.001', SERVICE: { name: 'A weather service' } }), secrets: SECRETS,
});
const { url } = worker;
// Whether the origin has a server of its own is asked once: it is no call of any test's.
before(() => post(url, request('ping')));
afterEach(() => proxy.reset());
after(stopEverything);

/** The official client, connected; what it sends beside the messages is in `headers`. */
async function connected(headers = {}) {
  const client = new Client({ name: 'a test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', url), { requestInit: { headers } }));
  return client;
}

/** A tool's price by the official client, and its payment by the official signer. */
async function payment(client, name, args, account) {
  const unpaid = await client.callTool({ name, arguments: args });
  const required = assertPrice(unpaid, { tool: name });
  const payer = x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(account) }] });
  return payer.createPaymentPayload(required);
}

/** The receipt's transaction holds exactly this transfer, and the payer has made no other. */
async function assertOnChain(receipt, payer, value) {
  const transfers = await chain.transfers({ from: payer });
  assert.deepEqual(transfers.map((one) => [one.to, one.value, one.transactionHash]), [[seller, value, receipt.transaction]]);
}

/** Pays for one call by hand, and asserts what it did: one call, `price` atoms. */
async function paid(name, args, price, { spelling = 'v2' } = {}) {
  const buyer = await stack.buyer(2_000_000n);
  const signed = await payFor(url, name, args, buyer);
  const { result, calls, earned } = await effectsOf(stack, () => post(url, toolCall(name, args, { payment: signed.json[spelling] })));
  assert.deepEqual([calls.origin, calls.settle, earned], [1, price ? 1 : 0, price], result.text);
  return { response: result, result: resultOf(result), buyer };
}

// The official clients

for (const [name, args, price, upfront] of [['weather', { city: 'lisbon', units: 'c' }, 1000n, false], ['before', { city: 'lisbon' }, 2000n, true]]) {
  test(`@modelcontextprotocol/sdk and @x402 pay for ${name}`, async () => {
    const buyer = await stack.buyer();
    const client = await connected();
    const signed = await withoutEffect(stack, () => payment(client, name, args, buyer));
    let asked;
    const before = origin.calls.length;
    proxy.fault = (path) => void (path === '/settle' && (asked = origin.calls.length - before));
    const { result, calls, earned } = await effectsOf(stack, () =>
      client.callTool({ name, arguments: args, _meta: { [PAYMENT]: signed } }));
    assert.deepEqual([calls.origin, calls.settle, earned], [1, 1, price]);
    assert.equal(asked, upfront ? 0 : 1, 'the order of origin and settlement');
    assert.ok(!result.isError, JSON.stringify(result));
    assert.deepEqual(result.structuredContent, { city: name === 'before' ? 'before' : 'lisbon', sky: 'clear', celsius: 21 });
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
    const receipt = assertReceipt(result, buyer.address);
    assert.equal(receipt.network, NETWORK);
    await assertOnChain(receipt, buyer.address, price);
    assert.equal(await chain.balanceOf(buyer.address), 1_000_000n - price);
    const { url: asked_, headers } = origin.calls.at(-1);
    assert.equal(asked_, name === 'before' ? '/weather/before/lisbon' : '/weather/lisbon?units=c');
    assert.equal(headers['x-edge402-payer'].toLowerCase(), buyer.address.toLowerCase());
    for (const [header] of Object.entries(headers)) assert.doesNotMatch(header, /^(mcp-|payment|x-payment)/);
    await client.close();
  });
}

test('the official client lists the tools: their prices, what they take, and nothing of other routes', async () => {
  const client = await connected();
  assert.equal(client.getServerVersion().name, 'A weather service');
  const { tools } = await withoutEffect(stack, () => client.listTools());
  const names = tools.map(({ name }) => name).sort();
  const wanted = ['before', 'binary', 'fill_in', 'hang', 'no_keys', 'packed', 'palace', 'post_echo', 'redirect', 'reset', 'shout',
    'status', 'weather'];
  assert.deepEqual(names, wanted);
  const weather = tools.find(({ name }) => name === 'weather');
  assert.match(weather.description, /^Weather of a city.*\$0\.001/);
  assert.deepEqual(weather.inputSchema.properties.units, { type: 'string', enum: ['c', 'f'] });
  assert.deepEqual(weather.inputSchema.required, ['city']);
  const echo = tools.find(({ name }) => name === 'post_echo');
  assert.deepEqual(echo.inputSchema.properties.body.required, ['text']);
  assert.equal(echo.annotations?.readOnlyHint ?? false, false, 'a POST is not said to read only');
  for (const { inputSchema } of tools) assert.equal(inputSchema.type, 'object');
  await client.ping();
  await client.close();
});

test('the price names the tool, and can be paid by what it says alone', async () => {
  const { response, result } = await withoutEffect(stack, async () => {
    const response = await post(url, toolCall('weather', { city: 'lisbon' }));
    return { response, result: resultOf(response) };
  });
  const required = assertPrice(result, { tool: 'weather', amount: '1000', network: NETWORK });
  assert.equal(required.resource.description, 'Weather of a city');
  assert.equal(required.accepts[0].payTo, seller);
  assert.match(response.headers['cache-control'], /no-store/);
  const { bazaar, 'payment-identifier': identifier } = required.extensions;
  assert.deepEqual(validateDiscoveryExtension(bazaar), { valid: true });
  assert.equal(bazaar.info.input.type, 'mcp');
  assert.equal(bazaar.info.input.toolName, 'weather');
  assert.deepEqual(bazaar.info.input.inputSchema.required, ['city']);
  assert.equal(identifier.info.required, false);
  // A sign-in is a request's header, and there is none to sign for.
  assert.equal(required.extensions['sign-in-with-x'], undefined);
});

test('every tool\'s bazaar extension is sound', async () => {
  const { tools } = resultOf(await post(url, request('tools/list')));
  for (const { name } of tools) {
    const { extensions } = assertPrice(resultOf(await withoutEffect(stack, () => post(url, toolCall(name, {})))), { tool: name });
    assert.deepEqual(validateDiscoveryExtension(extensions.bazaar), { valid: true }, name);
  }
});

test('a key instead of a payment, until it is spent', async () => {
  const { key } = (await operator(url, { action: 'mint', credits: 2 })).json();
  const client = await connected(bearer(key));
  for (const remaining of ['1', '0']) {
    const { result, calls, earned } = await effectsOf(stack, () => client.callTool({ name: 'weather', arguments: { city: 'lisbon' } }));
    assert.deepEqual([calls.origin, calls.settle, earned], [1, 0, 0n]);
    assert.equal(result.structuredContent.celsius, 21);
    assert.deepEqual(result._meta[CREDITS], { charged: '1', remaining });
    assert.equal(result._meta[RECEIPT], undefined);
    assert.equal(origin.calls.at(-1).headers.authorization, undefined);
  }
  const required = assertPrice(await withoutEffect(stack, () => client.callTool({ name: 'weather',
    arguments: { city: 'lisbon' } })), { tool: 'weather', amount: '1000' });
  assert.equal(required.error, 'insufficient_credits');
  await client.close();
  // A failure costs nothing.
  const other = (await operator(url, { action: 'mint', credits: 1 })).json().key;
  const failed = resultOf(await post(url, toolCall('status', { code: 500 }), { headers: bearer(other) }));
  assert.equal(failed.isError, true);
  assert.equal((await creditsOf(url, other)).available, 1);
});

test('too few credits: the price comes with the shortfall', async () => {
  const { key } = (await operator(url, { action: 'mint', credits: 1 })).json();
  const http = (await call(url, '/weather/before/lisbon', { headers: bearer(key) })).json();
  const { structuredContent } = resultOf(await post(url, toolCall('before', { city: 'lisbon' }), { headers: bearer(key) }));
  const shortfall = ({ balance, required, topUpUrl }) => ({ balance, required, topUpUrl });
  assert.deepEqual(shortfall(structuredContent), shortfall(http));
});

test('no key, a revoked key, and a tool that takes none', async () => {
  const { key, account } = (await operator(url, { action: 'mint', credits: 2 })).json();
  const ask = (name, token) => withoutEffect(stack, () => post(url, toolCall(name, { city: 'lisbon' }), { headers: bearer(token) }));
  assertRefusal(await ask('weather', `${key.slice(0, -1)}${key.endsWith('0') ? 1 : 0}`), 'key_unknown');
  assertRefusal(await ask('no_keys', key), 'credential_not_supported');
  await operator(url, { action: 'revoke', account });
  assertRefusal(await ask('weather', key), 'key_revoked');
  // Somebody else's token is not about money.
  assertPrice(resultOf(await ask('weather', 'somebody-elses')), { tool: 'weather' });
});

test('a payment of version 1', async () => {
  const { result, buyer } = await paid('weather', { city: 'lisbon' }, 1000n, { spelling: 'v1' });
  assert.equal(result.structuredContent.celsius, 21);
  const receipt = assertReceipt(result, buyer.address);
  assert.equal(receipt.network, V1_NETWORK);
  await assertOnChain(receipt, buyer.address, 1000n);
});

test('two payments are two answers', async () => {
  const buyer = await stack.buyer();
  const client = await connected();
  const receipts = [];
  for (const city of ['lisbon', 'porto']) {
    const signed = await payment(client, 'weather', { city }, buyer);
    const result = await client.callTool({ name: 'weather', arguments: { city }, _meta: { [PAYMENT]: signed } });
    assert.equal(result.structuredContent.city, city);
    receipts.push(assertReceipt(result, buyer.address).transaction);
  }
  assert.notEqual(receipts[0], receipts[1]);
  assert.equal((await chain.transfers({ from: buyer.address, to: seller })).length, 2);
  await client.close();
});

test('PyPI\'s mcp and x402 list the tools, pay, and have the answer', async () => {
  const python = await pythonOfTheMcpClient();
  const privateKey = generatePrivateKey();
  const { address } = privateKeyToAccount(privateKey);
  await chain.mint(address, 1_000_000n);
  const program = [join(ROOT, 'tests/e2e/stack/mcp-client.py'), `${url}/mcp`, 'weather', JSON.stringify({ city: 'lisbon' })];
  const { result, calls, earned } = await effectsOf(stack, () =>
    promisify(execFile)(python, program, { env: { PATH: process.env.PATH, PRIVATE_KEY: privateKey } }));
  assert.deepEqual([calls.origin, calls.settle, earned], [1, 1, 1000n]);
  const { tools, paid: paidFor, error, content, receipt } = JSON.parse(result.stdout);
  assert.ok(tools.includes('weather') && tools.includes('post_echo'), `${tools}`);
  assert.deepEqual([paidFor, error], [true, false]);
  assert.deepEqual(JSON.parse(content[0].text), { city: 'lisbon', sky: 'clear', celsius: 21 });
  assert.equal(receipt.success, true);
  await assertOnChain(receipt, address, 1000n);
});

// What an origin answers, as a tool's result

test('answers of every kind', async () => {
  const echo = await paid('post_echo', { body: { text: 'Olá', n: 1 } }, 10_000n);
  assert.match(echo.result.content[0].text, /\n\{"text":"Olá","n":1\}$/);
  assert.equal(origin.calls.at(-1).headers['content-type'], 'application/json');
  const shout = await paid('shout', { body: 'so be it', 'x-mood': 'calm' }, 1000n);
  assert.match(shout.result.content[0].text, /\nso be it$/);
  assert.equal(shout.result.structuredContent, undefined);
  assert.deepEqual([origin.calls.at(-1).method, origin.calls.at(-1).headers['x-mood']], ['PUT', 'calm']);
  const form = await paid('fill_in', { body: { a: 'b & c', list: [1, 2] } }, 1000n);
  assert.match(form.result.content[0].text, /\na=b%20%26%20c&list=1&list=2$/);
  const binary = await paid('binary', { bytes: 70_000, ms: 1 }, 1000n);
  const [{ type, resource }] = binary.result.content;
  assert.deepEqual([type, resource.mimeType], ['resource', 'application/octet-stream']);
  assert.ok(Buffer.from(resource.blob, 'base64').equals(Buffer.alloc(70_000, 'x')));
  const packed = await paid('packed', {}, 1000n);
  assert.deepEqual(packed.result.structuredContent, { packed: true });
});

test('every kind of result is one to the official client', async () => {
  const buyer = await stack.buyer();
  const client = await connected();
  for (const [name, args] of [['binary', { bytes: 10, ms: 1 }], ['shout', { body: 'x' }], ['packed', {}], ['status', { code: 404 }]]) {
    const signed = await payment(client, name, args, buyer);
    const result = await client.callTool({ name, arguments: args, _meta: { [PAYMENT]: signed } });
    assert.equal(Boolean(result.isError), name === 'status', name);
  }
  await client.close();
});

test('what failed is not charged', async () => {
  const buyer = await stack.buyer();
  for (const [name, args, code] of [['status', { code: 404 }], ['status', { code: 500 }], ['redirect', {}], ['reset', {},
    'origin_unreachable'], ['hang', {}, 'origin_timeout']]) {
    const { payment: signed } = await payFor(url, name, args, buyer);
    const { result, calls, earned } = await effectsOf(stack, () => post(url, toolCall(name, args, { payment: signed })));
    assert.deepEqual([calls.origin, calls.settle, earned], [1, 0, 0n], name);
    const said = resultOf(result);
    assert.equal(said.isError, true, result.text);
    assert.equal(said._meta?.[RECEIPT], undefined);
    if (code) assertRefusal(result, code);
    assert.equal((await chain.transfers({ from: buyer.address })).length, 0);
  }
});

// Money is not moved by mistakes

test('wrong arguments: the price without a payment, an error with one, and no charge', async () => {
  const buyer = await stack.buyer();
  const { key } = (await operator(url, { action: 'mint', credits: 5 })).json();
  const { payment: signed } = await payFor(url, 'weather', { city: 'lisbon' }, buyer);
  for (const [name, args] of [
    ['weather', {}], ['weather', { city: 'lisbon', town: 'x' }], ['weather', { city: '' }], ['weather', { city: null }], ['weather', { city: ['a'] }],
    ['weather', { city: { a: 1 } }], ['weather', { city: 'lisbon', units: { a: 1 } }], ['post_echo', {}], ['shout', { body: { a: 1 } }],
    ['shout', { body: 'x', 'x-mood': 'a\nb' }],
  ]) {
    const said = JSON.stringify([name, args]);
    assertPrice(resultOf(await withoutEffect(stack, () => post(url, toolCall(name, args)))), { tool: name });
    assertError(await withoutEffect(stack, () => post(url, toolCall(name, args, { payment: signed }))), -32_602, said);
    assertError(await withoutEffect(stack, () => post(url, toolCall(name, args), { headers: bearer(key) })), -32_602, said);
  }
  assert.equal((await creditsOf(url, key)).available, 5);
  const { earned } = await effectsOf(stack, async () => assertSaid(await post(url, toolCall('weather', { city: 'lisbon' }, { payment: signed }))));
  assert.equal(earned, 1000n, 'the payment is as good as before');
});

test('arguments that are another route\'s are refused: nobody has the palace at the price of a hut', async () => {
  const { payment: signed } = await payFor(url, 'weather', { city: 'lisbon' }, await stack.buyer());
  const { payment: dear } = await payFor(url, 'palace', { room: 'blue' }, await stack.buyer(2_000_000n));
  assert.ok(dear);
  const ask = (city, how) => effectsOf(stack, () => post(url, toolCall('weather', { city }, { payment: how })));
  for (const city of ['palace/blue', 'palace%2fblue', '../weather/palace/blue', '..', '.', 'palace;x/blue', 'a/../palace/blue',
    '\\', 'palace\\blue', 'palace%3fblue', 'a\u0000b', ';', '%2e%2e']) {
    const { result, calls, earned } = await ask(city, signed);
    assertError(result, -32_602);
    assert.deepEqual([calls.origin, calls.settle, earned], [0, 0, 0n], `${city}: ${result.text}`);
  }
  // Odd names are names all the same: what was asked for is what the origin is asked for, in one segment.
  for (const city of ['São Paulo', 'a b', 'a&b=c', 'a?b', 'a#b', 'a:b', '7', '%', 'ＰＡＬＡＣＥ', 'palace']) {
    const own = await payFor(url, 'weather', { city: 'lisbon' }, await stack.buyer());
    const { result, calls, earned } = await ask(city, own.payment);
    assertSaid(result);
    assert.deepEqual([calls.origin, calls.settle, earned], [1, 1, 1000n], `${city}: ${result.text}`);
    const [, weather, name, more] = origin.calls.at(-1).url.split('/');
    assert.deepEqual([weather, decodeURIComponent(name), more], ['weather', city, undefined]);
  }
});

test('no such tool, no such method, no parameters', async () => {
  for (const [message, code] of [
    [toolCall('Weather', { city: 'lisbon' }), -32_602], [toolCall('nothing', {}), -32_602], [toolCall('', {}), -32_602],
    [request('tools/call'), -32_602], [request('tools/call', { name: 7 }), -32_602], [request('tools/call', { name: 'weather',
    arguments: [] }), -32_602],
    [request('tools/call', { name: 'weather', arguments: { city: 'x' }, _meta: { [PAYMENT]: 'a text' } }), -32_602],
    [request('resources/list'), -32_601], [request('server/discover'), -32_601],
  ]) {
    const response = await withoutEffect(stack, () => post(url, message));
    assertError(response, code);
    assert.deepEqual(response.message.id, message.id);
  }
  // A route that does not say what it takes is no tool, and what is sold over HTTP alone.
  assertError(await post(url, toolCall('get_weather_hidden_city', { city: 'x' })), -32_602);
});

test('a name that was given is nobody else\'s', async () => {
  const routes = { 'GET /a/b': { price: '$0.001', name: 'get_a_b', input: {} }, 'GET /a-b': { price: '$0.002', input: {} } };
  const named = await startWorker({ vars: stack.vars({ ROUTES: routes, DISCOVERY: { mcp: '/mcp' } }) });
  const { accepts } = assertPrice(resultOf(await post(named.url, toolCall('get_a_b', {}))), { tool: 'get_a_b' });
  await named.stop();
  assert.equal(accepts[0].amount, '1000');
});

test('an MCP server alone can be sold', async () => {
  const alone = await startWorker({ vars: stack.vars({ MCP: 'origin:/mcp', TOOLS: { search: '$0.01' } }) });
  const response = await post(alone.url, toolCall('search', {}));
  await alone.stop();
  assertPrice(resultOf(response), { tool: 'search', amount: '10000' });
});

// The transport

test('versions are negotiated, and a version that nobody speaks is refused', async () => {
  const initialize = (protocolVersion) => post(url, request('initialize', { protocolVersion, capabilities: {},
    clientInfo: { name: 'x', version: '1' } }));
  for (const version of ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']) {
    assert.equal(resultOf(await initialize(version)).protocolVersion, version);
    assert.ok(resultOf(await post(url, request('tools/list'), { headers: { 'MCP-Protocol-Version': version } })).tools.length > 0);
  }
  for (const version of ['1999-01-01', '2099-01-01', '', undefined]) {
    assert.equal(resultOf(await initialize(version)).protocolVersion, '2025-11-25');
  }
  for (const version of ['1999-01-01', '2025-06-18, 2025-06-18', 'x']) {
    const response = await withoutEffect(stack, () => post(url, request('tools/list'), { headers: { 'MCP-Protocol-Version': version } }));
    assert.deepEqual([response.status, response.message.error.code], [400, -32_600], version);
  }
});

test('notifications, other methods and batches', async () => {
  const silent = await withoutEffect(stack, () => post(url, { jsonrpc: '2.0', method: 'notifications/initialized' }));
  assert.deepEqual([silent.status, silent.text], [202, '']);
  for (const method of ['GET', 'DELETE', 'PUT', 'PATCH', 'HEAD']) {
    const refused = await withoutEffect(stack, () => call(url, '/mcp', { method, headers: { accept: 'text/event-stream' } }));
    assert.deepEqual([refused.status, refused.headers.allow], [405, 'POST'], method);
  }
  for (const body of ['[]', JSON.stringify([toolCall('weather', { city: 'lisbon' })]), JSON.stringify([request('ping'), request('ping')])]) {
    const refused = await withoutEffect(stack, () => post(url, body));
    assert.deepEqual([refused.status, refused.message.error.code], [400, -32_600], body);
  }
  for (const [body, code] of [['', -32_700], ['{', -32_700], ['7', -32_600], ['{}', -32_600],
    ['{"jsonrpc":"1.0","id":1,"method":"ping"}', -32_600]]) {
    const refused = await withoutEffect(stack, () => post(url, body));
    assert.deepEqual([refused.status, refused.message.error.code], [400, code], body);
  }
});

test('a browser may ask from anywhere', async () => {
  const preflight = await withoutEffect(stack, () => call(url, '/mcp', {
    method: 'OPTIONS',
    headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type, mcp-protocol-version, authorization' },
  }));
  assert.equal(preflight.status, 204);
  assert.ok(['*', 'https://app.example'].includes(preflight.headers['access-control-allow-origin']));
  assert.match(preflight.headers['access-control-allow-methods'], /POST|\*/);
  for (const header of ['content-type', 'mcp-protocol-version',
    'authorization']) assert.match(preflight.headers['access-control-allow-headers'], new RegExp(header, 'i'));
  const answer = await post(url, request('ping'), { headers: { Origin: 'https://app.example' } });
  assert.ok(['*', 'https://app.example'].includes(answer.headers['access-control-allow-origin']));
});
