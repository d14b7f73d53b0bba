// What crosses from the client to the origin and back. A header of ours that a client can set is a forged identity at the
// origin; one of the origin's that a client believes is a forged receipt; a paid answer in a cache is a free one.

import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { assertAnswered, assertRefused, authorize, call, receiptsOf, startStack, THIEF, withoutEffect } from './helpers.mjs';
import { serve } from './stack/http.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { origin } = stack;
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: {
      'GET /weather/*': '$0.001',
      'GET /echo': '$0.001',
      'GET /with-payment-headers': '$0.001',
      'GET /gzip': '$0.001',
    },
  }),
});
const SECRET = 'between-the-Worker-and-its-origin-0123456789';
const scripted = { answer: undefined, seen: [] };
const scriptedOrigin = await serve((request, response) => {
  scripted.seen.push(request.headers);
  return scripted.answer(request, response);
});
const trusted = await startWorker({
  vars: stack.vars({ ORIGIN: scriptedOrigin.url, ROUTES: { 'GET /play/*': '$0.001', 'PUT /play/*': { price: '$0.001', settle: 'before' } } }),
  secrets: { ORIGIN_SECRET: SECRET },
});
after(async () => {
  await Promise.all([worker.stop(), trusted.stop()]);
  await scriptedOrigin.stop();
  await stack.stop();
});

const ask = async (path, headers = {}, options = {}) => call(worker.url, path, { ...options, headers });
const paid = async (path, headers = {}) =>
  ask(path, { ...(await authorize(worker.url, path, await stack.buyer())).v2, ...headers });

const unwelcome = {
  'X-Edge402-Payer': THIEF, 'X-Edge402-Secret': 'guess', 'X-Edge402-Anything': '1', 'x-EDGE402-lower': '1',
  'X-HTTP-Method-Override': 'DELETE', 'X-Method-Override': 'DELETE', 'X-HTTP-Method': 'DELETE',
  'PAYMENT-REQUIRED': 'forged', 'PAYMENT-RESPONSE': 'forged', 'X-PAYMENT-RESPONSE': 'forged',
  'EXTENSION-RESPONSES': 'forged', 'Settlement-Overrides': '{"amount":"0"}',
  'Keep-Alive': 'timeout=5', 'Proxy-Authorization': 'Basic eDp5', 'Proxy-Connection': 'keep-alive', TE: 'trailers', Trailer: 'X-Sum',
  'X-Hop': 'for this hop only', Connection: 'X-Hop, keep-alive',
};
const welcome = {
  Authorization: 'Bearer of-the-origin', Accept: 'application/json', 'Accept-Language': 'pt', 'User-Agent': 'a client',
  'X-Custom': 'kept', 'X-Request-Id': '42',
};

/** What the origin saw of a request through the Worker. */
async function seenBy(send) {
  const before = origin.calls.length;
  const response = await send();
  assert.equal(origin.calls.length, before + 1, response.text);
  return { response, seen: origin.calls[before].headers };
}

for (const [title, send] of [
  ['paid', (headers) => paid('/weather/lisbon', headers)],
  ['unpriced', (headers) => ask('/nothing-priced', headers)],
  ['unpriced, with a body', (headers) => ask('/echo', headers, { method: 'POST', body: 'payload' })],
]) {
  test(`to the origin, ${title}: what is ours or for this hop stays here, all else goes on`, async () => {
    const cookies = 'session=1; edge402=a; edge402_key=b; theme=dark; Edge402-x=c';
    const { seen } = await seenBy(() => send({ ...unwelcome, ...welcome, Cookie: cookies, 'X-Forwarded-Host': 'forged.example' }));
    for (const [name, value] of Object.entries(unwelcome)) {
      if (name === 'Connection') continue;
      const got = seen[name.toLowerCase()];
      if (title === 'paid' && name === 'X-Edge402-Payer') assert.notEqual(got?.toLowerCase(), value.toLowerCase());
      else assert.equal(got, undefined, `${name} reached the origin`);
    }
    assert.doesNotMatch(seen.connection ?? '', /x-hop/i);
    for (const [name, value] of Object.entries(welcome)) assert.equal(seen[name.toLowerCase()], value, name);
    assert.equal(seen['payment-signature'], undefined);
    assert.match(seen.cookie, /^session=1; ?theme=dark$/);
    assert.equal(seen['x-forwarded-host'], new URL(worker.url).host);
    assert.equal(seen.host, new URL(origin.url).host);
  });
}

