// A server that answers at more paths than the one that is gated: many mount theirs twice, or take messages wherever they
// are posted. What may be a message is gated wherever nobody has said that the path is free; all else passes to the byte.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { call, startStack } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { assertNothingSaid, assertPrice, assertReceipt, assertRefusal, assertSaid, payFor, post, request, resultOf, toolCall } from './mcp.mjs';
import { startRawOrigin } from './stack/mcp-origin.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const origin = await startRawOrigin();
const TOOLS = { search: '$0.01', ping: 'free' };
const start = (more) => startWorker({
  vars: stack.vars({ ORIGIN: origin.url, MCP: 'origin:/mcp', TOOLS, PACKAGES, CREDIT_VALUE: '$0.01', DEFAULT: 'pass', ...more }), secrets: SECRETS,
});
const [open, named, wide] = await Promise.all([
  start({ ROUTES: { 'GET /weather/*': '$0.01' } }),
  start({ ROUTES: { '/hooks': 'free', 'POST /jobs/*': 'free', '/mcp/*': 'free', 'POST /sold': '$1' } }),
  start({ ROUTES: { '/*': 'free' } }),
]);
afterEach(() => (origin.answer = undefined));
after(stopEverything);

const ELSEWHERE = ['/', '/x', '/api/mcp', '/v2/mcp/', '/messages', '/sse?sessionId=1', '/weather/lisbon', '/mcp2'];
const CALL = JSON.stringify(toolCall('search', { text: 'a' }, { id: 1 }));
const JSON_TYPE = { 'content-type': 'application/json' };
const send = (url, target, body, { method = 'POST', headers = JSON_TYPE } = {}) => call(url, target, { method, headers, body });
const chunked = (body) => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`;

/** Nothing reaches the origin, and not a word of an answer. */
async function inVain(act, what) {
  const before = origin.calls.length;
  const response = await act();
  assert.equal(origin.calls.length, before, `${what}: it reached the origin; ${response.status} ${response.text}`);
  assertNothingSaid(response);
  return response;
}
/** It reaches the origin as it is. */
async function passes(url, target, body, { exact, ...options } = {}) {
  const before = origin.calls.length;
  const response = await send(url, target, body, options);
  assert.equal(origin.calls.length, before + 1, `${target}: ${response.status} ${response.text}`);
  const one = origin.calls.at(-1);
  assert.equal(one.url, target);
  // A tool's call is written anew where it is gated: its payment is taken out.
  if (one.message?.method === 'tools/call' && !exact) assert.deepEqual(one.message, JSON.parse(body));
  else assert.ok(one.body.equals(Buffer.from(body)), `${target}: ${one.body.length} bytes for ${Buffer.byteLength(body)}`);
  return { ...one, status: response.status };
}

test('at the server\'s own path a call has its price, is refused by PUT, and is paid for', async () => {
  assertPrice(resultOf(await inVain(() => post(open.url, CALL), '/mcp')), { tool: 'search', amount: '10000' });
  for (const method of ['PUT', 'PATCH']) assert.equal((await inVain(() => send(open.url, '/mcp', CALL, { method }), method)).status, 405);
  const buyer = await stack.buyer();
  const { payment } = await payFor(open.url, 'search', {}, buyer);
  assertReceipt(assertSaid(await post(open.url, toolCall('search', {}, { payment }))), buyer.address);
});

test('a call has its price at any path that nobody has named', async () => {
  for (const worker of [open, named, wide]) {
    for (const target of ELSEWHERE) {
      const response = await inVain(() => post(worker.url, CALL, { target }), target);
      assertPrice(resultOf(response), { tool: 'search', amount: '10000' });
      assert.equal(response.message.id, 1);
    }
  }
});

test('whatever the body is said to be, and however it is sent', async () => {
  for (const type of ['application/json', 'application/json; charset=utf-8', 'text/plain', 'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x', 'application/octet-stream', 'image/png', 'x', '', undefined]) {
    const headers = type === undefined ? {} : { 'content-type': type };
    const response = await inVain(() => send(open.url, '/x', CALL, { headers }), type);
    assert.ok(response.status === 400 || response.json().result.isError, `${type}: ${response.status} ${response.text}`);
  }
  const inChunks = await inVain(() => send(open.url, '/x', chunked(CALL), { headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' } }), 'chunks');
  assertPrice(inChunks.json().result, { tool: 'search' });
  // Some strip what stands before it, and some read a batch.
  for (const body of [` \r\n\t${CALL}`, `\ufeff${CALL}`, `[${CALL}]`, ` [ ${CALL} ]`, `[{"a":1},${CALL}]`, CALL.replace('"method"', '"Method"'),
    CALL.replace('tools/call', 'tools\\/call'), CALL.replace('"method"', '"\\u006dethod"'), CALL.replace('"tools/call"', '"ping","method":"tools/call"'),
    CALL.replace('tools/call', 'Tools/Call')]) {
    const response = await inVain(() => send(open.url, '/x', body), body);
    assert.ok(response.status === 400 || response.json().result.isError, `${body}: ${response.status} ${response.text}`);
  }
});

test('other methods than POST are for no message', async () => {
  for (const method of ['PUT', 'PATCH']) {
    for (const target of ELSEWHERE) {
      assert.equal((await inVain(() => send(open.url, target, CALL, { method }), `${method} ${target}`)).status, 405, `${method} ${target}`);
    }
  }
  for (const method of ['QUERY', 'PROPFIND', 'SEARCH', 'REPORT', 'LINK', 'post']) {
    const refused = await inVain(() => send(open.url, '/x', CALL, { method }).catch(({ message }) => ({ status: 0, text: message })), method);
    assert.ok(refused.status === 0 || refused.status >= 400, `${method}: ${refused.status}`);
  }
  for (const method of ['PUT', 'PATCH']) await passes(open.url, '/x', '{"topic":"x"}', { method });
  for (const method of ['GET', 'DELETE']) await passes(open.url, '/x', '', { method });
});

test('what cannot be looked at, and what is too long to be: refused', async () => {
  for (const [body, encoding] of [[gzipSync(CALL), 'gzip'], [gzipSync(CALL), 'x-gzip'], [CALL, 'gzip'], [CALL, 'br'], [gzipSync(CALL), 'identity, gzip'],
    [gzipSync('{"topic":"x"}'), 'gzip']]) {
    const refused = await inVain(() => send(open.url, '/x', body, { headers: { ...JSON_TYPE, 'content-encoding': encoding } }), encoding);
    assert.equal(refused.status, 400, refused.text);
  }
  const long = JSON.stringify({ ...JSON.parse(CALL), pad: 'x'.repeat(1024 * 1024) });
  for (const body of [long, `[${long}]`, `${' '.repeat(1024 * 1024)}${CALL}`, JSON.stringify({ pad: 'x'.repeat(1024 * 1024), ...JSON.parse(CALL) })]) {
    assert.equal((await inVain(() => send(open.url, '/x', body), 'a long one')).status, 400);
    const headers = { ...JSON_TYPE, 'transfer-encoding': 'chunked' };
    assert.equal((await inVain(() => send(open.url, '/x', chunked(body), { headers }), 'a long one in chunks')).status, 400);
  }
});

test('what is longer passes where the path is named as free', async () => {
  const long = Buffer.concat([Buffer.from('%PDF'), randomBytes(3 * 1024 * 1024)]);
  for (const target of ['/hooks', '/jobs/7']) await passes(named.url, target, long, { headers: { 'content-type': 'application/pdf' } });
});

test('a call elsewhere is paid for as one at the server\'s own path, once', async () => {
  for (const target of ['/x', '/api/mcp']) {
    const buyer = await stack.buyer();
    const { payment } = await payFor(open.url, 'search', {}, buyer, { target });
    const before = origin.calls.length;
    assertReceipt(assertSaid(await post(open.url, toolCall('search', { text: 'a' }, { payment }), { target })), buyer.address);
    assert.deepEqual(origin.calls.slice(before).map(({ url, message }) => [url, message.params.name, message.params._meta]), [[target, 'search', undefined]]);
    assertRefusal(await inVain(() => post(open.url, toolCall('search', { text: 'a' }, { payment }), { target }), target), 'payment_already_used');
    assert.equal((await stack.chain.transfers({ from: buyer.address, to: stack.seller })).length, 1);
    const { key } = (await operator(open.url, { action: 'mint', credits: 2 })).json();
    assertSaid(await post(open.url, toolCall('search', {}), { target, headers: bearer(key) }));
    assert.equal((await creditsOf(open.url, key)).available, 1);
    assert.equal(origin.calls.at(-1).headers.authorization, undefined);
  }
});

test('free messages pass as they are, wherever they are sent', async () => {
  for (const target of ['/mcp', ...ELSEWHERE]) {
    for (const message of [request('ping', undefined, 1), request('tools/list', {}, 'a text'), toolCall('ping', {}),
      { jsonrpc: '2.0', method: 'notifications/initialized' }, { jsonrpc: '2.0', id: 4, result: {} }]) {
      await passes(open.url, target, JSON.stringify(message), { headers: { ...JSON_TYPE, accept: 'application/json, text/event-stream' } });
    }
  }
});

const binary = Buffer.concat([Buffer.from([0, 1, 2]), randomBytes(100_000)]);
const PASSING = {
  'JSON that is no message': ['{"topic":"x","n":[1,2.50,1e2]}', 'application/json'],
  'JSON that is no message, spaced as it likes': [' {\n  "topic" : "é"\n}\n', 'application/json'],
  'a list of things': ['[{"a":1},{"b":2}]', 'application/json'],
  'numbers': ['[1,2,3]', 'application/json'],
  'a number': ['7', 'application/json'],
  'a text in JSON': [JSON.stringify(CALL), 'application/json'],
  'GraphQL': ['{"query":"{ weather { celsius } }","variables":{}}', 'application/json'],
  'a form': ['a=1&b=%7B%7D&jsonrpc=2.0&method=tools/list', 'application/x-www-form-urlencoded'],
  'a form of parts': [`--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n${JSON.stringify(request('tools/list'))}\r\n--x--\r\n`, 'multipart/form-data; boundary=x'],
  'text': ['a text, and a call', 'text/plain'],
  'XML': ['<methodCall><methodName>search</methodName></methodCall>', 'text/xml'],
  'bytes': [binary, 'application/octet-stream'],
  'bytes that are called JSON': [binary, 'application/json'],
  'bytes that are packed, and do not say so': [Buffer.from(gzipSync('a text')), 'application/gzip'],
  'nothing': ['', 'application/json'],
};
for (const [what, [body, type]] of Object.entries(PASSING)) {
  test(`${what}: passes to the byte`, async () => {
    for (const [worker, target] of [[open, '/x'], [open, '/weather/lisbon'], [wide, '/x'], [named, '/hooks'], [named, '/x']]) {
      for (const method of ['POST', 'PUT']) {
        const { headers } = await passes(worker.url, target, body, { method, headers: { 'content-type': type } });
        assert.equal(headers['content-type'], type);
      }
    }
    const before = origin.calls.length;
    await send(open.url, '/x', Buffer.concat([Buffer.from(`${Buffer.byteLength(body).toString(16)}\r\n`), Buffer.from(body),
      Buffer.from(body.length ? '\r\n0\r\n\r\n' : '\r\n')]), { headers: { 'content-type': type, 'transfer-encoding': 'chunked' } });
    assert.equal(origin.calls.length, before + 1);
    assert.ok(origin.calls.at(-1).body.equals(Buffer.from(body)), 'in chunks');
  });
}

test('what some server might read as a call, and we cannot: refused where nobody has named the path', async () => {
  const form = (boundary) => `--${boundary}\r\nContent-Disposition: form-data; name="method"\r\n\r\ntools/call\r\n--${boundary}--\r\n`;
  for (const [body, type] of [
    ['jsonrpc=2.0&id=1&method=tools/call&params[name]=search', 'application/x-www-form-urlencoded; x=application/json'],
    ['jsonrpc=2.0&id=1&method=%74ools%2Fcall&params[name]=search', 'application/x-www-form-urlencoded'],
    [form('x'), 'multipart/form-data; boundary=x'], [`/**/${CALL}`, 'application/json'], [`)]}'\n${CALL}`, 'application/json'],
    [`\u3000${CALL}`, 'text/plain'], [`${CALL}\n${CALL}`, 'application/x-ndjson'], [Buffer.from(`\ufeff${CALL}`, 'utf16le'), 'application/json'],
  ]) {
    for (const target of ['/x', '/mcp/x']) {
      const response = await inVain(() => send(open.url, target, body, { headers: { 'content-type': type } }), `${target} ${body}`);
      assert.equal(response.status, 400, `${target} ${body}: ${response.text}`);
    }
    await passes(named.url, '/hooks', body, { headers: { 'content-type': type } });
  }
});

