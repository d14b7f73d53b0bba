// A purchase that dies anywhere between the money and the key: workerd stands still while the settlement's answer is put into
// its socket, wakes, and dies a moment later. Between those two lie the mark that it is paid, the entry in the wallet's list,
// the deposit, and the mark that it is answered; the moments close in on the first and on the last of them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { bearer, creditsOf, entriesOf, PACKAGES, SECRETS } from './credits.mjs';
import { authorize, call, prepare, startStack, until } from './helpers.mjs';
import { booksOf, newId, withId } from './identified.mjs';
import { gate, planned } from './points.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const BUY = '/api/buy-credits/small';
const stack = await startStack();
const plans = planned(stack.proxy);
after(stopEverything);
const options = {
  vars: stack.vars({
    ROUTES: { 'GET /weather/*': '$0.001' }, PACKAGES, FACILITATORS: [{ url: stack.proxy.url, timeout_seconds: 2 }],
  }),
  secrets: SECRETS,
};

test('killed at any moment after the settlement: one transfer, one key, its credits once', async () => {
  let worker = await startWorker(options);
  const all = [];
  // What the books say of one that died too early, and of one that died too late, for each mark that is closed in on.
  const aims = [
    { early: 0, late: Infinity, next: 2, isLate: ({ state }) => state !== 'settling' },
    { early: 0, late: Infinity, next: 8, isLate: ({ answered }) => answered },
  ];
  const seen = new Set();
  for (let round = 0; round < 12 || aims.some(({ early, late }) => early === 0 || late === Infinity); round++) {
    assert.ok(round < 40, `never on both sides of the marks: ${JSON.stringify(aims)}`);
    const aim = aims[round % 2];
    const buyer = await stack.buyer(10_000_000n);
    const payment = await authorize(worker.url, BUY, buyer, { method: 'POST' });
    const one = { buyer, payment, headers: withId(payment, newId()) };
    const moment = aim.next;
    const returned = gate();
    let killed;
    plans.set(payment, async (path) => {
      if (path !== '/settle') return undefined;
      plans.clear(payment);
      await worker.freeze();
      return {
        sent: () => {
          worker.thaw();
          const wake = performance.now() + moment;
          while (performance.now() < wake);
          killed = worker.kill();
          returned.open();
        },
      };
    });
    const dying = prepare(worker.url, BUY, { method: 'POST', headers: one.headers });
    await dying.ready;
    dying.release();
    one.heard = dying.response.catch(() => undefined);
    await returned.opened;
    await killed;
    one.heard = await one.heard;
    worker = await startWorker({ ...options, persist: worker.persistPath });
    const entry = (await booksOf(worker.url, buyer.address)).find(({ nonce }) => nonce === payment.nonce);
    seen.add(entry.state === 'settling' ? 'unmarked' : entry.answered ? 'answered' : 'paid, and owed');
    if (aim.isLate(entry)) aim.late = Math.min(aim.late, moment);
    else aim.early = Math.max(aim.early, moment);
    if (aim.late === Infinity) aim.next = moment * 3;
    else aim.next = aim.early === 0 ? moment / 4 : (aim.early + aim.late) / 2;
    all.push(one);
  }
  console.log(`# died: ${[...seen].join('; ')}; marks at ${aims.map(({ early, late }) => `${early.toFixed(2)} to ${late.toFixed(2)} ms`).join(' and ')}`);

  for (const { buyer, headers, heard } of all) {
    const ask = () => call(worker.url, BUY, { method: 'POST', headers });
    const answer = await until('the alarm has brought it to an end', async () => {
      const now = await ask();
      assert.ok([200, 409, 503].includes(now.status), `nobody may say "pay": ${now.text}`);
      return now.status === 200 && now;
    }, 120);
    const { key } = answer.json();
    if (heard?.status === 200) assert.equal(heard.json().key, key, 'what was heard at the last moment is the same key');
    assert.equal((await ask()).json().key, key);
    assert.equal((await stack.chain.transfers({ from: buyer.address })).length, 1);
    const { entries, balance } = await entriesOf(worker.url, key);
    assert.deepEqual([entries.length, balance, (await creditsOf(worker.url, key)).available], [1, 5, 5]);
    assert.equal((await call(worker.url, '/weather/lisbon', { headers: bearer(key) })).status, 200);
  }
});
