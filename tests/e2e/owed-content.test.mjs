// What is paid for and owed is owed to the request that was made, with all that it said: its body, its arguments. A payment
// whose answer got lost is no licence to have something else done, nor to have it done again and again.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startStack, until } from './helpers.mjs';
import { atDoor, DOORS, DOORS_AFTER, startDoing } from './gone.mjs';
import { newId, withId } from './identified.mjs';
import { stopEverything } from './stack/processes.mjs';

const stack = await startStack();
const { proxy } = stack;
const world = await startDoing(stack);
const { origin } = world;
after(stopEverything);

const KNOWN = 64 * 1024;
const [ONE, TWO] = [{ to: 'one' }, { to: 'two' }];
/** Whatever else might be asked for: something else, nothing, more, the same and something beside it. */
const OTHERS = [TWO, {}, { to: 'one ' }, { to: 'one', more: 1 }, { to: ['one'] }];
const isUsed = ({ code, response }) => assert.equal(code, 'payment_already_used', response.text);
const isAnswer = ({ code, response }) => {
  assert.equal(code, undefined, response.text);
  assert.match(response.text, /celsius/);
};
/** The payment is over: not for this request, not for another, and the origin hears of none. */
async function isOver({ ask, askInTheEnd, transfers }, ...contents) {
  isUsed(await askInTheEnd(contents[0] ?? ONE));
  const ran = origin.ran.length;
  for (const content of contents.length ? contents : [ONE, TWO]) isUsed(await ask(content));
  assert.equal(origin.ran.length, ran, 'somebody worked for it');
  assert.equal(await transfers(), 1);
}
/** What the origin did since, by door. */
const since = (before) => origin.ran.slice(before);

for (const [where, door] of Object.entries(DOORS)) {
  test(`${where}: what is owed to who hung up is had by asking for the same, once`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    await one.leave(ONE);
    isAnswer(await one.askInTheEnd(ONE));
    await isOver(one, ONE);
    assert.deepEqual(since(before), [ONE, ONE].map(door.did));
  });

  test(`${where}: what is owed to who hung up is nobody's who asks for something else`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    await one.leave(ONE);
    isUsed(await one.askInTheEnd(TWO));
    for (const other of OTHERS) isUsed(await one.ask(other));
    assert.deepEqual(since(before), [door.did(ONE)], 'the origin did something else for the same money');
    // Nor is it used up by them.
    isAnswer(await one.ask(ONE));
    await isOver(one);
    assert.deepEqual(since(before), [ONE, ONE].map(door.did));
  });

  test(`${where}: who hangs up twice has had it`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    await one.leave(ONE);
    await one.leave(ONE);
    // Something else is refused as it is by then, whichever of the two it is; the same is refused because it is over.
    isUsed(await one.askInTheEnd(TWO));
    await isOver(one);
    assert.deepEqual(since(before), [ONE, ONE].map(door.did), 'one payment, two runs at most');
  });

  test(`${where}: what the origin did not answer is owed to the same request, as often as the origin fails`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    for (const _ of 'abc') {
      origin.fails = (_, response) => void response.destroy();
      assert.equal((await one.askInTheEnd(ONE)).code, 'origin_unreachable');
      assert.equal(await one.transfers(), 1);
    }
    isAnswer(await one.askInTheEnd(ONE));
    await isOver(one, ONE);
    assert.deepEqual(since(before), [ONE, ONE, ONE, ONE].map(door.did));
  });

  test(`${where}: what the origin did not answer is owed to nothing else`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    origin.fails = (_, response) => void response.destroy();
    assert.equal((await one.ask(ONE)).code, 'origin_unreachable');
    for (const other of OTHERS) isUsed(await one.askInTheEnd(other));
    assert.deepEqual(since(before), [door.did(ONE)]);
    isAnswer(await one.ask(ONE));
    await isOver(one);
  });
}

for (const [where, door] of Object.entries(DOORS_AFTER)) {
  for (const others of [[], OTHERS]) {
    test(`${where}: a settlement whose outcome got lost is owed to the same request${others.length ? ', and to nothing else' : ''}`, async () => {
      const one = await atDoor(world, door);
      const before = origin.ran.length;
      proxy.fault = (path, body) => (path === '/settle' && body.paymentPayload.payload.authorization.nonce === one.payment.nonce
        ? { forward: true, status: 500, raw: 'oops' } : undefined);
      assert.equal((await one.ask(ONE)).code, 'settlement_unknown');
      proxy.reset();
      await until('it has moved', async () => (await one.transfers()) === 1);
      const answer = await until('the alarm has found out', async () => {
        for (const other of others) {
          const { code, response } = await one.ask(other);
          assert.notEqual(code, undefined, response.text);
          assert.doesNotMatch(response.text, /celsius/);
        }
        const same = await one.ask(ONE);
        return ['settlement_unknown', 'payment_in_flight'].includes(same.code) ? undefined : same;
      }, 90);
      isAnswer(answer);
      await isOver(one, ...(others.length ? [ONE, TWO] : [ONE]));
      assert.deepEqual(since(before), [ONE, ONE].map(door.did));
    });
  }
}

