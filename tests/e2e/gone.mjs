// Buyers who hang up, or who come back for what is owed: over HTTP, for a tool of the origin's, and for a tool of ours.
// The origin remembers what it did, holds one call for as long as a test wants, and can fail one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { authorize, call, prepare, until } from './helpers.mjs';
import { payFor, prepared, read, toolCall } from './mcp.mjs';
import { said, startRawOrigin } from './stack/mcp-origin.mjs';
import { sleep } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

/** What everything that is done here costs. */
export const PRICE = 10_000n;
const BEFORE = { price: '$0.01', settle: 'before', timeout_seconds: 10 };

/**
 * An origin and a Worker on it. `ran` has the body, or the arguments, of everything that was done; `held`, if set, is
 * awaited by the next call alone; `fails`, if set, answers the next call instead.
 */
export async function startDoing(stack, { secrets, ...more } = {}) {
  const origin = Object.assign(await startRawOrigin(), { ran: [], held: undefined, fails: undefined });
  origin.answer = async (one, response) => {
    const { url, message, body } = one;
    const isTool = url === '/mcp' && message?.method === 'tools/call';
    if (!isTool && !url.startsWith('/send')) return undefined;
    origin.ran.push(isTool ? JSON.stringify(message.params.arguments) : body.toString('utf8'));
    const { held, fails } = origin;
    Object.assign(origin, { held: undefined, fails: undefined });
    await held;
    if (fails) return fails(one, response);
    return isTool ? said(message.id) : { celsius: 21 };
  };
  const worker = await startWorker({
    vars: stack.vars({
      ORIGIN: origin.url, MCP: 'origin:/mcp', DISCOVERY: { mcp: '/tools' },
      TOOLS: { send: BEFORE, look: { ...BEFORE, settle: 'after' } },
      ROUTES: {
        'POST /send': { ...BEFORE, name: 'post', input: { body: { type: 'object' } } },
        'POST /send/after': { ...BEFORE, settle: 'after', verify: 'local', name: 'post_after', input: { body: { type: 'object' } } },
      },
      ...more,
    }),
    secrets,
  });
  return { stack, origin, worker, url: worker.url };
}

/**
 * The ways to have something done. `pay(world, buyer)` makes one payment; `asks(world, payment)` is the request with a
 * content, not yet released; `codeOf` an answer's code, undefined where it is the answer; `did` what the origin remembers.
 */
const overHttp = (target) => ({
  pay: (world, buyer) => authorize(world.url, target, buyer, { method: 'POST' }),
  asks: (world, payment) => (content, { headers, body } = {}) => prepare(world.url, target, {
    method: 'POST', headers: { ...payment.v2, 'content-type': 'application/json', ...headers }, body: body ?? JSON.stringify(content),
  }),
  codeOf: (response) => (response.status === 200 ? undefined : response.json().code),
  did: (content) => JSON.stringify(content),
});
const asTool = (name, target, args, did) => ({
  pay: (world, buyer) => payFor(world.url, name, args({}), buyer, { target }),
  asks: (world, { payment }) => (content) => prepared(world.url, toolCall(name, args(content), { payment }), { target }),
  codeOf: (response) => {
    const { message } = read(response);
    if (message?.error) return `${message.error.code}`;
    return message.result.isError ? message.result.structuredContent.code : undefined;
  },
  did,
});
const bare = (content) => content;
const asBody = (body) => ({ body });

/** Those that are paid for first. */
export const DOORS = {
  'over HTTP': overHttp('/send'),
  'a tool of the origin\'s': asTool('send', '/mcp', bare, JSON.stringify),
  'a tool of ours': asTool('post', '/tools', asBody, JSON.stringify),
};
/** Those that are paid for afterwards. */
export const DOORS_AFTER = {
  'over HTTP': overHttp('/send/after'),
  'a tool of the origin\'s': asTool('look', '/mcp', bare, JSON.stringify),
  'a tool of ours': asTool('post_after', '/tools', asBody, JSON.stringify),
};

/** One payment at one of the doors: `ask` and its answer, `leave` and nobody's. */
export async function atDoor(world, door, buyer) {
  buyer ??= await world.stack.buyer();
  const payment = await door.pay(world, buyer);
  const asks = door.asks(world, payment);
  // A refusal may come before a large body has been read, and the connection end before it has been heard.
  const ask = (...what) => until('an answer is heard', async () => {
    const request = asks(...what);
    const response = await request.ready.then(() => (request.release(), request.response)).catch((error) => {
      if (!['ECONNRESET', 'EPIPE', 'ERR_STREAM_DESTROYED'].includes(error.code)) throw error;
    });
    return response && { response, code: door.codeOf(response) };
  });
  return {
    buyer, payment, ask,
    /** The same, once nobody is at work for this payment any more. */
    askInTheEnd: (...what) => until('nobody is at work for it', async () => {
      const answer = await ask(...what);
      return answer.code === 'payment_in_flight' ? void (await sleep(100)) : answer;
    }, 90),
    leave: (...what) => leave(world, () => asks(...what), door),
    transfers: async () => (await world.stack.chain.transfers({ from: buyer.address, to: world.stack.seller })).length,
  };
}

/** Sends a request, hangs up while the origin is at work for it, and only then lets the origin answer. */
async function leave({ url, origin }, begin, { codeOf }) {
  let letGo;
  origin.held = new Promise((done) => (letGo = done));
  const before = origin.ran.length;
  const leaving = await until('the origin is at work', async () => {
    const request = begin();
    await request.ready;
    request.release();
    let answer;
    let over = false;
    request.response.then((response) => (answer = response), () => {}).finally(() => (over = true));
    while (origin.ran.length === before && !over) await sleep(10);
    if (!over) return request;
    if (answer) assert.equal(codeOf(answer), 'payment_in_flight', answer.text);
    return void (await sleep(100));
  }, 90);
  const closed = once(leaving.socket, 'close');
  // A reset, not a polite end: workerd takes the latter for a client that has said all it wanted to say.
  leaving.socket.resetAndDestroy();
  await closed;
  // The Worker learns of the closed connection only when it gets around to it: after a whole request, or two.
  for (const _ of 'ab') await call(url, '/probe');
  letGo();
}
