// What the e2e tests share: one stack per file, requests exactly as they are written, and the sentences they assert.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { startChain } from './stack/chain.mjs';
import { sign } from './stack/client.mjs';
import { startFacilitator } from './stack/facilitator.mjs';
import { startOrigin } from './stack/origin.mjs';
import { sleep } from './stack/processes.mjs';
import { startFacilitatorProxy } from './stack/proxy.mjs';

export const NETWORK = 'eip155:84532';
export const V1_NETWORK = 'base-sepolia';
export const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e';
/** Nobody's: where a thief would like the money, or the check for it, to go. */
export const THIEF = '0x000000000000000000000000000000000000bEEF';
/** A word of every paid answer of the origin, and of nothing that the Worker says itself. */
const MARKER = /celsius/;

/** Chain, facilitator, the proxy before it, and origin. Everything but the Worker. */
export async function startStack() {
  const chain = await startChain();
  const [facilitator, origin] = await Promise.all([startFacilitator({ chain }), startOrigin()]);
  const proxy = await startFacilitatorProxy({ target: facilitator.url });
  const stack = {
    chain, facilitator, proxy, origin,
    seller: chain.accounts.seller.address,
    /** A Worker's vars for this stack. */
    vars: (more) => ({
      ORIGIN: origin.url,
      PAY_TO: chain.accounts.seller.address,
      NETWORKS: [NETWORK],
      FACILITATORS: [{ url: proxy.url, timeout_seconds: 20 }],
      ...more,
    }),
    /** A new wallet with money, so that tests of one file do not see each other's balances. */
    buyer: async (amount = 1_000_000n) => {
      const account = privateKeyToAccount(generatePrivateKey());
      if (amount > 0n) await chain.mint(account.address, amount);
      return account;
    },
    stop: async () => {
      await Promise.allSettled([proxy.stop(), facilitator.stop(), origin.stop()]);
      await chain.stop();
    },
  };
  return stack;
}

/** Runs `act` and says what it cost the others: calls at the origin and at the facilitator, atoms moved to the seller. */
export async function effectsOf(stack, act) {
  const count = () => ({
    origin: stack.origin.calls.length,
    verify: stack.proxy.count('/verify'),
    settle: stack.proxy.count('/settle'),
  });
  const before = count();
  const earned = await stack.chain.balanceOf(stack.seller);
  const result = await act();
  const after = count();
  return {
    result,
    calls: { origin: after.origin - before.origin, verify: after.verify - before.verify, settle: after.settle - before.settle },
    earned: (await stack.chain.balanceOf(stack.seller)) - earned,
  };
}

export const NO_CALLS = { origin: 0, verify: 0, settle: 0 };

/** `act` must reach neither the origin nor the facilitator, and move no money. */
export async function withoutEffect(stack, act) {
  const { result, calls, earned } = await effectsOf(stack, act);
  assert.deepEqual(calls, NO_CALLS, 'somebody was called');
  assert.equal(earned, 0n, 'money moved');
  return result;
}

/** Waits for a condition, for as long as a loaded machine may need; the condition is the assertion, not the time. */
export async function until(what, condition, seconds = 30) {
  const began = Date.now();
  const deadline = began + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `never happened: ${what}`);
    // What takes long is asked for less often: the asking is work too, for this machine and for who is asked.
    await sleep(Math.min(20 + (Date.now() - began) / 20, 200));
  }
}

// Requests as they are written: fetch would tidy up paths, join headers and hide what is on the wire

/**
 * Connects and sends all of a request but its last byte; `release()` sends that. Many prepared requests released in one
 * turn of the event loop are as simultaneous as one machine can make them.
 */
export function prepare(base, target, { method = 'GET', headers = {}, body = '' } = {}) {
  const { hostname, port, host } = new URL(base);
  const payload = Buffer.from(body);
  const lines = [`${method} ${target} HTTP/1.1`];
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  if (!names.includes('host')) lines.push(`Host: ${host}`);
  if (payload.length && !names.includes('transfer-encoding')) lines.push(`Content-Length: ${payload.length}`);
  for (const [name, value] of Object.entries(headers)) {
    for (const one of [value].flat()) lines.push(`${name}: ${one}`);
  }
  // latin1: a test may want bytes on the wire that are not UTF-8.
  const wire = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), payload]);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const response = new Promise((done, failed) => {
    let received = Buffer.alloc(0);
    const finish = (ended) => {
      const parsed = parseResponse(received, method, ended);
      if (parsed) {
        done(parsed);
        socket.destroy();
      } else if (ended) {
        failed(new Error(`${method} ${target}: the connection ended after ${JSON.stringify(received.toString('latin1').slice(0, 300))}`));
      }
    };
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      finish(false);
    });
    socket.on('error', failed);
    socket.on('close', () => finish(true));
    // Longer than any time-out configured in a test: what is silent for so long would hold up the whole suite.
    socket.setTimeout(90_000, () => socket.destroy(new Error(`${method} ${target}: no answer`)));
  });
  response.catch(() => {});
  const ready = new Promise((done, failed) => {
    socket.once('error', failed);
    socket.once('connect', () => socket.write(wire.subarray(0, -1), () => done()));
  });
  return { ready, response, socket, release: () => socket.write(wire.subarray(-1)) };
}

/** One request, as it is written. */
export async function call(base, target, options) {
  const request = prepare(base, target, options);
  await request.ready;
  request.release();
  return request.response;
}

