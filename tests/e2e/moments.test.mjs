// Kills that no hand can place: around the moment when a settlement that has returned is marked, and its answer goes out.
// The answer lies in the socket of a workerd that stands still; it wakes, and dies a moment later. What was marked by then
// says whether the next one dies later or sooner, so that they close in on the mark from both sides.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertAnswered, authorize, encode, startStack } from './helpers.mjs';
import { entryOf, gate, journeys, PRICE, SECRETS } from './points.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { proxy } = stack;
const { plans, originCalls, setOff, insist, assertSettled, assertOver } = journeys(stack);
after(stopEverything);

const options = {
  vars: stack.vars({
    ROUTES: {
      'GET /weather/after/*': { price: '$0.001', timeout_seconds: 3 },
      'GET /weather/before/*': { price: '$0.001', timeout_seconds: 3, settle: 'before', payment_identifier: 'required' },
      'GET /weather/deferred/*': { price: '$0.001', timeout_seconds: 3, settle: 'deferred', max_exposure: '$0.01' },
    },
    FACILITATORS: [{ url: proxy.url, timeout_seconds: 2 }],
  }),
  secrets: SECRETS,
};

test('killed a moment before and a moment after the mark', async () => {
  const scene = { worker: await startWorker(options) };
  const { persistPath } = scene.worker;
  const all = [];
  const aims = ['after', 'before', 'deferred'].map((route) => ({ route, early: 0, late: Infinity, next: 2 }));
  for (let round = 0; round < 9 || aims.some(({ early, late }) => early === 0 || late === Infinity); round++) {
    assert.ok(round < 40, 'never on both sides of the mark');
    const aim = aims[round % 3];
    const path = `/weather/${aim.route}/${round}`;
    const buyer = await stack.buyer(PRICE);
    const one = { path, buyer, route: aim.route, payment: await authorize(scene.worker.url, path, buyer) };
    if (aim.route === 'before') {
      const extensions = { 'payment-identifier': { info: { required: true, id: `killed-in-round-${round}` } } };
      one.payment.v2 = { 'PAYMENT-SIGNATURE': encode({ ...one.payment.json.v2, extensions }) };
    }
    const moment = aim.next;
    const returned = gate();
    plans.set(one.payment, async (at, nth) => {
      if (at !== '/settle' || nth > 1) return undefined;
      await scene.worker.freeze();
      return {
        sent: () => {
          // Too soon for any mark is soonest without waking it.
          if (moment > 0.01) scene.worker.thaw();
          const until = performance.now() + moment;
          while (performance.now() < until);
          scene.killed = scene.worker.kill();
          returned.open();
        },
      };
    });
    await setOff(scene, one);
    await returned.opened;
    await scene.killed;
    one.heard = await one.heard;
    scene.worker = await startWorker({ ...options, persist: persistPath });
    const { state } = await entryOf(scene.worker, one.payment);
    aim[state === 'settling' ? 'early' : 'late'] = moment;
    if (aim.late === Infinity) aim.next = moment * 4;
    else aim.next = aim.early === 0 ? moment / 8 : (aim.early + aim.late) / 2;
    all.push(one);
  }

  const outcomes = await Promise.all(all.map((one) => insist(scene.worker, one)));
  for (const [i, one] of all.entries()) {
    await assertSettled(scene.worker, one);
    assert.ok((await entryOf(scene.worker, one.payment)).answered, 'it is still owed');
    if (one.route === 'before') {
      // An answer that was marked and then lost on its way is not lost to whoever shows the identifier.
      assertAnswered(outcomes[i]);
      assert.ok(originCalls(one.path) <= 2, 'served a second time instead of replayed');
    } else {
      const answers = [one.heard, outcomes[i]].filter((response) => response?.status === 200).length;
      assert.ok(answers <= 1, `${answers} answers for one payment`);
      if (one.route === 'deferred') assert.equal(answers, 1);
      await assertOver(scene.worker, one);
    }
  }
});
