// Tools whose answers are none: too large, broken off, for another call, no text. Silence is owed or given back, and what is
// not silence must not be taken for it: a buyer who can bring it about would have the tool work for nothing.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { call, startStack, until } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { booksOf } from './identified.mjs';
import {
  assertReceipt, assertRefusal, assertSaid, CREDITS, payFor, post, RECEIPT, request, resultOf, toolCall,
} from './mcp.mjs';
import { said, startMcpOrigin, startRawOrigin } from './stack/mcp-origin.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const origin = await startRawOrigin();
const AFTER = { price: '$0.01', timeout_seconds: 2 };
const BEFORE = { ...AFTER, settle: 'before' };
const vars = (more) => stack.vars({ ORIGIN: origin.url, PACKAGES, CREDIT_VALUE: '$0.01', ...more });
const [gated, own] = await Promise.all([
  startWorker({ vars: vars({ MCP: 'origin:/mcp', TOOLS: { quick: AFTER, first: BEFORE } }), secrets: SECRETS }),
  startWorker({
    vars: vars({
      DISCOVERY: { mcp: '/mcp' },
      ROUTES: { 'DELETE /quick': { ...AFTER, name: 'quick', input: {} }, 'DELETE /first': { ...BEFORE, name: 'first', input: {} } },
    }),
    secrets: SECRETS,
  }),
]);
afterEach(() => (origin.answer = undefined));
after(stopEverything);

const MIB = 1024 * 1024;
const transfersOf = async (buyer) => (await stack.chain.transfers({ from: buyer.address, to: stack.seller })).length;
const isCall = ({ message, url }) => message?.method === 'tools/call' || url !== '/mcp';
const ran = () => origin.calls.filter(isCall).length;
/** Until it is taken back the origin answers calls so. */
function answersBy(answer) {
  origin.answer = (one, response) => (isCall(one) ? (answer(one, response), false) : undefined);
}
const json = (body, more) => (_, response) => void response.writeHead(200, { 'content-type': 'application/json', ...more }).end(body);
const events = (...messages) => (one, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const message of messages) response.write(typeof message === 'function' ? message(one.message?.id) : message);
  response.end();
};
const event = (message) => `event: message\ndata: ${JSON.stringify(message)}\n\n`;
const NOTE = event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress: 1 } });
const breaksOff = (headers, begin) => (one, response) => {
  response.writeHead(200, headers);
  response.write(typeof begin === 'function' ? begin(one.message?.id) : begin);
  setTimeout(() => response.destroy(), 30);
};
const large = 'celsius '.repeat(MIB / 8 + 1);
const JSON_TYPE = { 'content-type': 'application/json' };
const EVENTS = { 'content-type': 'text/event-stream' };
const NO_TEXT = (id) => Buffer.concat([
  Buffer.from(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[{"type":"text","text":"celsius `), Buffer.from([0xff, 0xfe]), Buffer.from('"}]}}'),
]);

/** What is an answer and buys nothing, by the code that it is told under. */
const GATED = {
  answer_too_large: {
    'JSON over 1 MiB': ({ message }, response) => json(JSON.stringify(said(message.id, large)))(undefined, response),
    'a stream over 1 MiB': events((id) => event(said(id, large))),
    'a stream whose notes are over 1 MiB': events(...Array.from({ length: 20 }, () => NOTE + `: ${'x'.repeat(64 * 1024)}\n\n`), (id) => event(said(id))),
    'more than 1 MiB of no JSON': json(large),
  },
  answer_broken: {
    'JSON that breaks off': breaksOff({ ...JSON_TYPE, 'content-length': 1000 }, '{"jsonrpc":"2.0"'),
    'chunks that break off': breaksOff(JSON_TYPE, (id) => JSON.stringify(said(id)).slice(0, -2)),
    'a stream that breaks off': breaksOff(EVENTS, NOTE),
    'a stream that breaks off in the answer': breaksOff(EVENTS, (id) => event(said(id)).slice(0, -9)),
    'a stream that ends without an answer': events(NOTE),
    'an empty stream': events(),
    'an empty body': json(''),
    'JSON for another call': json(JSON.stringify(said('another'))),
    'JSON for no call': json(JSON.stringify(said(null))),
    'a stream for another call': events(event(said('another')), event(said(1))),
    'a notification alone': json(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: {} })),
    'no JSON': json('21 celsius'),
    'JSON that is not UTF-8': ({ message }, response) => json(NO_TEXT(message.id))(undefined, response),
    'a stream that is not UTF-8': events((id) => Buffer.concat([Buffer.from('data: '), NO_TEXT(id), Buffer.from('\n\n')])),
  },
};
const OWN = {
  answer_too_large: { 'text over 1 MiB': json(JSON.stringify({ large })), 'chunks over 1 MiB': breaksOff(JSON_TYPE, large + large) },
  answer_broken: { 'text that breaks off': breaksOff({ ...JSON_TYPE, 'content-length': 1000 }, '{"celsius":'), 'chunks that break off': breaksOff(JSON_TYPE, '{"celsius":21') },
};
const DOORS = { 'a tool of the origin\'s': [gated.url, GATED], 'a tool of ours': [own.url, OWN] };
const WELL = { 'a tool of the origin\'s': undefined, 'a tool of ours': json('{"celsius":21}') };

