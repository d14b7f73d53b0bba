// Who answers whom. A client chooses the ids of its messages, and a server of the SDK finds by them whom an answer is for:
// whoever uses an id twice, or cancels it, must not have a paid answer where it is not paid for, nor keep it from being
// charged. So a paid call reaches the origin under an id that nobody but us has seen.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startStack, until } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { assertNothingSaid, assertPrice, assertReceipt, assertSaid, payFor, post, request, resultOf, toolCall } from './mcp.mjs';
import { gate } from './points.mjs';
import { startMcpOrigin, startRawOrigin } from './stack/mcp-origin.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);

const TOOLS = {
  search: { price: '$0.01', timeout_seconds: 4 }, later: { price: '$0.01', settle: 'before', timeout_seconds: 4 }, slow: 'free', ping: 'free',
};
const start = (origin) => startWorker({
  vars: stack.vars({ ORIGIN: origin.url, MCP: 'origin:/mcp', TOOLS, PACKAGES, CREDIT_VALUE: '$0.01' }), secrets: SECRETS,
});
const raw = await startRawOrigin();
const unmannered = await start(raw);
const servers = {};
for (const [kind, json] of [['streams', false], ['plain JSON', true]]) {
  const origin = await startMcpOrigin({ json });
  servers[kind] = { origin, url: (await start(origin)).url };
}

/** A session of the SDK's server, as headers. */
async function session(url) {
  const begun = await post(url, request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } }));
  return { 'mcp-session-id': begun.headers['mcp-session-id'], 'mcp-protocol-version': '2025-11-25' };
}

/** Ways to pay, each with what it has cost so far, in calls. */
const WAYS = {
  'a payment': async (url) => {
    const buyer = await stack.buyer();
    return {
      how: async (tool) => ({ payment: (await payFor(url, tool, {}, buyer)).payment }),
      spent: async () => (await stack.chain.transfers({ from: buyer.address, to: stack.seller })).length,
      assertCharged: (result) => void assertReceipt(result, buyer.address),
    };
  },
  'a key': async (url) => {
    const { key } = (await operator(url, { action: 'mint', credits: 5 })).json();
    return {
      how: async () => ({ headers: bearer(key) }),
      spent: async () => {
        const { available, held } = await creditsOf(url, key);
        return held ? NaN : 5 - available;
      },
      assertCharged: () => {},
    };
  },
};

/** A message with its id spelled exactly so. */
const spelled = (message, id) => JSON.stringify({ ...message, id: 'ID' }).replace('"ID"', () => id);
/** The id as it is spelled in a message. */
const idIn = (text) => text.match(/"id":\s*("(?:[^"\\]|\\.)*"|[^,}\s]+)/)?.[1];
const SPELLINGS = ['0', '7', '-1', '1.0', '1e2', '9007199254740993', '"7"', '"a text"', '"1.0"', '"__proto__"', `"${'x'.repeat(5000)}"`];

test('free messages keep their ids as they are written, and a price has the id of its call', async () => {
  for (const id of SPELLINGS) {
    for (const message of [toolCall('ping', {}), request('tools/list'), request('ping')]) {
      const { id: _, ...rest } = message;
      const response = await post(unmannered.url, spelled(rest, id));
      assert.equal(idIn(raw.calls.at(-1).body.toString('utf8')), id);
      assert.equal(JSON.stringify(response.message.id), JSON.stringify(JSON.parse(id)));
    }
    const { id: _, ...rest } = toolCall('search', {});
    const price = await post(unmannered.url, spelled(rest, id));
    assertPrice(resultOf(price), { tool: 'search' });
    assert.deepEqual(price.message.id, JSON.parse(id));
  }
});

for (const [way, made] of Object.entries(WAYS)) {
  test(`a paid call has an id of ours at the origin, and the client's at the client: ${way}`, async () => {
    const seen = new Set();
    for (const id of SPELLINGS) {
      const { how, spent, assertCharged } = await made(unmannered.url);
      for (const [at, tool] of ['search', 'later'].entries()) {
        const { payment, headers } = await how(tool);
        const { id: _, ...rest } = toolCall(tool, { text: 'a' }, { payment, meta: { progressToken: 3 } });
        const response = await post(unmannered.url, spelled(rest, id), { headers });
        assertCharged(assertSaid(response));
        // Of the same value: 1e2 and 100.0 are one number in JSON.
        assert.equal(JSON.parse(idIn(response.text)), JSON.parse(id), 'under the client\'s id');
        assert.equal(await spent(), at + 1);
        const { message } = raw.calls.at(-1);
        assert.deepEqual([message.method, message.params.name, message.params.arguments], ['tools/call', tool, { text: 'a' }]);
        assert.equal(typeof message.id, 'string', `the origin was shown ${message.id}`);
        assert.notEqual(message.id, JSON.parse(id));
        seen.add(message.id);
      }
    }
    assert.equal(seen.size, 2 * SPELLINGS.length, 'an id was used twice');
    // What they have in common may be guessed; what is left may not.
    const ids = [...seen];
    let common = 0;
    while (ids.every((one) => one[common] === ids[0][common])) common += 1;
    for (const one of ids) assert.ok(one.length - common >= 16, `${one} can be guessed`);
  });
}

