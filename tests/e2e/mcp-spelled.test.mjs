// Calls that are written otherwise than they are meant: a method that only a tolerant server takes for `tools/call`, and
// arguments that would make a target longer than anybody reads.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startStack } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { assertError, assertNothingSaid, assertReceipt, payFor, post, request, resultOf, toolCall } from './mcp.mjs';
import { startRawOrigin } from './stack/mcp-origin.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const origin = await startRawOrigin();
after(stopEverything);
const open = await startWorker({ vars: stack.vars({ ORIGIN: origin.url, MCP: 'origin:/mcp', TOOLS: { search: '$0.01' } }) });
const own = await startWorker({
  vars: stack.vars({
    ORIGIN: origin.url, DISCOVERY: { mcp: '/mcp' }, PACKAGES, CREDIT_VALUE: '$0.01',
    ROUTES: {
      'GET /weather/:city': { price: '$0.01', name: 'weather', input: { query: { q: { type: 'string' }, list: { type: 'array' } } } },
      'GET /files/*': { price: '$0.01', name: 'files', input: {} },
    },
  }),
  secrets: SECRETS,
});

/** Nothing reaches the origin, and not a word of an answer. */
async function inVain(act, what) {
  const before = origin.calls.length;
  const response = await act();
  assert.equal(origin.calls.length, before, `${what}: it reached the origin; ${response.status} ${response.text.slice(0, 300)}`);
  assertNothingSaid(response);
  return response;
}

// Methods

const DISGUISES = ['Tools/Call', 'TOOLS/CALL', 'tools/Call', 'tools/call ', ' tools/call', 'tools /call', 'tools/call/', '/tools/call', 'tools//call',
  'tools.call', 'tools\\call', 'tools:call', 'tools-call', 'tools_call', 'tools call', 'tools/call\n', 'tools/call\t', 'tools/call.', 'tools/call;',
  'Tools.Call ', 'tools/call\u0000', 'tools/call\u00a0'];
const HONEST = ['tools/list', 'tools/callback', 'tools/calls', 'my/tools/call', 'call/tools', 'resources/read', 'completion/complete'];

test('other methods are other methods', async () => {
  for (const method of HONEST) {
    const message = request(method, { name: 'search' });
    const before = origin.calls.length;
    await post(open.url, message);
    assert.equal(origin.calls.length, before + 1, method);
    assert.deepEqual(origin.calls.at(-1).message, message);
    if (method !== 'tools/list') assertError(await inVain(() => post(own.url, message), method), -32_601);
  }
});

test('a method that is tools/call but for case, spaces or punctuation is no message', async () => {
  const taken = [];
  for (const method of DISGUISES) {
    for (const rest of [{ id: 1 }, {}]) {
      for (const [url, target] of [[open.url, '/mcp'], [open.url, '/mcp/x'], [open.url, '/x'], [own.url, '/mcp']]) {
        const before = origin.calls.length;
        const response = await post(url, JSON.stringify({ jsonrpc: '2.0', ...rest, method, params: { name: 'search', arguments: {} } }), { target });
        const said = `${JSON.stringify(method)} ${target} ${url === own.url ? 'own' : 'gated'} ${rest.id ? 'call' : 'notification'}`;
        if (origin.calls.length > before) taken.push(`${said}: reached the origin`);
        else if (response.status !== 400) taken.push(`${said}: ${response.status} ${response.text}`);
      }
    }
  }
  assert.deepEqual(taken, []);
});

// Targets of our own server's calls

/** The arguments that make a target of more or less this many bytes. */
const TARGETS = {
  'a path': ['weather', (bytes) => ({ city: 'x'.repeat(bytes) })],
  'a path of many segments': ['files', (bytes) => ({ path: 'ab/'.repeat(bytes / 3) + 'c' })],
  'a query': ['weather', (bytes) => ({ city: 'lisbon', q: 'x'.repeat(bytes) })],
  'a query of many': ['weather', (bytes) => ({ city: 'lisbon', list: Array.from({ length: Math.min(bytes / 7, 40_000) }, () => '1') })],
  'what is escaped': ['weather', (bytes) => ({ city: 'é'.repeat(bytes / 6) })],
  'a query that is escaped': ['weather', (bytes) => ({ city: 'lisbon', q: '%'.repeat(bytes / 3) })],
};
for (const [what, [tool, args]] of Object.entries(TARGETS)) {
  test(`a long target is asked for: ${what}`, async () => {
    const buyer = await stack.buyer();
    const { payment } = await payFor(own.url, tool, args(7_000), buyer);
    const before = origin.calls.length;
    assertReceipt(resultOf(await post(own.url, toolCall(tool, args(7_000), { payment }))), buyer.address);
    assert.equal(origin.calls.length, before + 1);
    assert.ok(origin.calls.at(-1).url.length > 6_000);
  });

  test(`one that is too long is refused, and costs nothing: ${what}`, async () => {
    const buyer = await stack.buyer();
    const { payment } = await payFor(own.url, tool, args(100), buyer);
    const { key } = (await operator(own.url, { action: 'mint', credits: 2 })).json();
    for (const bytes of [30_000, 100_000, 600_000]) {
      assertError(await inVain(() => post(own.url, toolCall(tool, args(bytes), { payment })), `${bytes}`), -32_602);
      assertError(await inVain(() => post(own.url, toolCall(tool, args(bytes)), { headers: bearer(key) }), `${bytes}`), -32_602);
    }
    assert.equal((await creditsOf(own.url, key)).available, 2);
    assertReceipt(resultOf(await post(own.url, toolCall(tool, args(100), { payment }))), buyer.address);
  });
}