test('a header of ours spelt with underscores is still ours', async () => {
  // To an origin behind CGI, WSGI or PHP, X_Edge402_Payer and X-Edge402-Payer are one variable, HTTP_X_EDGE402_PAYER.
  const underscored = {
    X_Edge402_Payer: THIEF, 'X-Edge402_Payer': THIEF, X_Edge402_Secret: 'guess', X_Forwarded_Host: 'forged.example',
    X_HTTP_Method_Override: 'DELETE',
  };
  for (const send of [() => paid('/weather/lisbon', underscored), () => ask('/nothing-priced', underscored)]) {
    const { seen } = await seenBy(send);
    for (const name of Object.keys(underscored)) assert.equal(seen[name.toLowerCase()], undefined, `${name} reached the origin`);
  }
});

test('no header that chooses another path, method or host reaches the origin', async () => {
  const names = [
    'X-Override-URL', 'X-HTTP-Path-Override', 'X-Original-Path', 'X-Original-URL', 'X-Original-Uri', 'X-Rewrite-URL', 'X-Envoy-Original-Path',
    'X-Forwarded-Path', 'X-Forwarded-Uri', 'X-Forwarded-Prefix', 'X-Forwarded-Method', 'X-Original-Method', 'X-Waws-Unencoded-Url',
    'X-Script-Name', 'SCRIPT_NAME', 'Path_Info', 'X-Middleware-Rewrite', 'X-Matched-Path', 'X_Original_URL', 'X_Forwarded-Prefix',
  ];
  const headers = { ...Object.fromEntries(names.map((name) => [name, '/weather/open'])), Forwarded: 'host=elsewhere.example;proto=http' };
  for (const send of [() => paid('/weather/lisbon', headers), () => ask('/nothing-priced', headers)]) {
    const { seen } = await seenBy(send);
    for (const name of Object.keys(headers)) assert.equal(seen[name.toLowerCase()], undefined, `${name} reached the origin`);
  }
});

test('our cookies stay here, however many Cookie headers there are', async () => {
  const Cookie = ['session=1', 'edge402_key=secret', 'theme=dark; Edge402-x=c'];
  for (const send of [() => paid('/weather/lisbon', { Cookie }), () => ask('/nothing-priced', { Cookie })]) {
    const { seen } = await seenBy(send);
    assert.match(seen.cookie, /^session=1; ?theme=dark$/);
  }
});

test('white space around a value is no part of it', async () => {
  for (const around of [(value) => ` \t${value} \t`, (value) => `${value} \t`, (value) => `${value}\t`]) {
    const { v2 } = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
    assertAnswered(await ask('/weather/lisbon', { 'Payment-Signature': around(v2['PAYMENT-SIGNATURE'] ?? Object.values(v2)[0]) }));
  }
  const { v2 } = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
  const [value] = Object.values(v2);
  assertRefused(await withoutEffect(stack, () => ask('/weather/lisbon', { 'PAYMENT-SIGNATURE': [value, value] })), 400, 'payment_not_base64');
});

test('a conditional request does not buy an empty answer', async () => {
  scripted.answer = ({ headers }, response) => {
    const current = headers['if-none-match'] || headers['if-modified-since'];
    response.writeHead(current ? 304 : 200, { ETag: '"tag"' }).end(current ? undefined : 'the whole answer');
  };
  const buyer = await stack.buyer();
  const payment = await authorize(trusted.url, '/play/x', buyer);
  const conditions = { 'If-None-Match': '"tag"', 'If-Modified-Since': 'Thu, 01 Jan 2099 00:00:00 GMT' };
  const response = await call(trusted.url, '/play/x', { headers: { ...payment.v2, ...conditions } });
  const { length } = await stack.chain.transfers({ from: buyer.address });
  // Either the origin is not told the condition, or an answer without a body costs nothing.
  if (response.status === 304) assert.equal(length, 0);
  else {
    assertAnswered(response);
    assert.equal(response.text, 'the whole answer');
    assert.equal(length, 1);
  }
  const { seen } = await seenBy(() => ask('/nothing-priced', conditions));
  assert.equal(seen['if-none-match'], '"tag"');
});

test('payment headers of an unpriced path do not travel on, in any number', async () => {
  const headers = { 'PAYMENT-SIGNATURE': 'x', 'X-PAYMENT': 'y', 'SIGN-IN-WITH-X': 'z' };
  const { seen } = await seenBy(() => ask('/nothing-priced', headers));
  for (const name of Object.keys(headers)) assert.equal(seen[name.toLowerCase()], undefined, name);
});