test('one payment, sent again for what it is owed, has a new id each time', async () => {
  const buyer = await stack.buyer();
  const { payment } = await payFor(unmannered.url, 'later', {}, buyer);
  const before = raw.calls.length;
  raw.answer = (_, response) => void response.destroy();
  const ask = () => post(unmannered.url, toolCall('later', {}, { payment, id: 7 }));
  assert.equal(resultOf(await ask()).structuredContent.code, 'origin_unreachable');
  raw.answer = undefined;
  assertReceipt(assertSaid(await ask()), buyer.address);
  const [first, second] = raw.calls.slice(before).map(({ message }) => message.id);
  assert.notEqual(first, second);
  assert.ok(![first, second].includes(7));
});

/** A paid call that is at work at the origin; `finish` lets it answer. */
async function atWork({ origin, url }, tool, { how }, { headers, id }) {
  const { payment, headers: more } = await how(tool);
  const [paid, free] = [gate(), gate()];
  origin.gate = (name) => (name === tool ? paid.opened : name === 'slow' ? free.opened : undefined);
  const before = origin.ran.length;
  const answer = post(url, toolCall(tool, { text: 'SECRET' }, { payment, id }), { headers: { ...headers, ...more } });
  await until('the tool is at work', () => origin.ran.length > before);
  return { answer, finish: () => paid.open(), finishFree: () => free.open(), ran: () => origin.ran.slice(before).map(({ name }) => name) };
}

const ID = 7;
const cancelled = (requestId) => ({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId, reason: 'why not' } });
/** What is sent meanwhile, under this id; resolves once it is at the server. */
const MEANWHILE = {
  'a free tool that takes longer': async (server, id, headers, work) => {
    const free = post(server.url, toolCall('slow', { text: 'free' }, { id }), { headers }).catch(() => undefined);
    await until('the free tool is at work', () => work.ran().includes('slow'));
    return free;
  },
  'a free tool that is at once': (server, id, headers) => post(server.url, toolCall('ping', { text: 'free' }, { id }), { headers }),
  'the list': (server, id, headers) => post(server.url, request('tools/list', undefined, id), { headers }),
  'a cancellation': (server, id, headers) => post(server.url, cancelled(id), { headers }),
  'many cancellations': async (server, id, headers) => {
    for (let i = 0; i < 5; i += 1) await post(server.url, cancelled(id), { headers });
  },
};

for (const [kind, server] of Object.entries(servers)) {
  for (const [way, made] of Object.entries(WAYS)) {
    for (const [what, send] of Object.entries(MEANWHILE)) {
      // Under an id of its own nothing is to be had by it: that is how it is known that the rest of this is no accident.
      for (const id of [ID + 1, ID]) {
        test(`${kind}, ${way}: ${what} under ${id === ID ? 'the paid call\'s id' : 'an id of its own'} neither has its answer nor stops it`, async () => {
          for (const tool of ['search', 'later']) {
            const buyer = await made(server.url);
            const headers = await session(server.url);
            const work = await atWork(server, tool, buyer, { headers, id: ID });
            const sent = send(server, id, headers, work);
            // One that takes longer is still at work; whatever else is sent has been answered.
            const slow = what === 'a free tool that takes longer';
            if (slow) await until('the free tool is at work', () => work.ran().includes('slow'));
            else await sent;
            work.finish();
            const paid = await work.answer;
            work.finishFree();
            const free = await Promise.race([sent, sleep(5000)]);
            if (free) assert.doesNotMatch(free.text, /SECRET/, 'the paid answer went to who did not pay');
            const result = assertSaid(paid, /SECRET: 21 celsius/);
            buyer.assertCharged(result);
            assert.equal(paid.message.id, ID);
            assert.equal(await buyer.spent(), 1);
            assert.equal(work.ran().filter((name) => name === tool).length, 1);
            if (slow) assert.match(free.text, /free: 21 celsius/);
          }
        });
      }
    }

    test(`${kind}, ${way}: two paid calls under one id have each its own answer`, async () => {
      for (const [first, second] of [['search', 'later'], ['later', 'search']]) {
        const buyer = await made(server.url);
        const headers = await session(server.url);
        const work = await atWork(server, first, buyer, { headers, id: ID });
        const { payment, headers: more } = await buyer.how(second);
        const other = await post(server.url, toolCall(second, { text: 'ANOTHER' }, { payment, id: ID }), { headers: { ...headers, ...more } });
        work.finish();
        buyer.assertCharged(assertSaid(other, /ANOTHER: 21 celsius/));
        buyer.assertCharged(assertSaid(await work.answer, /SECRET: 21 celsius/));
        assert.equal(await buyer.spent(), 2);
      }
    });
  }

  test(`${kind}: another session's message under the same id has nothing of it`, async () => {
    const buyer = await WAYS['a key'](server.url);
    const [headers, others] = [await session(server.url), await session(server.url)];
    const work = await atWork(server, 'search', buyer, { headers, id: ID });
    const other = await post(server.url, toolCall('ping', { text: 'free' }, { id: ID }), { headers: others });
    assert.match(other.text, /free: 21 celsius/);
    work.finish();
    assertSaid(await work.answer, /SECRET: 21 celsius/);
    assert.equal(await buyer.spent(), 1);
  });
}

test('an answer under the client\'s id is not the call\'s: the origin never saw that id', async () => {
  const buyer = await stack.buyer();
  const { payment } = await payFor(unmannered.url, 'search', {}, buyer);
  const answered = (id) => (_, response) => void response.writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: '21 celsius' }] } }));
  raw.answer = answered(ID);
  const guessed = await post(unmannered.url, toolCall('search', {}, { payment, id: ID }));
  raw.answer = undefined;
  assertNothingSaid(guessed);
  assert.equal(resultOf(guessed).isError, true);
  assertReceipt(assertSaid(await post(unmannered.url, toolCall('search', {}, { payment, id: ID }))), buyer.address);
});
