// Tools in trouble: servers that lose a session, answers without a body or too large, errors of calls that were paid for
// first, and what lies below a server's path. What was paid for is told, and never lost.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { call, challengeOf, effectsOf, startStack } from './helpers.mjs';
import { assertRefusal, assertSaid, payFor, post, RECEIPT, resultOf, toolCall } from './mcp.mjs';
import { startRawOrigin } from './stack/mcp-origin.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);

async function gated(answer, vars = {}) {
  const origin = await startRawOrigin({ answer });
  const worker = await startWorker({
    vars: stack.vars({
      ORIGIN: origin.url, MCP: 'origin:/mcp', TOOLS: { first: { price: '$0.02', settle: 'before' }, search: '$0.01' }, ...vars,
    }),
  });
  return { origin, url: worker.url, stop: () => Promise.all([worker.stop(), origin.stop()]) };
}

const text = (response, status, body, type = 'text/plain') => void response.writeHead(status, { 'content-type': type }).end(body);

test('a session that is over: 404, nothing was run, and what was paid first buys the call in the next session', async () => {
  let over = true;
  const { origin, url, stop } = await gated((one, response) => (over && one.message?.method === 'tools/call' ? text(response, 404, 'Session not found') : undefined));
  const buyer = await stack.buyer();
  const { payment } = await payFor(url, 'first', {}, buyer);
  const ask = () => post(url, toolCall('first', {}, { payment }));
  const { result: lost, earned } = await effectsOf({ ...stack, origin }, ask);
  assert.equal(earned, 20_000n);
  assert.equal(lost.status, 404, lost.text);
  assert.equal(lost.message.result.isError, true);
  assert.equal(lost.message.result._meta[RECEIPT].success, true, 'money moved, and it is said');
  over = false;
  const again = await effectsOf({ ...stack, origin }, ask);
  assertSaid(again.result);
  assert.equal(again.earned, 0n);
  assertRefusal(await ask(), 'payment_already_used');

  // After the call nothing is charged, and the same payment is as good as new.
  over = true;
  const { payment: other } = await payFor(url, 'search', {}, buyer);
  const refused = await effectsOf({ ...stack, origin }, () => post(url, toolCall('search', {}, { payment: other })));
  assert.deepEqual([refused.result.status, refused.earned], [404, 0n]);
  over = false;
  assertSaid(await post(url, toolCall('search', {}, { payment: other })));
  await stop();
});

test('an answer that merely speaks of a lost session is an answer', async () => {
  const words = JSON.stringify({ originStatus: 404, celsius: 21 });
  const { origin, url, stop } = await routes((_, response) => text(response, 200, words, 'application/json'));
  const buyer = await stack.buyer();
  const { payment } = await payFor(url, 'after', {}, buyer);
  const { result, earned } = await effectsOf({ ...stack, origin }, () => post(url, toolCall('after', {}, { payment })));
  assert.equal(earned, 10_000n);
  assert.equal(result.status, 200);
  assert.deepEqual(assertSaid(result).structuredContent, JSON.parse(words));
  await stop();
});

test('a JSON-RPC error of a call that was paid for first carries the receipt', async () => {
  const { origin, url, stop } = await gated((one, response) => (one.message?.method === 'tools/call'
    ? text(response, 200, JSON.stringify({ jsonrpc: '2.0', id: one.message.id, error: { code: -32050, message: 'no', data: { why: 1 } } }), 'application/json') : undefined));
  const buyer = await stack.buyer();
  const { payment } = await payFor(url, 'first', {}, buyer);
  const { result, earned } = await effectsOf({ ...stack, origin }, () => post(url, toolCall('first', {}, { payment })));
  assert.equal(earned, 20_000n);
  const { error } = result.message;
  assert.deepEqual([error.code, error.data.why, error.data[RECEIPT].success], [-32050, 1, true], result.text);
  assert.ok(result.headers['payment-response']);
  await stop();
});

