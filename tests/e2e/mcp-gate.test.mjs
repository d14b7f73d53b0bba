// An MCP server of the origin's behind the gate: what the official SDK makes, with sessions and streams and in plain JSON.
// Its tools cost what TOOLS says, and money moves by them as it does over HTTP.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { validateDiscoveryExtension } from '@x402/extensions/bazaar';
import { x402Client } from '@x402/fetch';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { atOnce, NETWORK, startStack, until } from './helpers.mjs';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { booksOf, newId } from './identified.mjs';
import {
  assertNothingSaid, assertPrice, assertReceipt, assertRefusal, assertSaid, CREDITS, payFor, PAYMENT, post, prepared, read, RECEIPT,
  request, resultOf, toolCall,
} from './mcp.mjs';
import { faultsByPayer } from './payers.mjs';
import { startMcpOrigin } from './stack/mcp-origin.mjs';
import { ROOT, sleep, stopEverything } from './stack/processes.mjs';
import { pythonOfTheMcpClient } from './stack/python.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { chain, proxy, seller } = stack;
const [streams, plain] = await Promise.all([startMcpOrigin(), startMcpOrigin({ json: true })]);
const TOOLS = {
  search: '$0.01', slow: { price: '$0.02', settle: 'before' }, later: { price: '$0.01', settle: 'deferred', max_exposure: '$0.02' }, ping: 'free',
  fails: '$0.01', fails_late: { price: '$0.01', settle: 'before' }, breaks: '$0.01', progress: '$0.01',
};
const start = (origin, more) => startWorker({
  vars: stack.vars({
    ORIGIN: origin.url, MCP: 'origin:/mcp', TOOLS, ROUTES: { 'GET /weather/*': '$0.01' }, PACKAGES, CREDIT_VALUE: '$0.01',
    FACILITATORS: [{ url: proxy.url, timeout_seconds: 3 }],
  }),
  secrets: SECRETS,
  ...more,
});
const servers = {
  streams: { origin: streams, worker: await start(streams) },
  'plain JSON': { origin: plain, worker: await start(plain) },
};
const { origin, worker } = servers.streams;
// By payer: an alarm may still be at work for the buyer of an earlier test.
const faults = faultsByPayer(proxy);
after(stopEverything);

async function connected({ worker: { url } }, headers = {}) {
  const client = new Client({ name: 'a test', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', url), { requestInit: { headers } });
  await client.connect(transport);
  return Object.assign(client, { session: transport.sessionId, leave: () => transport.terminateSession() });
}

/** What a session sends beside each message. */
const inSession = (client) => ({ headers: { 'mcp-session-id': client.session, 'mcp-protocol-version': '2025-11-25' } });

async function payment(client, name, args, account) {
  const required = assertPrice(await client.callTool({ name, arguments: args }), { tool: name, network: NETWORK });
  const payer = x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(account) }] });
  return payer.createPaymentPayload(required);
}

/** Nonces of payments that an alarm goes on collecting: it may ask for them while a later test counts. */
const retried = new Set();
const settlements = () => proxy.calls.filter(({ path, body }) =>
  path === '/settle' && !retried.has(body?.paymentPayload?.payload?.authorization?.nonce)).length;

/** What `act` cost the others: tools that ran, settlements that were asked for, atoms that the seller has more. */
async function effects({ origin: { ran } }, act) {
  const before = [ran.length, settlements(), await chain.balanceOf(seller)];
  const result = await act();
  const paid = (await chain.balanceOf(seller)) - before[2];
  return { result, did: [ran.length - before[0], settlements() - before[1], paid] };
}
const NOTHING = [0, 0, 0n];
const transfersOf = async (buyer) => (await chain.transfers({ from: buyer.address, to: seller })).map(({ value }) => value);
const entriesOf = (buyer, at = worker) => booksOf(at.url, buyer.address);

