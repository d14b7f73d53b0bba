// Clients of tools as they are: the official SDK, which holds the structure of a result (a refusal's too) against the tool's
// outputSchema, and Cloudflare's `agents`, which pays by a text in base64. Each sees the price and pays.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { x402Client } from '@x402/fetch';
import Ajv from 'ajv';
import { NETWORK, startStack } from './helpers.mjs';
import { assertError, assertPrice, assertReceipt, PAYMENT, payFor, post, request, resultOf, toolCall } from './mcp.mjs';
import { faultsByPayer } from './payers.mjs';
import { agentsClient } from './stack/agents-client.mjs';
import { OUTPUT_SCHEMA, startMcpOrigin, startRawOrigin } from './stack/mcp-origin.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { chain, proxy, seller } = stack;
const faults = faultsByPayer(proxy);
const [streams, plain] = await Promise.all([startMcpOrigin(), startMcpOrigin({ json: true })]);
const WORDS = 'Gr\u00f6\u00dfe \u2014 21 \u00b0C \u{1f4b8}';
const TOOLS = { typed: { price: '$0.01', description: WORDS }, search: '$0.01', ping: 'free' };
const start = (origin, more = {}) => startWorker({
  vars: stack.vars({
    ORIGIN: origin.url, MCP: 'origin:/mcp', TOOLS, SERVICE: { description: WORDS }, DISCOVERY: { mcp: '/tools' },
    ROUTES: { 'GET /weather/:city': { price: '$0.01', name: 'weather', description: WORDS, input: {} } },
    FACILITATORS: [{ url: proxy.url, timeout_seconds: 3 }], ...more,
  }),
});
const servers = { streams: { origin: streams, worker: await start(streams) }, 'plain JSON': { origin: plain, worker: await start(plain) } };
after(stopEverything);

async function connected(url, path = '/mcp') {
  const client = new Client({ name: 'a test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(path, url)));
  return client;
}

const paid = async (buyer) => (await chain.transfers({ from: buyer.address, to: seller })).map(({ value }) => value);
const pay = (required, account) =>
  x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(account) }] }).createPaymentPayload(required);

for (const [kind, { origin, worker }] of Object.entries(servers)) {
  test(`a tool with an outputSchema: the official client sees the price, refusals, and its result: ${kind}`, async () => {
    const client = await connected(worker.url);
    // From here on it holds every result of the tool against the schema that it was given.
    await client.listTools();
    const ask = (payment) => client.callTool({ name: 'typed', arguments: { text: 'a' }, ...(payment && { _meta: { [PAYMENT]: payment } }) });
    const before = origin.ran.length;
    const required = assertPrice(await ask(), { tool: 'typed', amount: '10000', network: NETWORK });

    const poor = await stack.buyer(1n);
    const refused = await ask(await pay(required, poor));
    assert.ok(refused.isError && refused.structuredContent.accepts.length > 0, JSON.stringify(refused));
    assert.notEqual(refused.structuredContent.error, required.error, 'no reason');

    const buyer = await stack.buyer();
    const payment = await pay(required, buyer);
    faults.set(buyer.address, (path) => (path === '/settle' ? { status: 500, raw: 'oops' } : undefined));
    const unknown = (await ask(payment)).structuredContent;
    assert.deepEqual([unknown.code, unknown.accepts], ['settlement_unknown', undefined]);
    assert.match(unknown.hint, /same/);
    faults.lift(buyer.address);
    const other = await stack.buyer();
    const result = await ask(await pay(required, other));
    assert.deepEqual(result.structuredContent, { text: 'a', celsius: { value: 21, max: 30 } });
    assertReceipt(result, other.address);
    assert.deepEqual(await paid(other), [10_000n]);
    assert.ok(origin.ran.length > before);
    await client.close();
  });

  test(`tools/list says what each tool costs, and all else as the server says it: ${kind}`, async () => {
    const client = await connected(worker.url);
    const { tools } = await client.listTools();
    const direct = await connected(origin.url);
    const { tools: own } = await direct.listTools();
    assert.deepEqual(tools.map(({ name }) => name), own.map(({ name }) => name));
    const of = (list, wanted) => list.find(({ name }) => name === wanted);
    for (const name of ['ping', 'fails']) assert.deepEqual(of(tools, name), of(own, name), 'free, and as it was');
    for (const name of ['search', 'typed']) {
      const { description, _meta, outputSchema, ...rest } = of(tools, name);
      assert.equal(description, 'Costs $0.01.');
      assert.deepEqual(_meta['x402/price'], { currency: 'USD', amount: '0.01' });
      assert.equal(_meta['x402/assets'][0].network, NETWORK);
      const { outputSchema: theirs, ...same } = of(own, name);
      assert.deepEqual(rest, same);
      assert.equal(outputSchema === undefined, theirs === undefined);
    }
    await Promise.all([client.close(), direct.close()]);
  });

  test(`Cloudflare's agents client pays for a tool with an outputSchema and for one without: ${kind}`, async () => {
    const client = await connected(worker.url);
    await client.listTools();
    for (const name of ['typed', 'search']) {
      const buyer = await stack.buyer();
      const agents = agentsClient(client, buyer);
      const result = await agents.callTool({ name, arguments: { text: 'a' }, _meta: { theirs: 1 } });
      assert.equal(result.content[0].text, 'a: 21 celsius', JSON.stringify(result));
      assertReceipt(result, buyer.address);
      assert.deepEqual(await paid(buyer), [10_000n]);
      assert.equal(agents.sent.length, 1);
      assert.deepEqual(origin.ran.at(-1).meta, { theirs: 1 }, 'the payment reached the origin');
    }
    await client.close();
  });
}