test('nobody but us names headers that the origin trusts', async () => {
  // Connection may name what is to be dropped: naming a header of ours must not drop ours.
  const { seen } = await seenBy(() => paid('/weather/lisbon', { Connection: 'X-Edge402-Payer, X-Forwarded-Host, Authorization, Cookie' }));
  assert.match(seen['x-edge402-payer'], /^0x[0-9a-fA-F]{40}$/);
  assert.equal(seen['x-forwarded-host'], new URL(worker.url).host);

  scripted.answer = (request, response) => response.end('ok');
  scripted.seen.length = 0;
  const buyer = await stack.buyer();
  const payment = await authorize(trusted.url, '/play/x', buyer);
  const guess = { 'X-Edge402-Secret': ['guess', SECRET], Connection: 'X-Edge402-Secret' };
  assertAnswered(await call(trusted.url, '/play/x', { headers: { ...payment.v2, ...guess } }));
  assert.equal(scripted.seen[0]['x-edge402-secret'], SECRET);
  assert.equal(scripted.seen[0]['x-edge402-payer'].toLowerCase(), buyer.address.toLowerCase());
});

test('the secret stays between the two', async () => {
  scripted.answer = (request, response) => response.writeHead(302, { location: 'http://elsewhere.example/' }).end('gone');
  const responses = [
    await call(trusted.url, '/play/x'),
    await call(trusted.url, '/unpriced'),
    await call(trusted.url, '//'),
    await call(trusted.url, '/play/x', { headers: { 'PAYMENT-SIGNATURE': 'x' } }),
  ];
  for (const { headers, text } of responses) assert.ok(!JSON.stringify([headers, text]).includes(SECRET));
  assert.ok(!trusted.logs().includes(SECRET));
});

test('from the origin: its payment headers and cache permissions stop here', async () => {
  const response = await paid('/with-payment-headers');
  assertAnswered(response);
  assert.equal(response.headers['x-from-origin'], 'kept');
  assert.equal(receiptsOf(response).v2.success, true);
  for (const name of [
    'payment-required', 'x-payment-response', 'payment-signature', 'extension-responses', 'settlement-overrides',
    'cdn-cache-control', 'cloudflare-cdn-cache-control', 'expires',
  ]) {
    assert.equal(response.headers[name], undefined, name);
  }
  assert.doesNotMatch(JSON.stringify(response.headers), /forged|max-age|public/);
});

test('an origin that fails cannot make a failure look like a challenge or a receipt', async () => {
  const forged = Buffer.from(JSON.stringify({ x402Version: 2, accepts: [{ payTo: THIEF }] })).toString('base64');
  for (const status of [402, 500, 404]) {
    const headers = { 'PAYMENT-REQUIRED': forged, 'PAYMENT-RESPONSE': forged, 'X-PAYMENT-RESPONSE': forged };
    scripted.answer = (request, response) => response.writeHead(status, headers).end('no');
    const payment = await authorize(trusted.url, '/play/x', await stack.buyer());
    const response = await call(trusted.url, '/play/x', { headers: payment.v2 });
    assert.equal(response.status, status);
    assert.ok(!JSON.stringify(response.headers).includes(forged));
    const upfront = await authorize(trusted.url, '/play/x', await stack.buyer(), { method: 'PUT' });
    const charged = await call(trusted.url, '/play/x', { method: 'PUT', headers: upfront.v2 });
    assert.equal(charged.status, status);
    assert.equal(receiptsOf(charged).v2.success, true);
    assert.ok(!JSON.stringify(charged.headers).includes(forged));
  }
});

test('a paid answer is nobody else’s: the origin is asked anew for each payment', async () => {
  let made = 0;
  let asked;
  scripted.answer = (request, response) => {
    asked = request.headers;
    response.writeHead(200, { 'Cache-Control': 'public, max-age=3600', ETag: '"1"' }).end(`answer ${(made += 1)}`);
  };
  for (const expected of ['answer 1', 'answer 2']) {
    const payment = await authorize(trusted.url, '/play/cached', await stack.buyer());
    const response = await call(trusted.url, '/play/cached', { headers: payment.v2 });
    assert.equal(response.text, expected);
    // There is no cache in workerd here; this is how it says to whoever is next that the request goes around theirs.
    assert.equal(asked['cache-control'], 'no-cache');
    assert.equal(response.headers['cache-control'], 'private, no-store');
    assertRefused(await call(trusted.url, '/play/cached'), 402, 'payment_required');
  }
});