test('a message beside a GET, and the resuming of a stream, go nowhere that nobody has named', async () => {
  const refused = await inVain(() => send(open.url, '/x', CALL, { method: 'GET' }), 'GET /x');
  assert.equal(refused.status, 400, refused.text);
  for (const method of ['DELETE', 'OPTIONS']) {
    const response = await inVain(() => send(open.url, '/x', CALL, { method }), method);
    assert.ok([400, 405].includes(response.status) || response.json().result?.isError, response.text);
  }
  for (const [name, dropped] of [['Last-Event-ID', true], ['last_event_id', true], ['X-Other', false]]) {
    for (const target of ['/x', '/mcp/x']) {
      await call(open.url, target, { headers: { [name]: '7' } });
      assert.equal(origin.calls.at(-1).headers[name.toLowerCase()], dropped ? undefined : '7', `${name} at ${target}`);
    }
  }
  await call(named.url, '/hooks', { method: 'POST', headers: { 'Last-Event-ID': '7', 'content-type': 'application/json' }, body: '{}' });
  assert.equal(origin.calls.at(-1).headers['last-event-id'], '7', 'named as free');
});

test('a route that names a path as free exempts it, but not below the server\'s own', async () => {
  for (const target of ['/hooks', '/jobs/7', '/jobs']) await passes(named.url, target, CALL, { exact: true });
  await passes(named.url, '/hooks', CALL, { exact: true, method: 'PUT' });
  assertPrice(resultOf(await inVain(() => post(named.url, CALL, { target: '/mcp' }), '/mcp')), { tool: 'search' });
  assertPrice(resultOf(await inVain(() => post(named.url, CALL, { target: '/mcp/x' }), '/mcp/x')), { tool: 'search' });
  // What has a price of its own has that.
  const sold = await inVain(() => send(named.url, '/sold', CALL), '/sold');
  assert.equal(sold.status, 402);
  assert.equal(sold.json().accepts[0].amount ?? sold.json().accepts[0].maxAmountRequired, '1000000');
});

test('a route that names other methods, or another path, exempts nothing', async () => {
  for (const [target, method] of [['/hooks/x', 'POST'], ['/jobs/7', 'PUT'], ['/hooksx', 'POST']]) {
    const refused = await inVain(() => send(named.url, target, CALL, { method }), `${method} ${target}`);
    if (method === 'PUT') assert.equal(refused.status, 405);
    else assertPrice(refused.json().result, { tool: 'search' });
  }
});

test('where there is no server to gate, nobody is looked at', async () => {
  const plain = await startWorker({ vars: stack.vars({ ORIGIN: origin.url, ROUTES: { 'GET /weather/*': '$0.01' }, DISCOVERY: { mcp: false } }) });
  await passes(plain.url, '/x', CALL, { exact: true });
  await passes(plain.url, '/mcp', gzipSync(CALL), { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } });
  await plain.stop();
  const shut = await start({ DEFAULT: 'deny' });
  assert.equal((await inVain(() => send(shut.url, '/x', CALL), 'denied')).status, 404);
  await shut.stop();
});