test('the schema of a priced tool takes its result, the price and a refusal, and nothing else', async () => {
  const client = await connected(servers.streams.worker.url);
  const { tools } = await client.listTools();
  const fits = new Ajv({ strict: false }).compile(tools.find(({ name }) => name === 'typed').outputSchema);
  const own = new Ajv({ strict: false }).compile(OUTPUT_SCHEMA);
  const good = { text: 'a', celsius: { value: 1 } };
  assert.ok(own(good) && fits(good));
  for (const bad of [{}, { text: 'a' }, { ...good, more: 1 }, { text: 'a', celsius: { value: 'x' } }, { type: 'x', status: 1, code: 'y' }]) {
    assert.ok(!own(bad) && !fits(bad), JSON.stringify(bad));
  }
  await client.close();
});

test('Cloudflare\'s agents client pays for a route at our own server', async () => {
  const { worker } = servers.streams;
  const client = await connected(worker.url, '/tools');
  const { tools } = await client.listTools();
  assert.equal(tools[0].name, 'weather');
  const buyer = await stack.buyer();
  const agents = agentsClient(client, buyer);
  const result = await agents.callTool({ name: 'weather', arguments: { city: 'lisbon' } });
  // The MCP server has no such page; that is not charged. What counts is that the payment was read.
  assert.equal(agents.sent.length, 1);
  assert.doesNotMatch(JSON.stringify(result), /-32602|payment_/, JSON.stringify(result));
  await client.close();
});

test('a payment as a string is read as one that is an object, and a wrong one is refused by the field\'s name', async () => {
  const { origin, worker } = servers['plain JSON'];
  const client = await connected(worker.url);
  const session = { headers: { 'mcp-session-id': client.transport.sessionId, 'mcp-protocol-version': '2025-11-25' } };
  const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');
  for (const write of [(payment) => payment, JSON.stringify, base64]) {
    const buyer = await stack.buyer();
    const { payment } = await payFor(worker.url, 'search', { text: 'a' }, buyer);
    const result = resultOf(await post(worker.url, toolCall('search', { text: 'a' }, { payment: write(payment) }), session));
    assertReceipt(result, buyer.address);
    assert.deepEqual(await paid(buyer), [10_000n]);
  }
  const ran = origin.ran.length;
  const buyer = await stack.buyer();
  const { payment } = await payFor(worker.url, 'search', { text: 'a' }, buyer);
  for (const wrong of [7, true, [payment], '', 'x', base64(payment).replace(/=*$/, '?'), base64('[]'), base64('{"a":1,"a":2}'), ` ${base64(payment)}`]) {
    const response = await post(worker.url, toolCall('search', { text: 'a' }, { payment: wrong }), session);
    assertError(response, -32_602);
    assert.match(response.message.error.message, /_meta\["x402\/payment"\]/);
  }
  assert.equal(origin.ran.length, ran);
  assert.deepEqual(await paid(buyer), []);
  await client.close();
});

test('a list that cannot be read is passed on as it is, pages lead on, and what is not for sale is not listed', async () => {
  let list;
  const raw = await startRawOrigin({ answer: ({ message }) => (message?.method === 'tools/list' ? list(message.id) : undefined) });
  const worker = await start(raw, { TOOLS: { search: '$0.01', ping: 'free' }, DEFAULT: 'deny', ROUTES: { 'GET /a': 'free' } });
  const tool = (name) => ({ name, inputSchema: { type: 'object' } });
  const page = (id, more) => ({ jsonrpc: '2.0', id, result: { tools: ['search', 'ping', 'closed'].map(tool), ...more } });
  list = (id) => page(id, { nextCursor: 'two' });
  const first = resultOf(await post(worker.url, request('tools/list', { cursor: 'one' })));
  assert.deepEqual(first.tools.map(({ name, description }) => [name, description]), [['search', 'Costs $0.01.'], ['ping', undefined]]);
  assert.equal(first.nextCursor, 'two');
  assert.equal(raw.calls.at(-1).message.params.cursor, 'one');
  // Too long to be held, and another message's: as they came.
  for (const odd of [(id) => page(id, { padding: 'x'.repeat(1_100_000) }), () => page('another'), (id) => ({ jsonrpc: '2.0', id, error: { code: -1, message: 'no' } })]) {
    list = odd;
    const message = request('tools/list', {});
    const response = await post(worker.url, message);
    assert.deepEqual(response.message, odd(message.id));
  }
  await Promise.all([worker.stop(), raw.stop()]);
});
