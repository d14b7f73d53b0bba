// The origin as a service binding, and the requests that are odd but legal: what holds for a URL holds for these.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { assertAnswered, assertRefused, authorize, call, receiptsOf, startStack, withoutEffect } from './helpers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const ROUTES = {
  'GET /weather/*': '$0.001',
  'GET /echo': { price: '$0.001', settle: 'before' },
  'GET /hang': { price: '$0.001', timeout_seconds: 2 },
};
const secrets = { ORIGIN_SECRET: '0123456789abcdef0123456789abcdef' };
const byUrl = await startWorker({ vars: stack.vars({ ROUTES }), secrets });
const { ORIGIN: _, ...vars } = stack.vars({ ROUTES });
const byService = await startWorker({ vars, secrets, service: stack.origin.url });
after(stopEverything);

for (const [name, worker] of [['a URL', byUrl], ['a service binding', byService]]) {
  test(`${name}: pays and is answered`, async () => {
    const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
    assertAnswered(await call(worker.url, '/weather/lisbon', { headers: payment.v2 }));
  });

  test(`${name}: a GET with a body is not charged for nothing`, async () => {
    const payment = await authorize(worker.url, '/echo', await stack.buyer());
    const response = await call(worker.url, '/echo', { headers: payment.v2, body: 'a question' });
    assertAnswered(response);
    assert.equal(receiptsOf(response).v2.success, true);
    assert.match(response.text, /a question/);
    const free = await call(worker.url, '/echo', { method: 'POST', body: 'a question' });
    assert.match(free.text, /a question/);
  });

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