/** All of them at once: every socket is open and every byte but one is sent before any is released. */
export async function atOnce(requests) {
  await Promise.all(requests.map(({ ready }) => ready));
  for (const { release } of requests) release();
  return Promise.all(requests.map(({ response }) => response));
}

function parseResponse(bytes, method, ended) {
  const split = bytes.indexOf('\r\n\r\n');
  if (split < 0) return undefined;
  const [statusLine, ...lines] = bytes.subarray(0, split).toString('latin1').split('\r\n');
  const status = Number(statusLine.split(' ')[1]);
  const rest = bytes.subarray(split + 4);
  if (status >= 100 && status < 200) return parseResponse(rest, method, ended);
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
  }
  let body;
  if (method === 'HEAD' || status === 204 || status === 304) body = Buffer.alloc(0);
  else if (/chunked/i.test(headers['transfer-encoding'] ?? '')) body = unchunk(rest);
  else if ('content-length' in headers) {
    const length = Number(headers['content-length']);
    body = rest.length >= length ? rest.subarray(0, length) : undefined;
  } else if (ended) body = rest;
  if (!body) return undefined;
  return {
    status, headers, body,
    get text() { return body.toString('utf8'); },
    json() { return JSON.parse(body.toString('utf8')); },
  };
}

/** The whole body, or undefined while its last chunk is missing. */
function unchunk(bytes) {
  const parts = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, end).toString('latin1'), 16);
    if (size === 0) return Buffer.concat(parts);
    const start = end + 2;
    if (bytes.length < start + size + 2) return undefined;
    parts.push(bytes.subarray(start, start + size));
    at = start + size + 2;
  }
}

export const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');
export const decode = (header) => JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
export const now = () => Math.floor(Date.now() / 1000);

/** The challenge of a route, as a client without money meets it. */
export async function challengeOf(base, target, options) {
  const response = await call(base, target, options);
  assert.equal(response.status, 402, `${target} should be priced, but answered ${response.status} ${response.text}`);
  return { response, required: decode(response.headers['payment-required']), body: response.json() };
}

/** One signed authorization for a route, and the spellings in which it can be sent. */
export async function authorize(base, target, account, { method, body, fields, requirement } = {}) {
  requirement ??= (await challengeOf(base, target, { method, body })).required.accepts[0];
  const signed = await sign(requirement, account, fields);
  return { requirement, signed, nonce: signed.authorization.nonce, ...spellings(requirement, signed) };
}

/** The three dialects of one signed authorization, as JSON objects and as headers. */
export function spellings(requirement, signed) {
  const v2 = { x402Version: 2, payload: signed, accepted: requirement };
  const v1 = { x402Version: 1, scheme: 'exact', network: V1_NETWORK, payload: signed };
  const third = { x402Version: 2, scheme: 'exact', network: NETWORK, payload: signed };
  const thirdNamed = { ...third, network: V1_NETWORK };
  return {
    json: { v2, v1, third, thirdNamed },
    v2: { 'PAYMENT-SIGNATURE': encode(v2) },
    v1: { 'X-PAYMENT': encode(v1) },
    third: { 'X-PAYMENT': encode(third) },
    thirdNamed: { 'X-PAYMENT': encode(thirdNamed) },
  };
}

/** A refusal with this status and stable code, in the right form for its status, and without an answer in it. */
export function assertRefused(response, status, code) {
  const codes = [code].flat();
  const said = `${response.status} ${response.text}`;
  assert.equal(response.status, status, said);
  const body = response.json();
  assert.ok(codes.includes(body.code), `code ${body.code} is not ${codes.join(' or ')}: ${said}`);
  assert.equal(body.status, status, said);
  for (const member of ['type', 'title', 'detail']) assert.equal(typeof body[member], 'string', `${member} of ${said}`);
  assertNoAnswer(response);
  if (status === 402) {
    assert.match(response.headers['content-type'], /^application\/json/);
    assert.match(response.headers['cache-control'], /no-store/);
    assert.equal(decode(response.headers['payment-required']).x402Version, 2);
    assert.ok(body.accepts.length > 0, said);
  } else {
    assert.match(response.headers['content-type'], /^application\/problem\+json/);
    // A challenge is an invitation to pay: it never goes with a refusal that paying would not cure.
    assert.equal(response.headers['payment-required'], undefined);
    assert.equal(body.accepts, undefined);
  }
  return body;
}

/** Not a word of what the origin said. */
export function assertNoAnswer(response) {
  assert.doesNotMatch(response.text, MARKER, 'the answer got out');
}

/** The outcome is not known: try again later with the same payment, and by no means with a new one. */
export function assertUnknown(response, code = 'settlement_unknown') {
  assertRefused(response, 503, code);
  assert.match(response.headers['retry-after'] ?? '', /^\d+$/, 'Retry-After');
}

/** The origin's answer, under the headers of a paid one. */
export function assertAnswered(response) {
  assert.equal(response.status, 200, response.text);
  assert.match(response.headers['cache-control'], /private/);
  assert.match(response.headers['cache-control'], /no-store/);
}

/** The receipts a response carries, decoded; undefined where there is none. */
export function receiptsOf(response) {
  const header = (name) => (typeof response.headers.get === 'function' ? response.headers.get(name) : response.headers[name]) ?? undefined;
  const receipt = (name) => (header(name) === undefined ? undefined : decode(header(name)));
  return { v2: receipt('payment-response'), v1: receipt('x-payment-response') };
}
