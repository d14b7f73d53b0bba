// An origin that is not there, and one that is and breaks: only the first costs a payment nothing.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { assertAnswered, assertRefused, authorize, call, receiptsOf, startStack, until } from './helpers.mjs';
import { freePort, onStop, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);
const port = await freePort();
const origin = { ran: 0, breaks: false };
let server;
async function open() {
  server = createServer(async (request, response) => {
    for await (const _ of request) { /* all of it */ }
    if (request.method === 'HEAD') return void response.writeHead(404).end();
    origin.ran += 1;
    if (origin.breaks) return void request.socket.destroy();
    response.end('celsius');
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
}
async function close() {
  const closed = new Promise((done) => server.close(done));
  server.closeAllConnections();
  await closed;
}
onStop(() => server?.listening && close());
const ROUTES = { 'POST /do': { price: '$0.001', settle: 'before' } };
const worker = await startWorker({ vars: stack.vars({ ORIGIN: `http://127.0.0.1:${port}`, ROUTES, PACKAGES }), secrets: SECRETS });

const chunked = { headers: { 'transfer-encoding': 'chunked' }, body: '5\r\nhello\r\n0\r\n\r\n' };
const BODIES = {
  'a body in chunks': chunked,
  'a body over 64 KiB': { body: 'x'.repeat(70_000) },
  'a small body': { body: 'hello' },
};
const ask = (payment, { headers, body }) => call(worker.url, '/do', { method: 'POST', headers: { ...headers, ...payment.v2 }, body });
const once = async (buyer) => assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);

for (const [what, body] of Object.entries(BODIES)) {
  test(`${what}: an origin that refuses connections six times and then is there answers the payment`, async () => {
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, '/do', buyer, { method: 'POST' });
    const before = origin.ran;
    for (let at = 0; at < 6; at += 1) {
      const refused = await ask(payment, body);
      assertRefused(refused, 502, 'origin_unreachable');
      assert.equal(receiptsOf(refused).v2.success, true);
      assert.equal(refused.headers['retry-after'], '2');
    }
    await open();
    try {
      assertAnswered(await ask(payment, body));
      assertRefused(await ask(payment, body), 409, 'payment_already_used');
    } finally {
      await close();
    }
    assert.equal(origin.ran - before, 1);
    await once(buyer);
  });

  test(`${what}: an origin that takes the call and breaks has worked on it, so often and no more`, async () => {
    const most = what === 'a small body' ? 5 : 2;
    const buyer = await stack.buyer();
    const payment = await authorize(worker.url, '/do', buyer, { method: 'POST' });
    const before = origin.ran;
    origin.breaks = true;
    await open();
    try {
      for (let at = 1; at < most; at += 1) {
        const broken = await ask(payment, body);
        assertRefused(broken, 502, 'origin_unreachable');
        assert.equal(broken.headers['retry-after'], '2');
      }
      // The last one invites nobody to send it again.
      const last = await ask(payment, body);
      assertRefused(last, 502, 'answer_broken');
      assert.equal(last.headers['retry-after'], undefined);
      assert.equal(receiptsOf(last).v2.success, true);
      assertRefused(await ask(payment, body), 409, 'payment_already_used');
    } finally {
      origin.breaks = false;
      await close();
    }
    assert.equal(origin.ran - before, most);
    await once(buyer);
  });
}

test('a key: an origin that is not there costs nothing, one that broke on the call does', async () => {
  const { key } = (await operator(worker.url, { action: 'mint', credits: 5 })).json();
  const post = () => call(worker.url, '/do', { method: 'POST', headers: bearer(key), body: 'hello' });
  const left = () => until('nothing is held', async () => {
    const shown = await creditsOf(worker.url, key);
    return shown.held === 0 && { available: shown.available };
  });
  assertRefused(await post(), 502, 'origin_unreachable');
  assert.deepEqual(await left(), { available: 5 });
  origin.breaks = true;
  await open();
  try {
    assertRefused(await post(), 502, 'origin_unreachable');
    const { available } = await left();
    assert.ok(available < 5, `${available} are left`);
  } finally {
    origin.breaks = false;
    await close();
  }
});
