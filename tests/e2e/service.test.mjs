// The origin as a service binding, and the requests that are odd but legal: what holds for a URL holds for these.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { assertAnswered, assertRefused, authorize, call, receiptsOf, startStack, until, withoutEffect } from './helpers.mjs';
import { sendJson, serve } from './stack/http.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const ROUTES = {
  'GET /weather/*': '$0.001',
  'GET /echo': { price: '$0.001', settle: 'before' },
  'PUT /echo': { price: '$0.001', settle: 'before' },
  'GET /hang': { price: '$0.001', timeout_seconds: 2 },
};
const secrets = { ORIGIN_SECRET: '0123456789abcdef0123456789abcdef' };
const byUrl = await startWorker({ vars: stack.vars({ ROUTES }), secrets });
const { ORIGIN: _, ...vars } = stack.vars({ ROUTES });
const byService = await startWorker({ vars, secrets, service: stack.origin.url });
after(stopEverything);

// What no well-kept origin says. It says it to whoever paid first, too, until it is well.
let well = false;
const odd = await serve((request, response) => {
  request.resume();
  if (well) return sendJson(response, 200, { well });
  response.socket.end('HTTP/1.1 700 Odd\r\nContent-Length: 3\r\n\r\nodd');
});
const oddly = await startWorker({ vars: stack.vars({ ORIGIN: odd.url, ROUTES }) });

test('an origin with a status that is none: a receipt if it was paid, and it is owed so often', async () => {
  const payer = await stack.buyer();
  const first = await authorize(oddly.url, '/echo', payer, { method: 'PUT' });
  const ask = () => call(oddly.url, '/echo', { method: 'PUT', headers: first.v2 });
  const receipts = [];
  for (const _ of 'ab') {
    const paid = await ask();
    assertRefused(paid, 502, 'answer_broken');
    receipts.push(receiptsOf(paid).v2);
    assert.equal(receipts[0].success, true);
  }
  assert.deepEqual(receipts[1], receipts[0]);
  const buyer = await stack.buyer();
  const second = await authorize(oddly.url, '/weather/lisbon', buyer);
  assertRefused(await call(oddly.url, '/weather/lisbon', { headers: second.v2 }), 502, 'answer_broken');
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 0);

  well = true;
  const served = await ask();
  assert.deepEqual({ status: served.status, body: served.json() }, { status: 200, body: { well } });
  assert.deepEqual(receiptsOf(served).v2, receipts[0]);
  assertRefused(await ask(), 409, 'payment_already_used');
  assert.equal((await stack.chain.transfers({ from: payer.address })).length, 1);
});

test('a WebSocket on an unpriced path gets through', async () => {
  const sockets = createServer();
  sockets.on('upgrade', (request, socket) => {
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.write(Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]));
  });
  sockets.listen(0, '127.0.0.1');
  await once(sockets, 'listening');
  const worker = await startWorker({ vars: stack.vars({ ORIGIN: `http://127.0.0.1:${sockets.address().port}`, ROUTES }) });
  const { hostname, port } = new URL(worker.url);
  const client = connect({ host: hostname, port: Number(port) });
  client.write(`GET /live HTTP/1.1\r\nHost: gate\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
  let seen = '';
  client.on('data', (data) => (seen += data.toString('latin1')));
  await until('the message', () => seen.includes('hello'));
  assert.match(seen, /^HTTP\/1.1 101 /);
  client.destroy();
  sockets.closeAllConnections();
  sockets.close();
});

for (const [name, worker] of [['a URL', byUrl], ['a service binding', byService]]) {
  test(`${name}: pays and is answered`, async () => {
    const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
    assertAnswered(await call(worker.url, '/weather/lisbon', { headers: payment.v2 }));
  });

  for (const method of ['GET', 'PUT']) {
    test(`${name}: a ${method} with a body, which is paid for first, is not charged for nothing`, async () => {
      const payment = await authorize(worker.url, '/echo', await stack.buyer(), { method });
      const response = await call(worker.url, '/echo', { method, headers: payment.v2, body: 'a question' });
      assertAnswered(response);
      assert.equal(receiptsOf(response).v2.success, true);
      assert.match(response.text, /a question/);
      const free = await call(worker.url, '/echo', { method: 'POST', body: 'a question' });
      assert.match(free.text, /a question/);
    });
  }

  test(`${name}: an origin that hangs is a 504, and not charged`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, '/hang', buyer);
    assertRefused(await call(worker.url, '/hang', { headers: payment.v2 }), 504, 'origin_timeout');
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 0);
  });

  test(`${name}: TRACE, which would echo our secret, goes nowhere`, async () => {
    for (const path of ['/echo', '/weather/lisbon', '/anything']) {
      assertRefused(await withoutEffect(stack, () => call(worker.url, path, { method: 'TRACE' })), 403, 'method_forbidden');
    }
  });

  test(`${name}: an upload is not kept`, async () => {
    const megabytes = 96;
    const { hostname, port } = new URL(worker.url);
    const resting = worker.memory();
    const socket = connect({ host: hostname, port: Number(port) });
    // What comes back is not what this is about.
    socket.resume();
    await once(socket, 'connect');
    socket.write('POST /echo HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(1 << 20, 'x'), Buffer.from('\r\n')]);
    let most = resting;
    for (let sent = 0; sent < megabytes; sent += 1) {
      if (!socket.write(chunk)) await once(socket, 'drain');
      most = Math.max(most, worker.memory());
    }
    socket.destroy();
    assert.ok(most - resting < (megabytes << 20) / 2, `${(most - resting) >> 20} MiB more for ${megabytes} MiB`);
  });
}
