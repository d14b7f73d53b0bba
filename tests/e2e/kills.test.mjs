// `kill -9` of workerd at every point of a payment's way. Of each point there are two buyers: one comes back at once and
// again and again, the other only when the books say that it is over, so that nothing but the alarm can have brought that
// about. Whoever died when: one transfer or none, and one answer for it.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { assertAnswered, assertRefused, assertUnknown, authorize, now, receiptsOf, startStack, until } from './helpers.mjs';
import { callsOf, entryOf, gate, journeys, PRICE, SECRETS } from './points.mjs';
import { readBody, sendJson, serve } from './stack/http.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { proxy, chain, origin } = stack;
const { plans, ask, originCalls, transfersOf, setOff, insist, assertSettled, assertOver } = journeys(stack);
const gates = new Map();
origin.gate = (url) => gates.get(url)?.opened;
after(stopEverything);

/** Seconds that a call is waited for: all of a scene must be at its points before the first call there times out. */
const PATIENCE = 20;
const ROUTES = {
  'GET /weather/after/*': { price: '$0.001', timeout_seconds: PATIENCE },
  'GET /weather/checked/*': { price: '$0.001', timeout_seconds: PATIENCE, verify: 'facilitator' },
  'GET /weather/before/*': { price: '$0.001', timeout_seconds: PATIENCE, settle: 'before' },
  'GET /weather/deferred/*': { price: '$0.001', timeout_seconds: PATIENCE, settle: 'deferred', max_exposure: '$0.01' },
};

// Points. `settle` says what becomes of each call at the facilitator's /settle, and the last of them is where it dies:
//   lost       the connection breaks, nothing was forwarded      received   held, and gone with the Worker
//   broadcast  it settled, and the connection breaks             late       held, and forwarded when the Worker is dead
//                                                                forwarded  it settled, and the answer is held
//                                                                flushed    workerd stands still while the whole answer is
//                                                                           put into its socket: it has returned, and
//                                                                           nobody can have marked it
// `books` is what they say at that moment, `moves` whether money is to move without the buyer's doing, and `told` whether
// somebody alive will have been told in which transaction.
const settlements = [
  { how: 'received', told: true }, { how: 'late' }, { how: 'forwarded' }, { how: 'flushed' },
];
const POINTS = [
  { name: 'after the claim, before the origin is asked', route: 'checked', verify: true, books: 'claimed' },
  { name: 'while the origin runs, settle after', route: 'after', origin: true, books: 'claimed' },
  { name: 'while the origin runs, deferred', route: 'deferred', origin: true, books: 'claimed' },
  { name: 'while the origin runs, settle before', route: 'before', origin: true, books: 'settled', moves: true, told: true },
  ...['after', 'before', 'deferred'].flatMap((route) => settlements.map(({ how, told }) => ({
    name: `the settlement is ${how}, ${route === 'deferred' ? 'deferred, so by an alarm' : `settle ${route}`}`,
    route, settle: [how], books: 'settling', moves: true, told, answered: route === 'deferred',
  }))),
  ...settlements.map(({ how, told }) => ({
    name: `an alarm's second settlement is ${how}, the first was lost`,
    route: 'after', settle: ['lost', how], alarm: true, books: 'unknown', moves: true, told,
  })),
  { name: "an alarm's second settlement is received, the first was broadcast", node: false, route: 'before',
    settle: ['broadcast', 'received'], alarm: true, books: 'unknown', moves: true },
  { name: 'an alarm asks the node about a settlement that was broadcast', node: true, route: 'before',
    settle: ['broadcast'], alarm: true, books: 'unknown', moves: true },
];