for (const [kind, server] of Object.entries(servers)) {
  test(`listing is free, and a tool is paid for by the official client: ${kind}`, async () => {
    const client = await connected(server);
    assert.ok(client.session, 'no session');
    const listed = await effects(server, () => client.listTools());
    assert.deepEqual(listed.did, NOTHING);
    assert.ok(listed.result.tools.some(({ name }) => name === 'search'));
    const buyer = await stack.buyer();
    const args = { text: 'lisbon' };
    const calls = server.origin.calls.length;
    const { result: signed, did: none } = await effects(server, () => payment(client, 'search', args, buyer));
    assert.deepEqual(none, NOTHING);
    assert.equal(server.origin.calls.length, calls, 'the price is ours to tell');
    const { result, did } = await effects(server, () => client.callTool({ name: 'search', arguments: args, _meta: { [PAYMENT]: signed, other: 1 } }));
    assert.deepEqual(did, [1, 1, 10_000n]);
    assert.equal(result.content[0].text, 'lisbon: 21 celsius');
    const receipt = assertReceipt(result, buyer.address);
    assert.deepEqual(await transfersOf(buyer), [10_000n]);
    assert.equal((await chain.transfers({ from: buyer.address }))[0].transactionHash, receipt.transaction);
    const { args: asked, meta } = server.origin.ran.at(-1);
    assert.deepEqual(asked, args);
    assert.deepEqual(meta, { other: 1 }, 'the payment is nobody\'s but ours');
    const { headers } = server.origin.calls.findLast(({ body }) => body?.method === 'tools/call');
    assert.equal(headers['x-edge402-payer'].toLowerCase(), buyer.address.toLowerCase());
    assert.equal(headers['mcp-session-id'], client.session);
    await client.close();
  });

  test(`progress and log messages do not break a paid call: ${kind}`, async () => {
    const client = await connected(server);
    const buyer = await stack.buyer();
    const signed = await payment(client, 'progress', { text: 'a' }, buyer);
    const { result, did } = await effects(server, () =>
      client.callTool({ name: 'progress', arguments: { text: 'a' }, _meta: { [PAYMENT]: signed } }, undefined, { onprogress: () => {} }));
    assert.deepEqual(did, [1, 1, 10_000n]);
    assert.equal(result.content[0].text, 'a: 21 celsius');
    assertReceipt(result, buyer.address);
    await client.close();
  });

  test(`what fails is not charged: ${kind}`, async () => {
    const client = await connected(server);
    const buyer = await stack.buyer();
    const failing = await payment(client, 'fails', {}, buyer);
    const failed = await effects(server, () => client.callTool({ name: 'fails', arguments: {}, _meta: { [PAYMENT]: failing } }));
    assert.deepEqual(failed.did, [1, 0, 0n]);
    assert.deepEqual(failed.result, { isError: true, content: [{ type: 'text', text: 'no weather today' }] });
    const breaking = await payment(client, 'breaks', {}, buyer);
    const broken = await effects(server, () => post(server.worker.url, toolCall('breaks', {}, { payment: breaking, id: 'a text' }),
      inSession(client)));
    assert.deepEqual(broken.did, [1, 0, 0n]);
    const { id, error } = broken.result.message;
    assert.deepEqual([id, error.code, error.data], ['a text', -32_050, { why: 'nobody knows' }]);
    // Neither is used up by it.
    const again = await effects(server, () => client.callTool({ name: 'fails', arguments: {}, _meta: { [PAYMENT]: failing } }));
    assert.deepEqual(again.did, [1, 0, 0n]);
    assert.deepEqual(await transfersOf(buyer), []);
    await client.close();
  });
}

test('PyPI\'s mcp and x402 list the tools of a gated server, pay, and have the answer', async () => {
  const python = await pythonOfTheMcpClient();
  for (const [kind, server] of Object.entries(servers)) {
    for (const [tool, price] of [['search', 10_000n], ['slow', 20_000n]]) {
      const privateKey = generatePrivateKey();
      const { address } = privateKeyToAccount(privateKey);
      await chain.mint(address, 1_000_000n);
      const program = [join(ROOT, 'tests/e2e/stack/mcp-client.py'), `${server.worker.url}/mcp`, tool, JSON.stringify({ text: 'lisbon' })];
      const { result, did } = await effects(server, () =>
        promisify(execFile)(python, program, { env: { PATH: process.env.PATH, PRIVATE_KEY: privateKey } }));
      assert.deepEqual(did, [1, 1, price], `${kind} ${tool}`);
      const { tools, paid, error, content, receipt } = JSON.parse(result.stdout);
      assert.ok(['search', 'slow', 'ping'].every((name) => tools.includes(name)), `${tools}`);
      assert.deepEqual([paid, error, content[0].text], [true, false, 'lisbon: 21 celsius']);
      const transfers = await chain.transfers({ from: address });
      assert.deepEqual(transfers.map(({ to, value, transactionHash }) => [to, value, transactionHash]), [[seller, price, receipt.transaction]]);
    }
  }
});