/** A key, and what it has had to pay. */
async function keyOf(url) {
  const { key } = (await operator(url, { action: 'mint', credits: 5 })).json();
  const spent = async () => {
    const { available, held } = await creditsOf(url, key);
    assert.equal(held, 0, 'credits are locked');
    return 5 - available;
  };
  return { headers: bearer(key), spent };
}
/** A failure with this code, said as a result under the call's id; returns the result. */
function assertBroken(response, code, id) {
  const { status } = assertRefusal(response, code);
  assert.equal(status, 502);
  assert.equal(response.message.id, id);
  return resultOf(response);
}

for (const [where, [url, kinds]] of Object.entries(DOORS)) {
  const well = () => (WELL[where] ? answersBy(WELL[where]) : (origin.answer = undefined));

  test(`${where}: an answer is charged, and bought once`, async () => {
    for (const tool of ['quick', 'first']) {
      const buyer = await stack.buyer();
      const { payment } = await payFor(url, tool, {}, buyer);
      well();
      assertReceipt(assertSaid(await post(url, toolCall(tool, {}, { payment }))), buyer.address);
      const before = ran();
      assertRefusal(await post(url, toolCall(tool, {}, { payment })), 'payment_already_used');
      assert.deepEqual([ran() - before, await transfersOf(buyer)], [0, 1]);
      const { headers, spent } = await keyOf(url);
      assertSaid(await post(url, toolCall(tool, {}), { headers }));
      assert.equal(await spent(), 1);
    }
  });

  for (const [code, answers] of Object.entries(kinds)) {
    for (const [what, answer] of Object.entries(answers)) {
      test(`${where}: ${what}, paid first: it is charged, answered, and never done again`, async () => {
        const buyer = await stack.buyer();
        const { payment, nonce } = await payFor(url, 'first', {}, buyer);
        const before = ran();
        answersBy(answer);
        const result = assertBroken(await post(url, toolCall('first', {}, { payment, id: 'mine' })), code, 'mine');
        assertReceipt(result, buyer.address);
        const entry = (await booksOf(url, buyer.address)).find((one) => one.nonce.toLowerCase() === nonce.toLowerCase());
        assert.deepEqual([entry.state, entry.answered], ['settled', true]);
        well();
        assertRefusal(await post(url, toolCall('first', {}, { payment })), 'payment_already_used');
        assert.deepEqual([ran() - before, await transfersOf(buyer)], [1, 1]);
      });

      test(`${where}: ${what}, paid afterwards: it is not charged, and the payment is as good as before`, async () => {
        const buyer = await stack.buyer();
        const { payment } = await payFor(url, 'quick', {}, buyer);
        const before = ran();
        answersBy(answer);
        for (const id of [1, 'mine']) {
          const result = assertBroken(await post(url, toolCall('quick', {}, { payment, id })), code, id);
          assert.equal(result._meta?.[RECEIPT], undefined);
        }
        assert.equal(await transfersOf(buyer), 0);
        well();
        assertReceipt(assertSaid(await post(url, toolCall('quick', {}, { payment }))), buyer.address);
        assert.deepEqual([ran() - before, await transfersOf(buyer)], [3, 1]);
      });

      test(`${where}: ${what}, with a key: its credits are taken first, and given back afterwards`, async () => {
        const { headers, spent } = await keyOf(url);
        answersBy(answer);
        for (const [tool, charged] of [['quick', 0], ['first', 1], ['quick', 1], ['first', 2]]) {
          const result = assertBroken(await post(url, toolCall(tool, {}, { id: 5 }), { headers }), code, 5);
          assert.equal(await spent(), charged, tool);
          if (tool === 'first') assert.deepEqual(result._meta?.[CREDITS], { charged: '1', remaining: `${5 - charged}` });
        }
        well();
        assertSaid(await post(url, toolCall('quick', {}), { headers }));
        assert.equal(await spent(), 3);
      });
    }
  }

  test(`${where}: silence is silence: owed where it was paid for, and a key has paid for it`, async () => {
    for (const silence of [(_, response) => void response.destroy(), () => {}]) {
      const buyer = await stack.buyer();
      const { payment } = await payFor(url, 'first', {}, buyer);
      const { headers, spent } = await keyOf(url);
      answersBy(silence);
      const SILENT = ['origin_unreachable', 'origin_timeout'];
      const lost = await post(url, toolCall('first', {}, { payment }));
      assertRefusal(lost, SILENT);
      assertReceipt(resultOf(lost), buyer.address);
      assertRefusal(await post(url, toolCall('first', {}), { headers }), SILENT);
      assert.equal(await spent(), 1, 'the tool may have worked');
      well();
      assertReceipt(assertSaid(await post(url, toolCall('first', {}, { payment }))), buyer.address);
      assertRefusal(await post(url, toolCall('first', {}, { payment })), 'payment_already_used');
      assert.equal(await transfersOf(buyer), 1);
    }
  });
}

