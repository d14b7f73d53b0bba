// What a stranger can have the isolate hold. It has 128 MB for all of its requests; workerd here takes what it is asked for, so
// what it takes is measured.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { assertAnswered, authorize, call, encode, startStack } from './helpers.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const MB = 1024 * 1024;
const stack = await startStack();
after(stopEverything);
const worker = await startWorker({
  vars: stack.vars({
    DISCOVERY: { mcp: '/mcp' },
    ROUTES: { 'GET /weather/:city': { price: '$0.001', name: 'weather', input: {} }, 'POST /echo': '$0.001' },
  }),
});

/** Opens a request and sends these bytes of its body, which promises one more. */
function hold(target, headers, bytes) {
  const { hostname, port, host } = new URL(worker.url);
  const socket = connect({ host: hostname, port: Number(port) });
  const lines = [`POST ${target} HTTP/1.1`, `Host: ${host}`, `Content-Length: ${bytes.length + 1}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  let received = '';
  socket.on('data', (chunk) => { received += chunk.toString('latin1'); });
  socket.on('error', () => {});
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  socket.write(bytes);
  return { socket, status: () => Number(received.split(' ')[1] ?? 0), text: () => received };
}

/** The most that workerd takes meanwhile, beyond what it took before. */
async function grownBy(act) {
  const before = worker.memory();
  let peak = before;
  const timer = setInterval(() => { peak = Math.max(peak, worker.memory() ?? 0); }, 50);
  const result = await act();
  clearInterval(timer);
  return { result, grown: before === undefined ? undefined : (peak - before) / MB, total: peak / MB };
}

const json = { 'Content-Type': 'application/json' };

test('120 slow uploads of a megabyte do not fill the isolate', async (t) => {
  await call(worker.url, '/mcp', { method: 'POST', headers: json, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
  const body = Buffer.alloc(MB - 1, 'x');
  const { result: held, grown, total } = await grownBy(async () => {
    const held = Array.from({ length: 120 }, () => hold('/mcp', json, body));
    await sleep(5000);
    return held;
  });
  const refused = held.filter(({ status }) => status() === 503);
  t.diagnostic(`${refused.length} of 120 refused; workerd grew by ${grown?.toFixed(0)} MB to ${total.toFixed(0)} MB`);
  assert.ok(refused.length >= 60, `${refused.length} refused`);
  for (const { text } of refused) {
    assert.match(text(), /"code":"overloaded"/);
    assert.match(text(), /retry-after: 2/i);
  }
  if (grown !== undefined) assert.ok(grown < 130, `workerd grew by ${grown} MB`);
  // What is small or streams does not wait for the others.
  const { v2 } = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: v2 }));
  for (const { socket } of held) socket.destroy();
});

test('who drips is sent away, and the room is given back', async () => {
  const drip = hold('/mcp', json, Buffer.from('{'));
  const began = Date.now();
  while (!drip.status() && Date.now() - began < 25_000) await sleep(200);
  assert.equal(drip.status(), 400);
  assert.ok(Date.now() - began < 20_000);
  const message = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"${'x'.repeat(MB - 200)}"}}`;
  for (let i = 0; i < 5; i++) assert.equal((await call(worker.url, '/mcp', { method: 'POST', headers: json, body: message })).status, 200);
});

test('payments that prove nothing, with an identifier and a megabyte each, do not fill the isolate', async (t) => {
  const [buyer, other] = [await stack.buyer(0n), await stack.buyer(0n)];
  const asked = stack.proxy.count('/verify');
  const payments = [];
  for (let i = 0; i < 60; i++) {
    const { json: { v2: signed } } = await authorize(worker.url, '/echo', buyer, { method: 'POST' });
    const forged = structuredClone(signed);
    // By another key than the payer's: perhaps a smart wallet's, so that only the facilitator can tell.
    forged.payload.authorization.from = other.address;
    forged.extensions = { 'payment-identifier': { info: { id: `identifier-number-${i}` } } };
    payments.push(encode(forged));
  }
  const body = Buffer.alloc(MB - 2, 'x');
  const { result: answers, grown, total } = await grownBy(async () => {
    const all = payments.map((payment) => hold('/echo', { 'PAYMENT-SIGNATURE': payment, 'Content-Type': 'text/plain' }, body));
    await sleep(2000);
    for (const { socket } of all) socket.write('x');
    await sleep(6000);
    return all;
  });
  t.diagnostic(`${answers.map(({ status }) => status())}; workerd grew by ${grown?.toFixed(0)} MB to ${total.toFixed(0)} MB`);
  assert.ok(answers.every(({ status }) => [402, 503, 0].includes(status())));
  assert.ok(stack.proxy.count('/verify') > asked, 'none of them was worth a question');
  if (grown !== undefined) assert.ok(grown < 80, `workerd grew by ${grown} MB`);
  for (const { socket } of answers) socket.destroy();
});