test('a tool that is paid first: the settlement, then the tool, and a failure is an answer', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const required = assertPrice(await client.callTool({ name: 'slow', arguments: {} }), { tool: 'slow', amount: '20000' });
  assert.equal(required.accepts[0].extra.paymentFlow, 'upfront');
  let ran;
  const before = origin.ran.length;
  faults.set(buyer.address, (path) => void (path === '/settle' && (ran = origin.ran.length - before)));
  const signed = await payment(client, 'slow', { text: 'a' }, buyer);
  const { result, did } = await effects(servers.streams, () => client.callTool({ name: 'slow', arguments: { text: 'a' },
    _meta: { [PAYMENT]: signed } }));
  assert.deepEqual([did, ran], [[1, 1, 20_000n], 0]);
  assertReceipt(result, buyer.address);
  const late = await payment(client, 'fails_late', {}, buyer);
  const failed = await effects(servers.streams, () => client.callTool({ name: 'fails_late', arguments: {}, _meta: { [PAYMENT]: late } }));
  assert.deepEqual(failed.did, [1, 1, 10_000n]);
  assert.equal(failed.result.isError, true);
  assertReceipt(failed.result, buyer.address);
  await client.close();
});

test('a tool that is paid later: the answer at once, the money in the background, and a limit to what is owed', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const signed = [];
  for (const text of ['a', 'b', 'c']) signed.push([text, await payment(client, 'later', { text }, buyer)]);
  let letGo;
  const held = new Promise((done) => (letGo = done));
  faults.set(buyer.address, async (path) => void (path === '/settle' && (await held)));
  for (const [text, one] of signed.slice(0, 2)) {
    const result = await client.callTool({ name: 'later', arguments: { text }, _meta: { [PAYMENT]: one } });
    assert.equal(result.content[0].text, `${text}: 21 celsius`);
    assert.equal(result._meta?.[RECEIPT]?.transaction ?? '', '', 'a receipt for money that has not moved');
  }
  assert.deepEqual(await transfersOf(buyer), []);
  const third = () => post(worker.url, toolCall('later', { text: 'c' }, { payment: signed[2][1] }), inSession(client));
  const ran = origin.ran.length;
  assertRefusal(await third(), 'too_much_unsettled');
  assert.equal(origin.ran.length, ran);
  letGo();
  await until('both are settled', async () => (await entriesOf(buyer)).every(({ state }) => state === 'settled'));
  assert.deepEqual(await transfersOf(buyer), [10_000n, 10_000n]);
  assertSaid(await third());
  await until('all are settled', async () => (await entriesOf(buyer)).every(({ state }) => state === 'settled'));
  assert.deepEqual(await transfersOf(buyer), [10_000n, 10_000n, 10_000n]);
  await client.close();
});

test('who owes for one tool has no other, and is told where to pay', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer(10_000n);
  const later = await payment(client, 'later', { text: 'a' }, buyer);
  const search = await payment(client, 'search', { text: 'a' }, buyer);
  let letGo;
  const held = new Promise((done) => (letGo = done));
  const { nonce } = later.payload.authorization;
  retried.add(nonce);
  faults.set(buyer.address, async (path, body) =>
    void (path === '/settle' && body.paymentPayload.payload.authorization.nonce === nonce && (await held)));
  assertSaid(await post(worker.url, toolCall('later', { text: 'a' }, { payment: later }), inSession(client)));
  assertSaid(await post(worker.url, toolCall('search', { text: 'a' }, { payment: search }), inSession(client)));
  letGo();
  await until('it has failed', async () => (await entriesOf(buyer)).some(({ state }) => state === 'failed'));
  const next = await payment(client, 'search', { text: 'b' }, buyer);
  const { result, did } = await effects(servers.streams, () => post(worker.url, toolCall('search', { text: 'b' },
    { payment: next }), inSession(client)));
  assert.deepEqual(did, NOTHING);
  const { debt } = assertRefusal(result, 'payment_overdue');
  assert.match(debt.payPath, /^\/api\/debts\/84532\//);
  assert.deepEqual(await transfersOf(buyer), [10_000n]);
  await client.close();
});