test('a session that is ended in the middle of a call: the tool has worked, and a key has paid for it', async () => {
  const server = await startMcpOrigin();
  const worker = await startWorker({
    vars: vars({ ORIGIN: server.url, MCP: 'origin:/mcp', TOOLS: { later: { ...BEFORE, timeout_seconds: 10 } } }), secrets: SECRETS,
  });
  const { headers: key, spent } = await keyOf(worker.url);
  for (const ended of [false, true]) {
    const begun = await post(worker.url, request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }));
    const session = { 'mcp-session-id': begun.headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' };
    let open;
    const held = new Promise((done) => (open = done));
    server.gate = () => held;
    const before = server.ran.length;
    const paid = post(worker.url, toolCall('later', { text: 'a' }, { id: 5 }), { headers: { ...session, ...key } });
    await until('the tool is at work', () => server.ran.length > before);
    if (ended) assert.equal((await call(worker.url, '/mcp', { method: 'DELETE', headers: session })).status, 200);
    open();
    if (ended) assertBroken(await paid, 'answer_broken', 5);
    else assertSaid(await paid);
    assert.equal(await spent(), ended ? 2 : 1);
    assert.equal(server.ran.length, before + 1);
  }
  await worker.stop();
});

// A server of the SDK's in plain JSON never answers a call whose session is ended meanwhile: to us that is a time-out, and of
// those the buyer could make as many as he likes.
test('time-outs that the buyer makes do not have a tool work for ever', async () => {
  const server = await startMcpOrigin({ json: true });
  const worker = await startWorker({
    vars: vars({ ORIGIN: server.url, MCP: 'origin:/mcp', TOOLS: { later: { ...BEFORE, timeout_seconds: 1 } } }), secrets: SECRETS,
  });
  const buyer = await stack.buyer();
  const { payment } = await payFor(worker.url, 'later', { text: 'a' }, buyer);
  const { headers: key, spent } = await keyOf(worker.url);
  const runs = {};
  for (const [way, how] of Object.entries({ payment: { payment }, key: { headers: key } })) {
    const begins = server.ran.length;
    for (let n = 0; n < 7; n += 1) {
      const begun = await post(worker.url, request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }));
      const session = { 'mcp-session-id': begun.headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' };
      let open;
      const held = new Promise((done) => (open = done));
      server.gate = () => held;
      const before = server.ran.length;
      let over = false;
      const paid = post(worker.url, toolCall('later', { text: 'a' }, { payment: how.payment, id: 5 }), { headers: { ...session, ...how.headers } })
        .finally(() => (over = true));
      await until('the tool is at work, or it is refused', () => server.ran.length > before || over);
      await call(worker.url, '/mcp', { method: 'DELETE', headers: session });
      open();
      await paid;
    }
    runs[way] = server.ran.length - begins;
  }
  const charged = await spent();
  await worker.stop();
  assert.equal(runs.payment, 5, `one payment ran it ${runs.payment} times`);
  assert.ok(runs.key > 1 && runs.key === charged, `${charged} credits ran it ${runs.key} times`);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
});