test('over HTTP: an origin that says again and again that it failed does not use up what is owed', async () => {
  const one = await atDoor(world, DOORS_AFTER['over HTTP']);
  proxy.fault = (path, body) => (path === '/settle' && body.paymentPayload.payload.authorization.nonce === one.payment.nonce
    ? { forward: true, status: 500, raw: 'oops' } : undefined);
  assert.equal((await one.ask(ONE)).code, 'settlement_unknown');
  proxy.reset();
  let failures = 0;
  await until('the alarm has found out, and the origin has failed seven times', async () => {
    origin.fails = (_, response) => void response.writeHead(500).end('{"code":"down"}');
    const { code, response } = await one.ask(ONE);
    if (response.status !== 500) assert.ok(['settlement_unknown', 'payment_in_flight'].includes(code), response.text);
    else failures += 1;
    return failures === 7;
  }, 90);
  origin.fails = undefined;
  isAnswer(await one.askInTheEnd(ONE));
  await isOver(one, ONE);
});

// Bodies over HTTP: which can be known

const door = DOORS['over HTTP'];
const sized = (bytes, letter = 'x') => letter.repeat(bytes);
const chunked = (text) => ({
  headers: { 'transfer-encoding': 'chunked' }, body: `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`,
});
const BODIES = {
  '64 KiB with a length': { known: true, text: sized(KNOWN) },
  'no body': { known: true, text: '' },
  'a byte more than 64 KiB': { known: false, text: sized(KNOWN + 1) },
  '900 KiB': { known: false, text: sized(900 * 1024) },
  'chunks, however few': { known: false, text: 'a few words', chunked: true },
};
const as = ({ text, chunked: inChunks }, headers) => {
  const { headers: more, body } = inChunks ? chunked(text) : { body: text };
  return [undefined, { headers: { ...more, ...headers }, body }];
};

for (const [what, body] of Object.entries(BODIES)) {
  test(`${what}: it is answered, once`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    isAnswer(await one.ask(...as(body)));
    isUsed(await one.askInTheEnd(...as(body)));
    assert.ok(since(before).length === 1 && since(before)[0] === body.text, 'the origin had another body');
  });

  test(`${what}: who hangs up ${body.known ? 'is owed it' : 'has had it'}`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    await one.leave(...as(body));
    const other = { text: body.text.replace(/.$/, 'y') || 'y', chunked: body.chunked };
    isUsed(await one.askInTheEnd(...as(other)));
    if (body.known) isAnswer(await one.ask(...as(body)));
    for (const next of [body, other]) isUsed(await one.askInTheEnd(...as(next)));
    assert.equal(since(before).length, body.known ? 2 : 1);
    for (const text of since(before)) assert.ok(text === body.text, 'the origin had another body');
    assert.equal(await one.transfers(), 1);
  });
}

for (const [what, body] of Object.entries({ ...BODIES, '1 MiB': { text: sized(1024 * 1024) } })) {
  test(`${what}, and an identifier: who hangs up is owed it`, async () => {
    const one = await atDoor(world, door);
    const before = origin.ran.length;
    const headers = withId(one.payment, newId());
    await one.leave(...as(body, headers));
    const other = { text: body.text.replace(/.$/, 'y') || 'y', chunked: body.chunked };
    const refused = await one.askInTheEnd(...as(other, headers));
    assert.ok(['payment_already_used', 'identifier_taken'].includes(refused.code), refused.response.text);
    isAnswer(await one.askInTheEnd(...as(body, headers)));
    // From now on it is said again, and nobody works for it.
    await one.askInTheEnd(...as(body, headers));
    await one.askInTheEnd(...as(other, headers));
    assert.equal(since(before).length, 2);
    for (const text of since(before)) assert.ok(text === body.text, 'the origin had another body');
    assert.equal(await one.transfers(), 1);
  });
}

test('an identifier, and twice gone: it is over', async () => {
  const one = await atDoor(world, door);
  const before = origin.ran.length;
  const headers = withId(one.payment, newId());
  const body = { text: 'a few words' };
  await one.leave(...as(body, headers));
  await one.leave(...as(body, headers));
  await one.askInTheEnd(...as({ text: 'others' }, headers));
  for (const _ of 'ab') await one.askInTheEnd(...as(body, headers));
  assert.equal(since(before).length, 2, 'one payment, two runs at most');
  assert.equal(await one.transfers(), 1);
});
