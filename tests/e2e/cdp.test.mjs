// A facilitator that wants a signed token a call, as Coinbase's CDP does: with the right key of either kind a paid call is
// as any other, and with a wrong one it is "unavailable" or "unknown", never an answer and never a fresh challenge.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, test } from 'node:test';
import { SignJWT } from 'jose';
import { assertAnswered, assertUnknown, authorize, call, effectsOf, now, receiptsOf, startStack, until } from './helpers.mjs';
import { CDP_PATH, cdpKey, OLD_PATH, startCdp } from './stack/cdp.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const { chain, proxy } = stack;
const KINDS = ['Ed25519', 'ES256'];
const KEYS = Object.fromEntries(KINDS.map((kind) => [kind, cdpKey(kind)]));
const doors = Object.fromEntries(await Promise.all(
  KINDS.map(async (kind) => [kind, await startCdp({ key: KEYS[kind], target: proxy.url })]),
));
after(async () => {
  await Promise.all(Object.values(doors).map((door) => door.stop()));
  await stack.stop();
});

// The facilitator's part in each: what it is asked, in this order.
const ROUTES = {
  'GET /weather/after': { price: '$0.001', settle: 'after', verify: 'local' },
  'GET /weather/before': { price: '$0.001', settle: 'before', verify: 'local' },
  'GET /weather/checked': { price: '$0.001', settle: 'after', verify: 'facilitator' },
};
const ASKED = { '/weather/after': ['settle'], '/weather/before': ['settle'], '/weather/checked': ['verify', 'settle'] };

/** Runs `act` with a Worker that signs with `secrets` at this door. */
async function withWorker(door, secrets, act, path = CDP_PATH) {
  const FACILITATORS = [{ url: `${door.url}${path}`, auth: 'cdp', timeout_seconds: 20 }];
  const worker = await startWorker({ vars: stack.vars({ ROUTES, FACILITATORS }), secrets });
  door.reset();
  try {
    await act(worker);
  } finally {
    await worker.stop();
  }
  // Neither what was signed with nor what was signed is anything for a log; once it has stopped the log is whole.
  for (const word of [secrets.CDP_API_KEY_SECRET, ...door.calls.flatMap(({ token }) => token ?? [])]) {
    assert.ok(!worker.logs().includes(word), 'a secret in the log');
  }
}

async function payOnce(worker, path) {
  const buyer = await stack.buyer();
  const payment = await authorize(worker.url, path, buyer);
  const effects = await effectsOf(stack, () => call(worker.url, path, { headers: payment.v2 }));
  return { buyer, payment, ...effects };
}

function assertOwnTokens(door) {
  assert.deepEqual(door.calls.filter(({ refused }) => refused), []);
  const tokens = door.calls.map(({ token }) => token);
  assert.equal(new Set(tokens).size, tokens.length, 'a token was sent twice');
}

