// Other spellings of a priced path. Each ends in one of two ways: refused, or priced as what the origin would be asked for.
// workerd's URL parser turns `\` into `/` and resolves dot segments (also as %2e) before the Worker runs, so for those both
// ways are right; what must never happen is that the origin hears of a priced path that was not paid for.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertAnswered, assertNoAnswer, assertRefused, authorize, call, effectsOf, receiptsOf, startStack, withoutEffect } from './helpers.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: {
      'GET /weather/*': '$0.001',
      'GET /weather/open': 'free',
      '/echo': '$0.001',
      'GET /status/:code': '$0.001',
      'GET /caf%C3%A9/*': '$0.001',
    },
  }),
});
after(async () => {
  await worker.stop();
  await stack.stop();
});

const ask = (target, options) => call(worker.url, target, options);

/** What a careless origin may make of a path: decoded until it no longer changes, `\` as `/`, `;` parameters cut, resolved. */
function careless(target) {
  let path = target.replace(/^[a-z]+:\/\/[^/]*/i, '').split(/[?#]/)[0];
  for (let last; last !== path; ) {
    last = path;
    path = path.replace(/%([0-9a-f]{2})/gi, (_, code) => String.fromCharCode(parseInt(code, 16)));
  }
  const segments = [];
  for (const raw of path.replace(/[\t\r\n\0]/g, '').replaceAll('\\', '/').split('/')) {
    const segment = raw.split(';')[0];
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`.toLowerCase();
}
const isPriced = (target) => /^\/(weather|echo|status)(\/|$)/.test(careless(target));

/** Without a payment: nothing of a priced path may be seen at the origin, and no answer may come out. */
async function neverFree(target, options) {
  const before = stack.origin.calls.length;
  const response = await ask(target, options);
  for (const { url } of stack.origin.calls.slice(before)) {
    assert.ok(!isPriced(url), `${JSON.stringify(target)} reached the origin unpaid, as ${url}`);
  }
  assertNoAnswer(response);
  return response;
}

// As the Worker itself sees them: the runtime's parser leaves these alone.
const refusedHere = [
  '/weather%2flisbon', '/weather%2Flisbon', '/weather/%2f', '/x%2f..%2fweather/lisbon', '/%2fweather/lisbon',
  '/weather%5clisbon', '/weather%5Clisbon', '/x/%5c../weather/lisbon',
  '/%77eather/lisbon', '/weathe%72/lisbon', '/weather/%6cisbon', '/weather/%4Cisbon', '/weather/lisbon%7e', '/%2Dx', '/weather/a%2Eb',
  '//weather/lisbon', '/weather//lisbon', '/weather/lisbon//', '///weather', '/weather///lisbon', '//',
  '/a/..;/weather/lisbon', '/weather/..;/status/200', '/weather/..;x=1/echo', '/x;a=b/..;c/weather', '/weather/..;',
  '/weather%', '/weather/%', '/weather/%1', '/weather/%zz', '/weather/%u006c', '/%%77eather', '/weather/%g1',
  '/weather/%00', '/weather%00/lisbon', '/weather/lisbon%00.png', '/%00',
  '/weather/%ff', '/weather/%c0%af', '/weather/%C0%AE%C0%AE/', '/weather/%ed%a0%80', '/weather/%e2%82', '/weather/%f5%80%80%80',
];
// As the runtime may have tidied them up: `/weather\lisbon` arrives as `/weather/lisbon`.
const refusedOrPriced = [
  '/weather\\lisbon', '/x\\..\\weather\\lisbon', '\\weather\\lisbon', '/\\weather/lisbon', '/weather/lisbon\\',
  '/x/../weather/lisbon', '/../weather/lisbon', '/weather/./lisbon', '/./weather/lisbon', '/weather/x/..', '/weather/.',
  '/weather/lisbon/..', '/;/../weather/lisbon;/..',
  '/x/%2e%2e/weather/lisbon', '/x/%2E%2E/weather/lisbon', '/x/.%2e/weather/lisbon', '/x/%2e./weather/lisbon', '/%2e/weather/lisbon', '/weather/%2e',
  '/wea\tther/lisbon', '/weather\t/lisbon', '/weather/lisbon#', '/weather#/../x', '/weather/lisbon\x7f', '/weather/\xe9', '/weather/\xff',
  'http://elsewhere.example/weather/lisbon', 'HTTP://x/weather/lisbon', 'weather/lisbon', '*',
];

test('spellings that are not canonical are refused', async (t) => {
  for (const target of refusedHere) {
    await t.test(target, async () => {
      const response = await withoutEffect(stack, () => neverFree(target));
      assertRefused(response, 400, 'path_not_canonical');
    });
  }
});

test('so they are with a payment: nothing is claimed for a path that is nobody’s', async () => {
  const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
  for (const target of ['/weather%2flisbon', '//weather/lisbon', '/%77eather/lisbon', '/a/..;/weather/lisbon']) {
    const response = await withoutEffect(stack, () => ask(target, { headers: payment.v2 }));
    assertRefused(response, 400, 'path_not_canonical');
  }
  assertAnswered(await ask('/weather/lisbon', { headers: payment.v2 }));
});

test('spellings that the runtime may tidy up are refused or priced', async (t) => {
  const seen = { 400: [], 402: [], 500: [], 404: [] };
  for (const target of refusedOrPriced) {
    await t.test(JSON.stringify(target), async () => {
      const before = stack.origin.calls.length;
      const response = await neverFree(target);
      // 500 is workerd's own answer to a request target that is no URL under any reading: no code of ours ran. 404 is the
      // origin's, for a path that the runtime cut down to one that costs nothing.
      assert.ok(response.status in seen, `${response.status} ${response.text}`);
      const [asked] = stack.origin.calls.slice(before);
      assert.equal(asked !== undefined, response.status === 404, asked?.url);
      seen[response.status].push(asked ? `${target} as ${asked.url}` : target);
      if (response.status === 400 && /json/.test(response.headers['content-type'] ?? '')) assertRefused(response, 400, 'path_not_canonical');
      if (response.status === 402) assertRefused(response, 402, 'payment_required');
    });
  }
  t.diagnostic(`tidied up by the runtime, then priced: ${JSON.stringify(seen[402])}`);
  t.diagnostic(`cut down to another path: ${JSON.stringify(seen[404])}`);
  t.diagnostic(`refused: ${JSON.stringify(seen[400])}; not HTTP to workerd: ${JSON.stringify(seen[500])}`);
});

test('what the runtime tidied up is what the origin is asked for, once it is paid', async () => {
  for (const target of ['/x/../weather/lisbon', '/weather\\lisbon', '/x/%2e%2e/weather/lisbon?a=..%2f']) {
    if ((await ask(target)).status !== 402) continue;
    const payment = await authorize(worker.url, target, await stack.buyer());
    const before = stack.origin.calls.length;
    assertAnswered(await ask(target, { headers: payment.v2 }));
    assert.deepEqual(stack.origin.calls.slice(before).map(({ url }) => url.split('?')[0]), ['/weather/lisbon']);
  }
});

test('other spellings of the same resource cost the same', async (t) => {
  const priced = [
    '/weather', '/weather/', '/weather?', '/weather?x=/../open', '/WEATHER/lisbon', '/Weather/LISBON', '/wEATHER', '/weather/lisbon/',
    '/weather/a/b/c', '/weather/openly', '/weather/open/x', '/echo/', '/ECHO', '/Status/200', '/status/200/',
    '/caf%C3%A9/x', '/CAF%C3%A9/x', '/caf%c3%a9/x', '/caf%C3%89/x',
  ];
  for (const target of priced) {
    await t.test(target, async () => {
      assertRefused(await withoutEffect(stack, () => ask(target)), 402, 'payment_required');
    });
  }
});

test('`;` parameters buy nothing', async (t) => {
  for (const target of [
    '/weather;x=1', '/weather;/lisbon', '/weather;jsessionid=1/lisbon', '/weather/lisbon;v=2', '/;/weather/lisbon', '/;x/echo',
    '/echo;', '/echo;a=b', '/status;x/200',
  ]) {
    await t.test(target, async () => {
      const response = await withoutEffect(stack, () => neverFree(target));
      assert.ok([400, 402].includes(response.status), `${response.status} ${response.text}`);
    });
  }
});

test('a free route is free only as itself', async () => {
  assert.equal((await ask('/weather/open')).status, 200);
  for (const target of [
    '/weather/open/..', '/weather/open/../lisbon', '/weather/open/..;/lisbon', '/weather/open%2f../lisbon',
    '/weather/open;/lisbon', '/weather/open;lisbon', '/weather/open\\..\\lisbon', '/weather/open/lisbon',
  ]) {
    const response = await ask(target);
    assert.ok([400, 402].includes(response.status), `${target}: ${response.status} ${response.text}`);
  }
});

test('a path that no route names is passed on exactly as it is', async () => {
  for (const target of [
    '/', '/nothing/here', '/weatherx', '/a;b=c/d', '/a%20b', '/%E2%82%AC', '/a~b-c_d.e!$&\'()*+,=:@',
    '/x?weather=/weather/lisbon&q=%2F%5c..//', '/x?',
  ]) {
    const before = stack.origin.calls.length;
    const response = await ask(target);
    assert.equal(response.status, 404, `${target}: ${response.text}`);
    assert.equal(response.json().error, 'no such page at the origin');
    const url = stack.origin.calls[before].url;
    assert.equal(url, target === '/x?' ? url.match(/^\/x\??$/)?.[0] : target);
  }
});

test('the query is part of what is paid for, and is passed on exactly', async () => {
  const buyer = await stack.buyer();
  const target = '/weather/lisbon?a=1&b=%2F..%5c&a=2&c=;&d=%zz';
  const payment = await authorize(worker.url, target, buyer);
  const before = stack.origin.calls.length;
  assertAnswered(await ask(target, { headers: payment.v2 }));
  assert.equal(stack.origin.calls[before].url, target);
  const another = await withoutEffect(stack, () => ask('/weather/lisbon?a=2', { headers: payment.v2 }));
  assertRefused(another, 409, 'payment_already_used');
});

test('HEAD is priced as GET', async () => {
  const unpaid = await withoutEffect(stack, () => ask('/weather/lisbon', { method: 'HEAD' }));
  assert.equal(unpaid.status, 402);
  assert.ok(unpaid.headers['payment-required']);
  const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
  const { result, earned } = await effectsOf(stack, () => ask('/weather/lisbon', { method: 'HEAD', headers: payment.v2 }));
  assert.equal(result.status, 200);
  assert.equal(earned, 1000n);
  assert.equal(receiptsOf(result).v2.success, true);
  // Headers were sold; the body is another request.
  const body = await withoutEffect(stack, () => ask('/weather/lisbon', { headers: payment.v2 }));
  assertRefused(body, 409, 'payment_already_used');
});

test('no method is a way around', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'TRACE']) {
    const response = await withoutEffect(stack, () => ask('/echo', { method }));
    assert.ok([402, 403].includes(response.status) || response.status >= 405, `${method}: ${response.status} ${response.text}`);
  }
  // Not an HTTP method to workerd; if it ever is, it must not be another spelling of GET.
  for (const method of ['get', 'Get', 'GETX', 'BREW']) {
    const response = await neverFree('/weather/lisbon', { method });
    assert.notEqual(response.status, 200, method);
  }
});

test('the override headers that some frameworks obey do not reach the origin', async () => {
  const before = stack.origin.calls.length;
  const headers = { 'X-HTTP-Method-Override': 'GET', 'X-Method-Override': 'GET', 'X-HTTP-Method': 'GET' };
  await ask('/weather/lisbon', { method: 'POST', headers, body: 'x' });
  for (const call of stack.origin.calls.slice(before)) {
    for (const name of Object.keys(headers)) assert.equal(call.headers[name.toLowerCase()], undefined, name);
  }
  for (const name of ['X-Original-URL', 'X-Rewrite-URL', 'X-Forwarded-Prefix']) {
    assertRefused(await withoutEffect(stack, () => ask('/weather/lisbon', { headers: { [name]: '/weather/open' } })), 402, 'payment_required');
  }
});

test('a method in the query of a POST is no way to another price', async () => {
  for (const target of ['/weather/lisbon?_method=GET', '/weather/lisbon?a=1&%5fMethod=+get', '/weather/a?_method=PUT&_method=GET']) {
    assertRefused(await withoutEffect(stack, () => ask(target, { method: 'POST', body: 'x' })), 403, 'method_forbidden');
  }
  assertRefused(await withoutEffect(stack, () => ask('/echo?_method=DELETE', { method: 'POST', body: 'x' })), 402, 'payment_required');
});

test('only a CORS preflight is free, and the origin does not hear of it', async () => {
  const preflight = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET' };
  for (const target of ['/weather/lisbon', '/echo']) {
    const response = await withoutEffect(stack, () => ask(target, { method: 'OPTIONS', headers: preflight }));
    assert.equal(response.status, 204);
    assert.equal(response.text, '');
  }
  for (const headers of [{}, { Origin: 'https://app.example' }, { 'Access-Control-Request-Method': 'GET' }]) {
    assertRefused(await withoutEffect(stack, () => ask('/echo', { method: 'OPTIONS', headers })), 402, 'payment_required');
  }
  // The same headers on another method are no preflight.
  assertRefused(await withoutEffect(stack, () => ask('/weather/lisbon', { headers: preflight })), 402, 'payment_required');
});

test('another Host, or one in the request target, changes nothing', async () => {
  for (const headers of [{ Host: 'elsewhere.example' }, { Host: '127.0.0.1' }, { 'X-Forwarded-Host': 'elsewhere.example' }]) {
    const response = await withoutEffect(stack, () => ask('/weather/lisbon', { headers }));
    assertRefused(response, 402, 'payment_required');
  }
});
