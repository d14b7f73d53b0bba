// A disk that is full, as a plan is whose rows are used up, until after the runtime has given the alarm up. What is open then
// is brought to an end by whatever comes next: a refusal of the same payment, or the operator's look into the books.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertAnswered, assertUnknown, authorize, call, receiptsOf, startStack, until } from './helpers.mjs';
import { booksOf, callsOf, planned, SECRETS } from './points.mjs';
import { freshDirectory, sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

/** By then an alarm that has failed is overdue. Four minutes and more see the runtime give it up as well. */
const OUTAGE_SECONDS = Number(process.env.OUTAGE_SECONDS ?? 100);
const disk = freshDirectory('disk');
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', disk]).status === 0;
after(async () => {
  await stopEverything();
  if (mounted) spawnSync('umount', ['-l', disk]);
});

/** Takes up all of the disk, so that no write gets through, or lets go of it. */
const filler = join(disk, 'filler');
const fill = () => spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096']);
const free = () => rmSync(filler);

test('what is open when storage fails is brought to an end once it works again', { skip: !mounted && 'only root can mount a small disk' }, async () => {
  const stack = await startStack();
  const { proxy, chain } = stack;
  const plans = planned(proxy);
  const worker = await startWorker({
    vars: stack.vars({
      ROUTES: {
        'GET /weather/*': '$0.001',
        'GET /echo': { price: '$0.001', settle: 'deferred', max_exposure: '$0.01', timeout_seconds: 3 },
      },
      FACILITATORS: [{ url: proxy.url, timeout_seconds: 5 }],
    }),
    secrets: SECRETS,
    persist: disk,
  });
  const pay = async (path) => {
    const buyer = await stack.buyer();
    return { path, buyer, payment: await authorize(worker.url, path, buyer) };
  };
  const ask = (one) => call(worker.url, one.path, { headers: one.payment.v2 });
  const open = [await pay('/weather/lisbon'), await pay('/echo')];
  const [unknown, due] = open;
  // Of the first the answer is lost, of the second nothing gets through: both are the alarm's.
  let working = false;
  plans.set(unknown.payment, (path, nth) => (path === '/settle' && nth === 1 ? { forward: true, reset: true } : working ? undefined : { reset: true }));
  plans.set(due.payment, (path) => (path === '/settle' && !working ? { reset: true } : undefined));
  assertUnknown(await ask(unknown));
  assert.equal((await ask(due)).status, 200);

  fill();
  const broken = () => worker.logs().split('\n').filter((line) => /SQLITE_FULL/.test(line)).length;
  await until('an alarm that fails', () => broken() > 0, 60);
  const settled = () => open.map(({ payment }) => callsOf(proxy, payment, '/settle').length);
  const sent = settled();
  await sleep(OUTAGE_SECONDS * 1000);
  // What cannot be written down is not sent.
  assert.deepEqual(settled(), sent);
  working = true;
  free();
  // A refusal, and a look: neither writes anything, and both see to it that the alarm rings.
  assertUnknown(await ask(unknown));
  await booksOf(worker, due.buyer.address);
  const answer = await until('the answer', async () => {
    const answer = await ask(unknown);
    await sleep(250);
    return answer.status === 200 && answer;
  }, 120);
  assertAnswered(answer);
  assert.equal(receiptsOf(answer).v2.success, true);
  await until('collected', async () => (await booksOf(worker, due.buyer.address))[0].state === 'settled', 120);
  for (const { buyer } of open) assert.equal((await chain.transfers({ from: buyer.address, to: stack.seller })).length, 1);
});