test('below a server\'s path: what is priced is paid, what is not there is not there, and messages cost what they cost', async () => {
  const priced = await gated(undefined, { ROUTES: { '/mcp/*': '$1', '/other/*': '$0.5' } });
  for (const [method, target] of [['GET', '/mcp/report'], ['DELETE', '/mcp/report'], ['POST', '/mcp/report'], ['GET', '/other/report']]) {
    const { required } = await challengeOf(priced.url, target, { method, body: method === 'POST' ? JSON.stringify(toolCall('search', {})) : '' });
    assert.equal(required.accepts[0].amount, target === '/other/report' ? '500000' : '1000000', `${method} ${target}`);
  }
  // In doubt it is neither's: one reading would be priced, the other not.
  for (const target of ['/mcp;x/report', '/mcp%3Fx/report', '/mcp;x', '/mcp.']) {
    for (const method of ['GET', 'POST']) {
      const response = await call(priced.url, target, { method, headers: { 'content-type': 'application/json' }, body: method === 'POST' ? '{"a":1}' : '' });
      assert.equal(response.status, 400, `${method} ${target}: ${response.text}`);
    }
  }
  assert.deepEqual(priced.origin.calls.filter(({ url: at }) => at.includes('report') || at.includes(';')), []);
  await priced.stop();

  const named = await gated(undefined, { ROUTES: { '/mcp/sold': '$1' } });
  const doubtful = await call(named.url, '/mcp/sold;x', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"a":1}' });
  assert.equal(doubtful.status, 400, doubtful.text);
  assert.deepEqual(named.origin.calls, []);
  await named.stop();

  const shut = await gated(undefined, { ROUTES: { 'POST /mcp/sold': '$1' }, DEFAULT: 'deny' });
  for (const method of ['GET', 'POST', 'PUT']) {
    const response = await call(shut.url, '/mcp/secret', { method, headers: { 'content-type': 'application/json' }, body: method === 'GET' ? '' : '{"a":1}' });
    assert.equal(response.status, 404, `${method}: ${response.text}`);
  }
  assert.deepEqual(shut.origin.calls.filter(({ url: at }) => at.includes('secret')), []);
  await shut.stop();

  const open = await gated((one, response) => text(response, 200, JSON.stringify({ got: one.body.toString('utf8') }), 'application/json'), { ROUTES: { '/*': 'free' } });
  const send = (body, type = 'application/json') => call(open.url, '/mcp/upload', { method: 'POST', headers: { 'content-type': type }, body });
  for (const [body, type] of [['{"topic":"x"}'], ['[{"a":1}]'], ['plain', 'text/plain']]) {
    assert.equal((await send(body, type)).json().got, body, 'what is no message passes as it is');
  }
  const before = open.origin.calls.length;
  for (const body of [JSON.stringify(toolCall('search', {})), JSON.stringify([toolCall('search', {})]), JSON.stringify(toolCall('search', {})).replace('"method"', '"Method"')]) {
    const response = await send(body);
    assert.ok(response.status === 400 || response.json().result.isError, response.text);
  }
  const inUtf7 = await send('{"topic":"+ACIAfQ-"}', 'application/json; charset=utf-7');
  assert.equal(inUtf7.status, 400, inUtf7.text);
  assert.equal(open.origin.calls.length, before, 'a message below the path is priced, or refused');
  await open.stop();
});

async function routes(answer, more) {
  const origin = await startRawOrigin({ answer });
  const worker = await startWorker({
    vars: stack.vars({
      ORIGIN: origin.url, DISCOVERY: { mcp: '/mcp' },
      ROUTES: {
        'DELETE /after': { price: '$0.01', name: 'after', input: {} },
        'DELETE /before': { price: '$0.01', name: 'before', settle: 'before', input: {} },
        'DELETE /later': { price: '$0.01', name: 'later', settle: 'deferred', max_exposure: '$0.05', input: {} },
        ...more,
      },
    }),
  });
  return { origin, url: worker.url, stop: () => Promise.all([worker.stop(), origin.stop()]) };
}

test('an answer without a body is an answer: 204 and 205, whenever the money moves', async () => {
  for (const status of [204, 205]) {
    const { origin, url, stop } = await routes((_, response) => void response.writeHead(status).end());
    for (const name of ['after', 'before', 'later']) {
      const buyer = await stack.buyer();
      const { payment } = await payFor(url, name, {}, buyer);
      const { result, calls } = await effectsOf({ ...stack, origin }, () => post(url, toolCall(name, {}, { payment })));
      const said = resultOf(result);
      assert.deepEqual([said.isError ?? false, said.content[0].text], [false, ''], `${status} ${name}: ${result.text}`);
      assert.equal(calls.origin, 1);
      if (name !== 'later') assert.equal(said._meta[RECEIPT].success, true);
    }
    await stop();
  }
});

test('a large answer is delivered whole, and one that is too large is not charged', async () => {
  const sizes = { '/fits': 150_000, '/not': 900_000 };
  const bodyOf = (path) => JSON.stringify({ cities: Array.from({ length: sizes[path] / 6 }, (_, n) => `c"${n}`) });
  const { origin, url, stop } = await routes(({ url: path }, response) => text(response, 200, bodyOf(path), 'application/json'), {
    'GET /fits': { price: '$0.01', name: 'fits', input: {} }, 'GET /not': { price: '$0.01', name: 'not', input: {} },
  });
  assert.ok(bodyOf('/fits').length > 200 * 1024 && bodyOf('/fits').length < 1024 * 1024);
  assert.ok(bodyOf('/not').length > 1024 * 1024);
  const buyer = await stack.buyer();
  for (const [name, price] of [['fits', 10_000n], ['not', 0n]]) {
    const { payment } = await payFor(url, name, {}, buyer);
    const { result, earned } = await effectsOf({ ...stack, origin }, () => post(url, toolCall(name, {}, { payment })));
    assert.equal(earned, price, name);
    if (price) assert.ok(resultOf(result).content[0].text === bodyOf(`/${name}`), 'the answer is whole');
    else assertRefusal(result, 'answer_too_large');
  }
  await stop();
});

test('a stream of many small events is read once, not once for each of them', async () => {
  const note = `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1, message: 'x'.repeat(120) } })}\n\n`;
  const { origin, url, stop } = await gated((one, response) => {
    if (one.message?.method !== 'tools/call') return undefined;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let n = 0; n < 4000; n += 1) response.write(note);
    // And it stays open behind the answer.
    response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', id: one.message.id, result: { content: [{ type: 'text', text: 'celsius' }] } })}\n\n`);
    return false;
  });
  const buyer = await stack.buyer();
  const { payment } = await payFor(url, 'search', {}, buyer);
  const { result, earned } = await effectsOf({ ...stack, origin }, () => post(url, toolCall('search', {}, { payment })));
  assertSaid(result);
  assert.equal(earned, 10_000n);
  await stop();
});
