// Workers with several facilitators, each the real one behind a proxy of its own.

import assert from 'node:assert/strict';
import { authorize, call, challengeOf, decode, NETWORK, startStack, until, V1_NETWORK } from './helpers.mjs';
import { ADMIN_TOKEN, booksOf } from './identified.mjs';
import { freePort } from './stack/processes.mjs';
import { startFacilitatorProxy } from './stack/proxy.mjs';
import { startWorker } from './stack/worker.mjs';

export const PATH = '/weather/lisbon';
export const CHECKED = '/weather/checked/lisbon';
const ROUTES = {
  'GET /weather/*': '$0.001',
  'GET /weather/checked/*': { price: '$0.001', verify: 'facilitator' },
  'GET /weather/before/*': { price: '$0.001', settle: 'before' },
};

/** An entry of a facilitator's list. */
export const kind = (x402Version, network, scheme = 'exact') => ({ x402Version, scheme, network });
export const V1 = kind(1, V1_NETWORK);
export const V2 = kind(2, NETWORK);
/** The fault of a facilitator that lists these. */
export const lists = (...kinds) => (path) => (path === '/supported' ? { body: { kinds, extensions: [], signers: {} } } : undefined);
/** A fault at one endpoint. */
export const on = (wanted, fault) => (path) => (path === wanted ? fault : undefined);
/** A facilitator that is not there. */
export const nobody = async () => ({ url: `http://127.0.0.1:${await freePort()}` });

export async function startSeveral() {
  const stack = await startStack();
  const { chain } = stack;
  const requirements = {};
  const several = {
    stack,
    /** The real facilitator, that does as `fault` says. */
    facilitator: async (fault, port) => Object.assign(await startFacilitatorProxy({ target: stack.facilitator.url, port }), { fault }),
    /** A new Worker, that has asked nobody yet. */
    workerWith: async (facilitators, { seconds = 20, kv, routes = ROUTES } = {}) => {
      const listed = facilitators.map(({ url, timeout_seconds = seconds, headers }) => ({ url, timeout_seconds, ...(headers && { headers }) }));
      return startWorker({ vars: stack.vars({ ROUTES: routes, FACILITATORS: listed }), secrets: { ADMIN_TOKEN }, kv });
    },
    /** What a challenge offers: how many ways to pay for v2 clients, and for v1 clients. */
    offered: async (worker) => {
      const response = await call(worker.url, PATH);
      assert.equal(response.status, 402, response.text);
      const header = response.headers['payment-required'];
      const body = response.json();
      // A version that nothing is offered under is not announced at all.
      assert.ok(body.accepts.length > 0 && (header === undefined || decode(header).accepts.length > 0), response.text);
      return { v2: header ? decode(header).accepts.length : 0, v1: body.x402Version === 1 ? body.accepts.length : 0 };
    },
    /** A payment for a path, made without asking the Worker that is to see it first. */
    payment: async (path = PATH) => {
      if (!requirements[path]) {
        const worker = await several.workerWith([stack.facilitator]);
        requirements[path] = (await challengeOf(worker.url, path)).required.accepts[0];
        await worker.stop();
      }
      const buyer = await stack.buyer();
      return { buyer, ...(await authorize(undefined, path, buyer, { requirement: requirements[path] })) };
    },
    transfersOf: async ({ buyer }) => (await chain.transfers({ from: buyer.address })).length,
    settledInBooks: (worker, { buyer }) => until('settled in the books', async () => {
      const [entry] = await booksOf(worker.url, buyer.address);
      return entry.state === 'settled' && entry;
    }, 60),
  };
  return several;
}