// Results that are no answers yet

const result = (more) => ({ message }, response) => void json(JSON.stringify({ jsonrpc: '2.0', id: message.id, result: more }))(undefined, response);
const ASKS = { sure: { method: 'elicitation/create', params: { message: 'sure?', requestedSchema: { type: 'object', properties: {} } } } };
const UNFINISHED = {
  'asks for more': { resultType: 'input_required', inputRequests: ASKS, requestState: 's1' },
  'asks for more, and does not say so': { inputRequests: ASKS, requestState: 's1', content: [] },
  'asks for more, and calls itself complete': { resultType: 'complete', inputRequests: ASKS, content: [] },
  'is a task': { resultType: 'task', task: { taskId: 'x' }, content: [] },
  'is of a type that nobody knows': { resultType: 'Complete', content: [{ type: 'text', text: 'nothing yet' }] },
  'is of no type': { resultType: 7, content: [{ type: 'text', text: 'nothing yet' }] },
};

test('a result that says it is complete is charged as one that says nothing of it', async () => {
  for (const more of [{}, { resultType: 'complete' }]) {
    const buyer = await stack.buyer();
    const { payment } = await payFor(gated.url, 'quick', {}, buyer);
    answersBy(result({ ...more, content: [{ type: 'text', text: '21 celsius' }] }));
    assertReceipt(assertSaid(await post(gated.url, toolCall('quick', {}, { payment }))), buyer.address);
    assert.equal(await transfersOf(buyer), 1);
  }
});

for (const [what, unfinished] of Object.entries(UNFINISHED)) {
  test(`a result that ${what} is passed on, and not charged: what follows it is`, async () => {
    const buyer = await stack.buyer();
    const { payment } = await payFor(gated.url, 'quick', {}, buyer);
    const { headers, spent } = await keyOf(gated.url);
    answersBy(result(unfinished));
    for (const how of [{ payment }, { headers }]) {
      const response = await post(gated.url, toolCall('quick', {}, { payment: how.payment, id: 3 }), how);
      const { _meta, ...told } = resultOf(response);
      assert.deepEqual([response.message.id, told], [3, unfinished]);
      assert.deepEqual([_meta?.[RECEIPT], _meta?.[CREDITS]?.charged ?? '0'], [undefined, '0']);
    }
    assert.deepEqual([await transfersOf(buyer), await spent()], [0, 0]);
    // The next round of it: the same payment, the same arguments, and what was asked for.
    origin.answer = undefined;
    const next = toolCall('quick', {}, { payment });
    Object.assign(next.params, { inputResponses: { sure: { action: 'accept', content: {} } }, requestState: 's1' });
    assertReceipt(assertSaid(await post(gated.url, next)), buyer.address);
    assert.deepEqual(origin.calls.at(-1).message.params.inputResponses, next.params.inputResponses);
    assert.equal(await transfersOf(buyer), 1);
  });
}

test('what is charged first is charged for a result of any kind', async () => {
  const buyer = await stack.buyer();
  const { payment } = await payFor(gated.url, 'first', {}, buyer);
  answersBy(result(UNFINISHED['asks for more']));
  assertReceipt(resultOf(await post(gated.url, toolCall('first', {}, { payment }))), buyer.address);
  assertRefusal(await post(gated.url, toolCall('first', {}, { payment })), 'payment_already_used');
  assert.equal(await transfersOf(buyer), 1);
});