test('free tools stay free, whatever is sent along', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const signed = await payment(client, 'search', { text: 'a' }, buyer);
  for (const meta of [undefined, { [PAYMENT]: signed }]) {
    const { result, did } = await effects(servers.streams, () => client.callTool({ name: 'ping', arguments: { text: 'a' }, _meta: meta }));
    assert.deepEqual(did, [1, 0, 0n]);
    assert.equal(result.content[0].text, 'a: 21 celsius');
    assert.equal(origin.ran.at(-1).meta?.[PAYMENT], undefined);
  }
  const { key } = (await operator(worker.url, { action: 'mint', credits: 1 })).json();
  const keyed = await effects(servers.streams, () => post(worker.url, toolCall('ping', {}),
    { headers: { ...inSession(client).headers, ...bearer(key) } }));
  assert.deepEqual(keyed.did, [1, 0, 0n]);
  assert.equal((await creditsOf(worker.url, key)).available, 1);
  for (const { headers } of origin.calls) assert.equal(headers.authorization, undefined);
  await client.close();
});

test('a key pays for tools, and never reaches the origin', async () => {
  const { key } = (await operator(worker.url, { action: 'mint', credits: 3 })).json();
  const client = await connected(servers.streams, bearer(key));
  const ask = (name) => effects(servers.streams, () => client.callTool({ name, arguments: { text: 'a' } }));
  const first = await ask('search');
  assert.deepEqual([first.did, first.result._meta], [[1, 0, 0n], { [CREDITS]: { charged: '1', remaining: '2' } }]);
  const failed = await ask('fails');
  assert.deepEqual(failed.did, [1, 0, 0n]);
  assert.equal((await creditsOf(worker.url, key)).available, 2);
  const dear = await ask('slow');
  assert.deepEqual([dear.did, dear.result._meta[CREDITS]], [[1, 0, 0n], { charged: '2', remaining: '0' }]);
  const last = await ask('search');
  assert.deepEqual(last.did, NOTHING);
  assert.equal(assertPrice(last.result, { tool: 'search', amount: '10000' }).error, 'insufficient_credits');
  for (const { rawHeaders } of origin.calls) assert.doesNotMatch(rawHeaders.join('\n'), /e402_test_/);
  await client.close();
});

test('the price of a tool of the origin\'s is sound to a facilitator\'s catalogue', async () => {
  for (const tool of ['search', 'slow', 'later']) {
    const { extensions } = assertPrice(resultOf(await post(worker.url, toolCall(tool, {}))), { tool });
    if (extensions.bazaar) assert.deepEqual(validateDiscoveryExtension(extensions.bazaar), { valid: true });
  }
});

test('sessions end, streams are opened, and a session that is over costs nothing', async () => {
  const client = await connected(servers.streams);
  await until('the stream of the server\'s own', () => origin.calls.some(({ method, headers }) =>
    method === 'GET' && headers['mcp-session-id'] === client.session));
  const buyer = await stack.buyer();
  const signed = await payment(client, 'search', { text: 'a' }, buyer);
  const { session } = client;
  await client.leave();
  assert.equal(origin.sessions.has(session), false);
  const { result, did } = await effects(servers.streams, () => post(worker.url, toolCall('search', { text: 'a' },
    { payment: signed }), { headers: { 'mcp-session-id': session } }));
  assert.deepEqual(did, NOTHING);
  assert.deepEqual([result.status, result.message.result.isError], [404, true], result.text);
  // The payment is as good as before.
  const next = await connected(servers.streams);
  assertReceipt(assertSaid(await post(worker.url, toolCall('search', { text: 'a' }, { payment: signed }), inSession(next))), buyer.address);
  assert.deepEqual(await transfersOf(buyer), [10_000n]);
  await client.close();
  await next.close();
});