test('CORS, on the challenge, the answer and the preflight', async () => {
  const Origin = 'https://app.example';
  const exposed = ['payment-required', 'payment-response', 'x-payment-response'];
  const list = (value = '') => value.toLowerCase().split(',').map((name) => name.trim());
  for (const response of [await ask('/weather/lisbon', { Origin }), await paid('/weather/lisbon', { Origin })]) {
    assert.equal(response.headers['access-control-allow-origin'], '*');
    for (const name of exposed) assert.ok(list(response.headers['access-control-expose-headers']).includes(name), name);
  }
  const preflight = await withoutEffect(stack, () => ask('/weather/lisbon', {
    Origin, 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'payment-signature',
  }, { method: 'OPTIONS' }));
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], '*');
  assert.ok(list(preflight.headers['access-control-allow-methods']).includes('get'));
  for (const name of ['payment-signature', 'x-payment', 'sign-in-with-x', 'access-control-expose-headers', 'content-type']) {
    assert.ok(list(preflight.headers['access-control-allow-headers']).includes(name), name);
  }
});

test('two answers to the same CORS question would be none', async () => {
  const own = { 'Access-Control-Allow-Origin': 'https://app.example', 'Access-Control-Expose-Headers': 'X-Total' };
  scripted.answer = (request, response) => response.writeHead(200, own).end('ok');
  const payment = await authorize(trusted.url, '/play/x', await stack.buyer());
  const response = await call(trusted.url, '/play/x', { headers: { ...payment.v2, Origin: 'https://app.example' } });
  assert.doesNotMatch(response.headers['access-control-allow-origin'], /,/);
});

test('unpriced paths pass unchanged, with at most one header more each way', async () => {
  const headers = { Accept: '*/*', 'User-Agent': 'a client', 'X-Custom': 'kept' };
  for (const [path, options] of [
    ['/status/418', { method: 'POST' }], ['/status/204', { method: 'POST' }], ['/redirect', {}], ['/nothing', {}],
    ['/echo?a=%20b', { method: 'POST', body: 'body as it is' }], ['/gzip', { method: 'POST' }], ['/with-payment-headers', { method: 'POST' }],
  ]) {
    const before = origin.calls.length;
    const through = await call(worker.url, path, { ...options, headers });
    const direct = await call(origin.url, path, { ...options, headers });
    assert.equal(through.status, direct.status, path);
    if (!path.startsWith('/echo') && !path.startsWith('/gzip')) assert.deepEqual(through.body, direct.body, path);
    const transport = new Set(['connection', 'keep-alive', 'date', 'transfer-encoding', 'content-length']);
    const added = Object.keys(through.headers).filter((name) => !(name in direct.headers) && !transport.has(name));
    assert.ok(added.length <= 1, `${path} came back with ${added}`);

    const [seenThrough, seenDirect] = origin.calls.slice(before);
    assert.equal(seenThrough.url, path);
    assert.equal(seenThrough.method, options.method ?? 'GET');
    assert.equal(seenThrough.body, seenDirect.body);
    // The runtime's fetch says itself which encodings it can undo, and whose Worker it is.
    const own = new Set([...transport, 'accept-encoding', 'cf-worker']);
    const more = Object.keys(seenThrough.headers).filter((name) => !(name in seenDirect.headers) && !own.has(name));
    assert.ok(more.length <= 1, `${path} went on with ${more}`);
    for (const name of Object.keys(headers)) assert.equal(seenThrough.headers[name.toLowerCase()], headers[name]);
  }
});

test('compressed bodies arrive as what they were', async () => {
  for (const encoding of ['gzip', 'gzip, br', undefined]) {
    const headers = encoding ? { 'Accept-Encoding': encoding } : {};
    for (const response of [await paid('/gzip', headers), await ask('/gzip', headers, { method: 'POST' })]) {
      assert.equal(response.status, 200);
      const packed = response.headers['content-encoding'] === 'gzip';
      const text = packed ? gunzipSync(response.body).toString() : response.text;
      assert.deepEqual(JSON.parse(text), { packed: true });
    }
  }
});

test('cookies of the origin stay apart', async () => {
  scripted.answer = (request, response) => response.writeHead(200, { 'Set-Cookie': ['a=1; Path=/', 'b=2; Expires=Thu, 01 Jan 2099 00:00:00 GMT'] }).end('ok');
  const payment = await authorize(trusted.url, '/play/x', await stack.buyer());
  const { hostname, port } = new URL(trusted.url);
  const response = await new Promise((done, failed) => {
    httpRequest({ hostname, port, path: '/play/x', headers: payment.v2, agent: false }, done).on('error', failed).end();
  });
  response.resume();
  assert.deepEqual(response.headers['set-cookie'], ['a=1; Path=/', 'b=2; Expires=Thu, 01 Jan 2099 00:00:00 GMT']);
});