for (const kind of KINDS) {
  const key = KEYS[kind];
  const door = doors[kind];
  const sign = ({ uri = `POST ${door.host}${CDP_PATH}/settle`, at = now(), nonce = randomBytes(16).toString('hex'), signer = key, ...claims } = {}) =>
    new SignJWT({ sub: key.id, iss: 'cdp', uris: [uri], iat: at, nbf: at, exp: at + 120, ...claims })
      .setProtectedHeader({ alg: signer.alg, kid: key.id, typ: 'JWT', nonce })
      .sign(signer.privateKey);
  const knock = (token, path = '/settle') => fetch(`${door.url}${CDP_PATH}${path}`, {
    method: 'POST', body: '{}', headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
  });

  test(`${kind}: the door of these tests lets a good token in once, and no other at all`, async () => {
    const good = await sign();
    assert.notEqual((await knock(good)).status, 401);
    const nonce = 'ab'.repeat(16);
    assert.notEqual((await knock(await sign({ nonce }))).status, 401);
    for (const [what, token, path] of [
      ['none', undefined], ['the same again', good], ['the same nonce in another', await sign({ nonce, at: now() - 1 })],
      ['junk', 'a.b.c'], ['an old one', await sign({ at: now() - 121 })], ['one from the future', await sign({ at: now() + 60 })],
      ['one for long', await sign({ exp: now() + 3600 })], ['a stranger\'s', await sign({ signer: cdpKey(kind) })],
      ['of another issuer', await sign({ iss: 'me' })], ['of another subject', await sign({ sub: 'me' })],
      ['one for /verify', await sign({ uri: `POST ${door.host}${CDP_PATH}/verify` })], ['one for /settle', await sign(), '/verify'],
      ['one for GET', await sign({ uri: `GET ${door.host}${CDP_PATH}/settle` })],
      ['one for another host', await sign({ uri: `POST api.cdp.coinbase.com${CDP_PATH}/settle` })],
    ]) {
      assert.equal((await knock(token, path)).status, 401, what);
    }
  });

  test(`${kind}: a paid call goes through, with a token of its own for every call`, async () => {
    await withWorker(door, key.secrets, async (worker) => {
      for (const [path, asked] of Object.entries(ASKED)) {
        for (let round = 0; round < 2; round += 1) {
          const first = door.calls.length;
          const { result, earned, buyer } = await payOnce(worker, path);
          assertAnswered(result);
          assert.equal(earned, 1000n);
          assert.equal(receiptsOf(result).v2.success, true);
          assert.equal((await chain.transfers({ from: buyer.address })).length, 1);
          const made = door.calls.slice(first).filter(({ path: at }) => !at.endsWith('/supported'));
          assert.deepEqual(made.map((one) => one.path), asked.map((endpoint) => `${CDP_PATH}/${endpoint}`));
          for (const { header, claims, path: at } of made) {
            assert.deepEqual({ ...header, nonce: undefined }, { alg: key.alg, kid: key.id, typ: 'JWT', nonce: undefined });
            assert.deepEqual(claims.uris, [`POST ${door.host}${at}`]);
            assert.deepEqual([claims.nbf, claims.exp], [claims.iat, claims.iat + 120]);
            assert.deepEqual(Object.keys(claims).sort(), ['exp', 'iat', 'iss', 'nbf', 'sub', 'uris']);
          }
        }
      }
      assertOwnTokens(door);
    });
  });

  test(`${kind}: a redirect is followed with another token, for where it leads`, async () => {
    await withWorker(door, key.secrets, async (worker) => {
      const { result, earned } = await payOnce(worker, '/weather/checked');
      assertAnswered(result);
      assert.equal(earned, 1000n);
      assert.deepEqual(door.calls.map(({ path }) => path).filter((path) => !path.endsWith('/supported')), ['verify', 'settle'].flatMap((endpoint) =>
        [`${OLD_PATH}/${endpoint}`, `${CDP_PATH}/${endpoint}`]));
      assertOwnTokens(door);
    }, OLD_PATH);
  });

  test(`${kind}: with a key that CDP does not know, the buyer gets no answer and no new challenge`, async () => {
    const stranger = cdpKey(kind, key.id);
    await withWorker(door, stranger.secrets, async (worker) => {
      for (const [path, [endpoint]] of Object.entries(ASKED)) {
        const { result, calls, earned, buyer } = await payOnce(worker, path);
        assertUnknown(result, endpoint === 'verify' ? 'verification_unavailable' : 'settlement_unknown');
        assert.deepEqual(calls, { origin: path === '/weather/after' ? 1 : 0, verify: 0, settle: 0 });
        assert.equal(earned, 0n);
        assert.equal((await chain.transfers({ from: buyer.address })).length, 0);
      }
      assert.ok(door.calls.length >= 3 && door.calls.every(({ refused }) => refused));
    });
  });
}

test('an ES256 key as an environment variable holds it: with literal \\n, and as SEC1', async () => {
  const key = KEYS.ES256;
  const sec1 = key.privateKey.export({ type: 'sec1', format: 'pem' });
  for (const pem of [key.secret.replaceAll('\n', '\\n'), sec1, sec1.replaceAll('\n', '\\n')]) {
    await withWorker(doors.ES256, { ...key.secrets, CDP_API_KEY_SECRET: pem }, async (worker) => {
      assertAnswered((await payOnce(worker, '/weather/checked')).result);
      assertOwnTokens(doors.ES256);
    });
  }
});

test('a key that is no key, or half of one, serves nothing and shows nothing', async () => {
  const { secrets } = KEYS.Ed25519;
  const { CDP_API_KEY_ID, CDP_API_KEY_SECRET } = secrets;
  const other = cdpKey('Ed25519').secret;
  const mixed = Buffer.concat([Buffer.from(other, 'base64').subarray(0, 32), Buffer.from(CDP_API_KEY_SECRET, 'base64').subarray(32)]).toString('base64');
  for (const [wrong, named] of [
    [{}, /CDP_API_KEY_ID.*CDP_API_KEY_SECRET/s],
    [{ CDP_API_KEY_ID }, /CDP_API_KEY_SECRET/],
    [{ CDP_API_KEY_SECRET }, /CDP_API_KEY_ID/],
    [{ CDP_API_KEY_ID, CDP_API_KEY_SECRET: mixed }, /CDP_API_KEY_SECRET/],
  ]) {
    const FACILITATORS = [{ url: `${doors.Ed25519.url}${CDP_PATH}`, auth: 'cdp' }];
    const worker = await startWorker({ vars: stack.vars({ ROUTES, FACILITATORS }), secrets: wrong });
    try {
      const response = await call(worker.url, '/weather/after');
      assert.equal(response.status, 503, response.text);
      assert.equal(response.json().code, 'not_configured');
      // What the Worker logs reaches its log's file when it reaches it.
      await until('the mistake is logged', () => named.test(worker.logs()));
      for (const secret of [CDP_API_KEY_SECRET, mixed]) assert.ok(!(worker.logs() + response.text).includes(secret));
    } finally {
      await worker.stop();
    }
  }
});
