// An origin that says something before its answer: `100 Continue` where it was asked for it, or an interim status that no
// client asked for. The first never happens here; the second is no answer, and buys and costs nobody anything for ever.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createRawServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { bearer, creditsOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { assertRefused, authorize, call, receiptsOf, startStack, until } from './helpers.mjs';
import { freshDirectory, onStop, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const run = promisify(execFile);
const SECRET = 'the-secret-between-the-two';
const stack = await startStack();
after(stopEverything);

const listening = async (server) => {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  onStop(() => new Promise((done) => (server.closeAllConnections?.(), server.close(done))));
  return `http://127.0.0.1:${server.address().port}`;
};
/** An origin that honours `Expect`, as Node, nginx and gunicorn do. */
const asked = { expects: 0, lengths: [] };
const readAll = async (request, response) => {
  let length = 0;
  for await (const chunk of request) length += chunk.length;
  asked.lengths.push(length);
  response.end(JSON.stringify({ celsius: 21, length }));
};
const expecting = createServer(readAll).on('checkContinue', (request, response) => {
  asked.expects += 1;
  response.writeContinue();
  void readAll(request, response);
});
/** An origin that sends an interim answer whether it is wanted or not, and echoes what it got. */
const odd = { ran: 0, first: 'HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload' };
const unasked = createRawServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (bytes) => {
    if (/^HEAD \/ /.test(bytes)) return void socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
    odd.ran += 1;
    const secret = /x-edge402-secret: (\S+)/i.exec(bytes.toString('latin1'))?.[1];
    const answer = 'celsius';
    socket.end(`${odd.first}\r\n\r\nHTTP/1.1 200 OK\r\nX-Edge402-Secret: ${secret}\r\nContent-Length: ${answer.length}\r\nConnection: close\r\n\r\n${answer}`);
  });
});
const ROUTES = {
  '/after': { price: '$0.001', verify: 'local' },
  '/before': { price: '$0.001', settle: 'before' },
  '/deferred': { price: '$0.001', settle: 'deferred', max_exposure: '$1' },
};
const secrets = { ...SECRETS, ORIGIN_SECRET: SECRET };
const [good, bad] = await Promise.all([await listening(expecting), await listening(unasked)].map((ORIGIN) => startWorker({
  vars: stack.vars({ ORIGIN, ROUTES, PACKAGES }), secrets,
})));

const file = join(freshDirectory('upload'), 'two-megabytes');
writeFileSync(file, Buffer.alloc(2_000_000, 'x'));
/** The real curl, which asks whether such a body is wanted. */
async function curl(url, headers = {}) {
  const more = Object.entries({ Expect: '100-continue', ...headers }).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const { stdout } = await run('curl', ['-s', '-S', '--http1.1', '-m', '60', '-w', '\n%{http_code}', ...more, '--data-binary', `@${file}`, url]);
  const [body, status] = [stdout.slice(0, stdout.lastIndexOf('\n')), stdout.slice(stdout.lastIndexOf('\n') + 1)];
  return { status: Number(status), body };
}
const key = async (worker) => (await operator(worker.url, { action: 'mint', credits: 5 })).json().key;

for (const path of ['/free', '/after', '/before', '/deferred']) {
  test(`curl sends two megabytes to ${path} with Expect, and is answered once`, async () => {
    const payment = path === '/free' ? undefined : await authorize(good.url, path, await stack.buyer(), { method: 'POST' });
    const ran = asked.lengths.length;
    const { status, body } = await curl(`${good.url}${path}`, payment?.v2);
    assert.equal(status, 200, body);
    assert.equal(JSON.parse(body).length, 2_000_000);
    assert.equal(asked.lengths.length - ran, 1);
  });
}

test('curl sends two megabytes with a key and Expect: answered, and charged once', async () => {
  const held = await key(good);
  const { status, body } = await curl(`${good.url}/after`, bearer(held));
  assert.equal(status, 200, body);
  await until('the capture', async () => (await creditsOf(good.url, held)).held === 0);
  assert.equal((await creditsOf(good.url, held)).available, 4);
});

test('no origin ever heard of an Expect', () => assert.equal(asked.expects, 0));

const FIRSTS = ['HTTP/1.1 100 Continue', 'HTTP/1.1 102 Processing', 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c'];
/** All bytes that a request on a free path gets back. */
const raw = (url, headers) => new Promise((done, failed) => {
  const { hostname, port, host } = new URL(url);
  let received = '';
  const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(`GET /free HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`));
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
    if (/"code"|celsius/.test(received)) socket.destroy();
  });
  socket.on('close', () => done(received)).on('error', failed);
  socket.setTimeout(10_000, () => socket.destroy());
});

for (const first of FIRSTS) {
  test(`a free path: ${first.split('\r')[0].slice(9)} that nobody asked for is not handed out, nor what comes behind it`, async () => {
    odd.first = first;
    for (const headers of ['', 'Connection: upgrade\r\nUpgrade: h2c\r\n']) {
      const received = await raw(bad.url, headers);
      assert.match(received, /^HTTP\/1.1 502 /);
      assert.doesNotMatch(received, /celsius|HTTP\/1.1 200|the-secret/);
    }
  });
}

for (const path of ['/after', '/deferred']) {
  test(`${path}: an origin that cannot be understood is not charged for, and works five times for one payment`, async () => {
    odd.first = FIRSTS[2];
    const buyer = await stack.buyer();
    const payment = await authorize(bad.url, path, buyer);
    const ran = odd.ran;
    for (let at = 0; at < 5; at += 1) {
      const response = await call(bad.url, path, { headers: payment.v2 });
      assertRefused(response, 502, 'answer_broken');
      assert.doesNotMatch(JSON.stringify(response.headers), /the-secret/);
    }
    // No money has moved: another payment may be signed, and this one has no more work done for it.
    for (const _ of 'ab') assertRefused(await call(bad.url, path, { headers: payment.v2 }), 402, 'payment_refused');
    assert.equal(odd.ran - ran, 5);
    assert.deepEqual(await stack.chain.transfers({ from: buyer.address }), []);
  });
}

test('/before: it is charged once, says so, and has the origin work five times at most', async () => {
  odd.first = FIRSTS[0];
  const buyer = await stack.buyer();
  const payment = await authorize(bad.url, '/before', buyer);
  const ran = odd.ran;
  for (let at = 0; at < 5; at += 1) {
    const response = await call(bad.url, '/before', { headers: payment.v2 });
    assertRefused(response, 502, 'answer_broken');
    assert.equal(receiptsOf(response).v2.success, true);
    assert.equal(response.headers['retry-after'], undefined);
  }
  assertRefused(await call(bad.url, '/before', { headers: payment.v2 }), 409, 'payment_already_used');
  assert.equal(odd.ran - ran, 5);
  assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
});

for (const [path, left] of [['/after', 5], ['/before', 4]]) {
  test(`a key at ${path}: ${left === 5 ? 'given back' : 'charged, since the origin has worked'}`, async () => {
    odd.first = FIRSTS[0];
    const held = await key(bad);
    assertRefused(await call(bad.url, path, { headers: bearer(held) }), 502, 'answer_broken');
    await until('nothing is held', async () => (await creditsOf(bad.url, held)).held === 0);
    assert.equal((await creditsOf(bad.url, held)).available, left);
  });
}