test('the same identifier and payment again is the same result, under the new message\'s id', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const made = await payFor(worker.url, 'search', { text: 'a' }, buyer);
  const payload = made.named(newId());
  const ask = (args, id, how = payload) => effects(servers.streams, () => post(worker.url, toolCall('search', args, { payment: how,
    id }), inSession(client)));
  const first = await ask({ text: 'a' }, 1);
  assert.deepEqual(first.did, [1, 1, 10_000n]);
  const again = await ask({ text: 'a' }, 'another id');
  assert.deepEqual(again.did, NOTHING);
  assert.deepEqual([first.result.message.id, again.result.message.id], [1, 'another id']);
  assert.deepEqual(resultOf(again.result), assertSaid(first.result));
  assertReceipt(resultOf(again.result), buyer.address);
  assert.equal(again.result.headers['idempotent-replayed'], 'true');
  // For anything else it is worth nothing, nor without the identifier.
  const other = await ask({ text: 'b' }, 2);
  assert.deepEqual(other.did, NOTHING);
  assertRefusal(other.result, 'identifier_taken');
  const bare = await ask({ text: 'a' }, 3, made.payment);
  assert.deepEqual(bare.did, NOTHING);
  assertRefusal(bare.result, 'payment_already_used');
  await client.close();
});

test('one payment in 32 calls at once: one result, one transfer', async () => {
  for (const [name, value] of [['search', 10_000n], ['slow', 20_000n]]) {
    const client = await connected(servers.streams);
    const buyer = await stack.buyer();
    const { payment: signed } = await payFor(worker.url, name, {}, buyer);
    const copies = Array.from({ length: 32 }, (_, id) => prepared(worker.url, toolCall(name, { text: `${id}` }, { payment: signed,
      id }), inSession(client)));
    const { result, did } = await effects(servers.streams, () => atOnce(copies));
    assert.deepEqual(did, [1, 1, value]);
    const answers = result.map(read);
    const won = answers.filter(({ message }) => !message.result.isError);
    assert.equal(won.length, 1);
    assert.equal(won[0].message.result.content[0].text, `${won[0].message.id}: 21 celsius`);
    for (const answer of answers.filter((one) => one !== won[0])) assertRefusal(answer, ['payment_in_flight', 'payment_already_used']);
    assert.deepEqual(await transfersOf(buyer), [value]);
    await client.close();
  }
});

test('16 copies under one identifier at once, each with an id of its own: one run, one transfer, one result', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const payload = (await payFor(worker.url, 'search', {}, buyer)).named(newId());
  const copies = Array.from({ length: 16 }, (_, id) => prepared(worker.url, toolCall('search', { text: 'a' }, { payment: payload,
    id }), inSession(client)));
  const { result, did } = await effects(servers.streams, () => atOnce(copies));
  assert.deepEqual(did, [1, 1, 10_000n]);
  const answers = result.map(read);
  for (const [id, { message }] of answers.entries()) assert.equal(message.id, id);
  const [won, ...others] = answers.filter(({ message }) => !message.result.isError);
  for (const one of others) assert.deepEqual(one.message.result, won.message.result);
  for (const one of answers.filter(({ message }) => message.result.isError)) assertRefusal(one, 'payment_in_flight');
  await client.close();
});

test('how long to wait is told', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const { payment: signed } = await payFor(worker.url, 'search', {}, buyer);
  faults.set(buyer.address, (path) => (path === '/settle' ? { status: 500, raw: 'oops' } : undefined));
  const response = await post(worker.url, toolCall('search', {}, { payment: signed }), inSession(client));
  const problem = assertRefusal(response, 'settlement_unknown');
  faults.lift(buyer.address);
  await client.close();
  assert.match(`${response.headers['retry-after'] ?? problem.retryAfter}`, /^\d+$/);
});

const FAULTS = {
  'status 500, and nothing was sent': { status: 500, raw: 'oops' },
  'status 500 after the broadcast': { forward: true, status: 500, raw: 'oops' },
  'no answer': { hang: true },
};
const MODES = [['search', 10_000n], ['slow', 20_000n]];

/** Asks until there is the result, and hears of nothing but patience meanwhile. */
const insist = (ask) => until('it is settled and served', async () => {
  const response = await ask();
  if (!resultOf(response).isError) return response;
  assertRefusal(response, ['settlement_unknown', 'payment_in_flight']);
  return void await sleep(100);
}, 90);

