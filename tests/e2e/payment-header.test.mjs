// What an origin can tell two purchases apart by: paid requests say which payment they are done for, in the same words when
// they are done again for what is owed. So whoever must not do a thing twice can see that it is the same thing.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authorize, call, NETWORK, startStack, THIEF } from './helpers.mjs';
import { bearer, operator, PACKAGES, SECRETS } from './credits.mjs';
import { atDoor, DOORS, DOORS_AFTER, startDoing } from './gone.mjs';
import { payFor, post, request, toolCall } from './mcp.mjs';
import { stopEverything } from './stack/processes.mjs';

const stack = await startStack();
const world = await startDoing(stack, { PACKAGES, CREDIT_VALUE: '$0.01', secrets: SECRETS });
const { origin, url } = world;
after(stopEverything);

const HEADER = 'x-edge402-payment';
const FORGED = { 'X-Edge402-Payment': `${NETWORK}:${THIEF}:0x01`, X_Edge402_Payment: 'mine', 'x-edge402_payment': 'mine' };
const written = ({ payment: { signed } }) => `${NETWORK}:${signed.authorization.from}:${signed.authorization.nonce}`.toLowerCase();
/** What the origin was told of the payment by each request since, in any spelling. */
const told = (before) => origin.calls.slice(before).map(({ headers }) => [HEADER, 'x_edge402_payment', 'x-edge402_payment'].map((name) => headers[name])
  .filter((value) => value !== undefined).join());

for (const [when, doors] of [['first', DOORS], ['afterwards', DOORS_AFTER]]) {
  for (const [where, door] of Object.entries(doors)) {
    test(`${where}, paid ${when}: the origin hears who has paid, and by which payment`, async () => {
      const one = await atDoor(world, door);
      const before = origin.calls.length;
      const { code, response } = await one.ask({ to: 'one' });
      assert.equal(code, undefined, response.text);
      assert.equal(origin.calls.at(-1).headers['x-edge402-payer'].toLowerCase(), one.buyer.address.toLowerCase());
      assert.deepEqual(told(before), [written(one)]);
    });
  }
}

for (const [where, door] of Object.entries(DOORS)) {
  test(`${where}: it is the same for what is owed, and another for another payment`, async () => {
    const buyer = await stack.buyer();
    const [one, two] = [await atDoor(world, door, buyer), await atDoor(world, door, buyer)];
    const before = origin.calls.length;
    origin.fails = (_, response) => void response.destroy();
    assert.equal((await one.ask({ to: 'one' })).code, 'origin_unreachable');
    assert.equal((await one.ask({ to: 'one' })).code, undefined);
    assert.equal((await two.ask({ to: 'one' })).code, undefined);
    assert.equal(origin.calls.length, before + 3);
    assert.deepEqual(told(before), [written(one), written(one), written(two)]);
    assert.notEqual(written(one), written(two));
  });
}

test('whatever the dress of the payment', async () => {
  const buyer = await stack.buyer();
  for (const dress of ['v2', 'v1', 'third']) {
    const payment = await authorize(url, '/send', buyer, { method: 'POST' });
    const before = origin.calls.length;
    assert.equal((await call(url, '/send', { method: 'POST', headers: payment[dress], body: 'x' })).status, 200);
    assert.deepEqual(told(before), [written({ payment })], dress);
  }
});

const beside = async (what, paid, act) => {
  const before = origin.calls.length;
  const response = await act();
  assert.equal(response.status, 200, `${what}: ${response.text}`);
  assert.equal(origin.calls.length, before + 1, what);
  assert.deepEqual(told(before), [paid ? written({ payment: paid }) : ''], what);
};

test('a client cannot say it himself where he pays by nothing, or with a key', async () => {
  const { key } = (await operator(url, { action: 'mint', credits: 5 })).json();
  for (const [what, act] of Object.entries({
    'what is free': () => call(url, '/free', { headers: FORGED }),
    'a free message': () => post(url, request('tools/list'), { headers: FORGED }),
    'a session': () => call(url, '/mcp', { headers: { ...FORGED, accept: 'text/event-stream' } }),
    'a key': () => call(url, '/send', { method: 'POST', headers: { ...FORGED, ...bearer(key) }, body: 'x' }),
    'a key for a tool': () => post(url, toolCall('send', {}), { headers: { ...FORGED, ...bearer(key) } }),
  })) await beside(what, undefined, act);
});

test('nor beside a payment', async () => {
  const buyer = await stack.buyer();
  const [http, tool] = [await authorize(url, '/send', buyer, { method: 'POST' }), await payFor(url, 'send', {}, buyer)];
  await beside('over HTTP', http, () => call(url, '/send', { method: 'POST', headers: { ...FORGED, ...http.v2 }, body: 'x' }));
  await beside('a tool', tool, () => post(url, toolCall('send', {}, { payment: tool.payment }), { headers: FORGED }));
});