/** A node that does not answer what is about one of these payers until it is let. */
const thinking = new Map();
const node = await serve(async (request, response) => {
  const body = await readBody(request);
  for (const [payer, one] of thinking) {
    if (!body.toLowerCase().includes(payer)) continue;
    one.arrived = true;
    await one.scene.dead.opened;
  }
  const real = await fetch(chain.rpcUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  sendJson(response, real.status, await real.json());
});

let paths = 0;

/** A buyer with a plan, not yet on its way. */
async function buyerAt(scene, point) {
  const path = `/weather/${point.route}/${++paths}`;
  const buyer = await stack.buyer(PRICE);
  const one = { scene, point, path, buyer, arrived: false, flushed: gate() };
  if (point.node) thinking.set(buyer.address.slice(2).toLowerCase(), one);
  one.payment = await authorize(scene.worker.url, path, buyer);
  const here = {
    lost: () => ({ reset: true }),
    broadcast: () => ({ forward: true, reset: true }),
    received: async () => {
      one.arrived = true;
      await scene.dead.opened;
      return { reset: true };
    },
    late: async () => {
      one.arrived = true;
      await scene.dead.opened;
      return undefined;
    },
    forwarded: () => ({ forward: true, hang: true }),
    flushed: async () => {
      one.arrived = true;
      await scene.frozen.opened;
      return { sent: one.flushed.open };
    },
  };
  plans.set(one.payment, (at, nth) => {
    if (at === '/verify') return point.verify && nth === 1 ? here.received() : undefined;
    const how = at === '/settle' ? point.settle?.[nth - 1] : undefined;
    return how && here[how]();
  });
  if (point.origin) gates.set(path, gate());
  one.isThere = () => {
    if (point.origin) return originCalls(path) === 1;
    if (point.node || point.settle?.at(-1) !== 'forwarded') return one.arrived;
    const settles = callsOf(proxy, one.payment, '/settle');
    return settles.length === point.settle.length && settles.at(-1).answer !== undefined;
  };
  return one;
}

/** Waits for all of them, and says who is missing. */
const waitForAll = (what, those, is) => until(what, () => those.every(is)).catch((error) => {
  const missing = those.filter((one) => !is(one)).map(({ point, payment }) =>
    `${point.name} ${JSON.stringify(callsOf(proxy, payment).map(({ path, answer }) => [path, answer]))}`);
  throw new Error(`${error.message}: ${missing}`, { cause: error });
});

/** Everybody to their points; one kill; one restart. */
async function play(more) {
  const points = POINTS.filter(({ node }) => node === undefined || node === Boolean(more.RPC));
  const facilitators = [{ url: proxy.url, timeout_seconds: PATIENCE }];
  const options = { vars: stack.vars({ ROUTES, FACILITATORS: facilitators, ...more }), secrets: SECRETS };
  const scene = { worker: await startWorker(options), frozen: gate(), dead: gate() };
  const { persistPath } = scene.worker;
  scene.all = await Promise.all(points.flatMap((point) => ['eager', 'patient'].map(async (kind) =>
    Object.assign(await buyerAt(scene, point), { kind }))));
  // Those first whose point is an alarm's to reach: a second or two after they were told that nobody knows, or answered.
  const phase = ({ point: { settle = [], route, alarm } }) => (alarm ? 0 : settle.length && route === 'deferred' ? 1 : 2);
  for (const at of [0, 1, 2]) {
    const those = scene.all.filter((one) => phase(one) === at);
    await Promise.all(those.map((one) => setOff(scene, one)));
    await waitForAll('everybody at their point', those, (one) => one.isThere());
  }
  for (const one of scene.all) one.atDeath = await entryOf(scene.worker, one.payment);
  scene.frozenAt = now();
  await scene.worker.freeze();
  scene.frozen.open();
  const flushing = scene.all.filter(({ point }) => point.settle?.at(-1) === 'flushed');
  await waitForAll('the answers in the sockets', flushing, ({ flushed }) => flushed.isOpen);
  await scene.worker.kill();
  scene.dead.open();
  for (const one of scene.all) {
    one.heard = await one.heard;
    one.servedBefore = originCalls(one.path);
    gates.delete(one.path);
    const sent = [...(one.point.settle ?? []), ...(one.point.books === 'settled' ? ['forwarded'] : [])];
    one.moved = sent.some((how) => ['broadcast', 'late', 'forwarded', 'flushed'].includes(how));
  }
  await Promise.all(scene.all.filter(({ moved }) => moved).map((one) =>
    until('the money on chain', () => chain.authorizationState(one.buyer.address, one.payment.nonce))));
  scene.worker = await startWorker({ ...options, persist: persistPath });
  for (const one of scene.all.filter(({ kind }) => kind === 'eager')) {
    one.insisted = insist(scene.worker, one);
    one.insisted.catch(() => {});
  }
  return scene;
}

const scenes = [
  { title: 'nobody can look at the chain', more: {}, unseen: 'unproven' },
  { title: 'a node can be asked', more: { RPC: node.url }, unseen: 'proved' },
];
for (const one of scenes) one.scene = await play(one.more);

for (const { title, scene, unseen } of scenes) {
  describe(`killed, and started again on the same storage; ${title}`, () => {
    // Which point each died at was noted at its death: that it was the right one is asserted here.
    for (const point of new Set(scene.all.map(({ point }) => point))) {
      const [eager, patient] = scene.all.filter((one) => one.point === point);

      test(point.name, async () => {
        const { worker } = scene;
        const evidence = point.told ? 'told' : unseen;
        for (const one of [eager, patient]) {
          assert.equal(one.atDeath.state, point.books, 'it did not die at its point');
          // While a try is under way, the books' own time is that of its worst case; after it, a few seconds.
          if (point.alarm) assert.ok(one.atDeath.againAt > scene.frozenAt + 30, 'no alarm was at work');
          assert.equal(one.atDeath.answered, Boolean(point.answered));
          if (point.answered) assertAnswered(one.heard);
          else if (point.alarm) assertUnknown(one.heard);
          else assert.equal(one.heard, undefined, 'it was answered');
        }
        if (point.moves) {
          // Not a word to the Worker before: the alarm rings by itself after a restart.
          await until('on chain', () => chain.authorizationState(patient.buyer.address, patient.payment.nonce), 120);
          const entry = await assertSettled(worker, patient, evidence);
          assert.equal(entry.answered, Boolean(point.answered));
        } else {
          await until('released', async () => (await entryOf(worker, patient.payment)).state === 'released', 120);
          assert.deepEqual(await transfersOf(patient), []);
        }
        const late = await ask(worker, patient.path, patient.payment.v2);
        for (const [one, response] of [[eager, await eager.insisted], [patient, late]]) {
          if (point.answered) {
            assertRefused(response, 409, 'payment_already_used');
          } else {
            assertAnswered(response);
            const { v2: receipt } = receiptsOf(response);
            if (point.route === 'deferred') assert.equal(receipt, undefined);
            else assert.equal(receipt.extra?.evidence, point.moves && evidence === 'unproven' ? 'unproven' : undefined);
            const [transfer] = await transfersOf(one);
            if (receipt?.transaction) assert.equal(receipt.transaction, transfer.transactionHash);
            assert.equal(originCalls(one.path), one.servedBefore + 1);
          }
          await assertSettled(worker, one, point.moves ? evidence : 'told');
          await assertOver(worker, one);
        }
      });
    }
  });
}