test('what befalls a settlement', { concurrency: true }, async (t) => {
  const cases = Object.entries(FAULTS).flatMap(([what, fault]) => MODES.map(([name, value]) => ({ what, fault, name, value })));
  await Promise.all(cases.map(({ what, fault, name, value }) => t.test(`${what}; ${name}`, async () => {
    const client = await connected(servers.streams);
    const buyer = await stack.buyer();
    const { payment: signed } = await payFor(worker.url, name, {}, buyer);
    const ran = () => origin.ran.filter(({ args }) => args.text === `${what} ${name}`).length;
    const ask = () => post(worker.url, toolCall(name, { text: `${what} ${name}` }, { payment: signed }), inSession(client));
    faults.set(buyer.address, (path) => (path === '/settle' ? fault : undefined));
    const lost = await ask();
    assert.equal(assertRefusal(lost, 'settlement_unknown').status, 503);
    assert.equal(resultOf(lost)._meta?.[RECEIPT]?.success ?? false, false);
    assertRefusal(await ask(), ['settlement_unknown', 'payment_in_flight']);
    assert.equal(ran(), name === 'search' ? 1 : 0);
    faults.lift(buyer.address);
    assert.equal(assertSaid(await insist(ask))._meta[RECEIPT].success, true);
    assertRefusal(await ask(), 'payment_already_used');
    assert.deepEqual(await transfersOf(buyer), [value]);
    assert.equal(ran(), name === 'search' ? 2 : 1);
    await client.close();
  })));
});

test('the Worker is killed during a settlement: the result is owed, and had once', { concurrency: true }, async (t) => {
  await Promise.all(MODES.map(([name, value]) => t.test(name, async () => {
    const own = await startMcpOrigin();
    const first = await start(own);
    const client = await connected({ worker: first });
    const buyer = await stack.buyer();
    const { payment: signed, nonce } = await payFor(first.url, name, {}, buyer);
    const message = () => toolCall(name, { text: 'a' }, { payment: signed });
    faults.set(buyer.address, (path) => (path === '/settle' ? { forward: true, hang: true } : undefined));
    const dying = prepared(first.url, message(), inSession(client));
    await dying.ready;
    dying.release();
    await until('the money has moved', () => chain.authorizationState(buyer.address, nonce));
    await first.kill();
    assert.equal(await dying.response.catch(() => undefined), undefined, 'it was answered');
    faults.lift(buyer.address);
    const ran = name === 'search' ? 1 : 0;
    assert.equal(own.ran.length, ran);
    const next = await start(own, { persist: first.persistPath });
    const ask = () => post(next.url, message(), inSession(client));
    assert.equal(assertSaid(await insist(ask))._meta[RECEIPT].success, true);
    assertRefusal(await ask(), 'payment_already_used');
    assert.equal(own.ran.length, ran + 1);
    assert.deepEqual(await transfersOf(buyer), [value]);
    await next.stop();
  })));
});

test('a settlement that is refused: the price again, and not a word of the result', async () => {
  const client = await connected(servers.streams);
  const buyer = await stack.buyer();
  const { payment: signed } = await payFor(worker.url, 'search', {}, buyer);
  const refused = { success: false, errorReason: 'insufficient_funds', transaction: '', network: NETWORK, payer: buyer.address };
  faults.set(buyer.address, (path) => (path === '/settle' ? { body: refused } : undefined));
  const { result, did } = await effects(servers.streams, () => post(worker.url, toolCall('search', { text: 'a' },
    { payment: signed }), inSession(client)));
  assert.deepEqual(did, [1, 1, 0n]);
  assertPrice(resultOf(result), { tool: 'search', amount: '10000' });
  assertNothingSaid(result);
  await client.close();
});

test('initialize, notifications and answers to the server pass as they are', async () => {
  const initialize = request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } });
  const begun = await post(worker.url, initialize);
  const session = begun.headers['mcp-session-id'];
  assert.ok(session);
  assert.equal(resultOf(begun).serverInfo.name, 'the origin\'s');
  const notified = await post(worker.url, { jsonrpc: '2.0', method: 'notifications/initialized' }, { headers: { 'mcp-session-id': session } });
  assert.equal(notified.status, 202);
  assert.deepEqual(origin.calls.at(-1).body, { jsonrpc: '2.0', method: 'notifications/initialized' });
  const answered = await post(worker.url, { jsonrpc: '2.0', id: 'of the server', result: {} }, { headers: { 'mcp-session-id': session } });
  assert.equal(answered.status, 202);
});
