// A mistake closes what it can make wrong, and no more: free paths go on while a secret is out of step, packages that are not
// sold any more are honoured, and nothing that is closed gives anything away.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertAnswered, assertRefused, authorize, call, challengeOf, startStack, withoutEffect } from './helpers.mjs';
import { bearer, buy, creditsOf, entriesOf, operator, PACKAGES, SECRETS, spend } from './credits.mjs';
import { newId, withId } from './identified.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);
const ROUTES = { 'GET /weather/*': '$0.2' };
const { KEY_SECRET, ADMIN_TOKEN } = SECRETS;
const CDP = { CDP_API_KEY_ID: 'id', CDP_API_KEY_SECRET: 'EQsBtSzuAjPKHnxtNu1HaFb9Yd/94MoF3zgq042FRju7uRvG0xmPYpVLnaygJkwrjBx6xQYlAuovEcIKXmmcVg==' };

async function withWorker({ persist, ...options }, act) {
  const worker = await startWorker({ persist, ...options, vars: stack.vars({ ROUTES, ...options.vars }) });
  try {
    return await act(worker);
  } finally {
    await worker.stop();
  }
}
const free = async (url) => assert.equal((await call(url, '/echo')).status, 200);
const paid = async (url) => {
  const { v2 } = await authorize(url, '/weather/lisbon', await stack.buyer());
  return assertAnswered(await call(url, '/weather/lisbon', { headers: v2 }));
};
const refused = async (url, path, options, status = 503, code = 'not_configured') => {
  assertRefused(await withoutEffect(stack, () => call(url, path, options)), status, code);
};
/** How often a line of the log says this. */
const said = ({ logs }, text) => logs().split('\n').filter((line) => line.includes(text)).length;

for (const [name, options, warning] of [
  ['KEY_SECRET before PACKAGES, or left after them', { secrets: { KEY_SECRET } }, 'KEY_SECRET: is set'],
  ['an RPC left from another network', { secrets: { RPC: '{"eip155:8453": "https://node.example/"}' } }, 'is for a network that nothing is sold on'],
  ["CDP's keys before auth = \"cdp\"", { secrets: CDP }, 'CDP_API_KEY_SECRET: is set'],
]) {
  test(`${name}: all goes on, with a warning in the log once`, async () => {
    await withWorker(options, async (worker) => {
      await free(worker.url);
      await paid(worker.url);
      await free(worker.url);
      assert.equal(said(worker, warning), 1, worker.logs());
      assert.ok(said(worker, '"event":"warning"') >= 1);
    });
  });
}

test('PACKAGES before KEY_SECRET: packages and keys are 503, single payments and free paths go on', async () => {
  for (const secrets of [{}, { KEY_SECRET: 'short' }]) {
    await withWorker({ vars: { PACKAGES }, secrets: { ...secrets, ADMIN_TOKEN } }, async (worker) => {
      const { url } = worker;
      await free(url);
      await paid(url);
      const { headers } = await withoutEffect(stack, () => call(url, '/weather/lisbon'));
      assert.ok(headers['payment-required']);
      for (const [path, options] of [
        ['/api/buy-credits/small', { method: 'POST' }], ['/api/credits', {}], ['/api/credits/rotate', { method: 'POST' }], ['/dashboard', {}],
        ['/weather/lisbon', { headers: bearer(`e402_test_${'0'.repeat(68)}`) }],
      ]) await refused(url, path, options);
      assertRefused(await operator(url, { action: 'mint', credits: 1 }), 503, 'not_configured');
    });
  }
});

test('a key cannot be forged with the secret that is missing', async () => {
  // What an empty or a short secret would make is known to everybody.
  const { key } = await withWorker({ vars: { PACKAGES }, secrets: SECRETS }, ({ url }) => buy(stack, url));
  for (const secrets of [{}, { KEY_SECRET: '' }, { KEY_SECRET: 'short' }]) {
    await withWorker({ vars: { PACKAGES }, secrets }, ({ url }) => refused(url, '/weather/lisbon', { headers: bearer(key) }));
  }
});

test('auth = "cdp" before its keys, or no facilitator: what is priced is 503, even with a payment, and what is free goes on', async () => {
  const payment = await withWorker({}, async ({ url }) => authorize(url, '/weather/lisbon', await stack.buyer()));
  for (const FACILITATORS of [[{ url: stack.proxy.url, auth: 'cdp' }], [], ['http://facilitator.example']]) {
    await withWorker({ vars: { FACILITATORS, PACKAGES }, secrets: SECRETS }, async ({ url }) => {
      await free(url);
      await refused(url, '/weather/lisbon');
      await refused(url, '/weather/lisbon', { headers: payment.v2 });
      await refused(url, '/api/buy-credits/small', { method: 'POST', headers: payment.v2 });
      // A key pays without any facilitator.
      const minted = (await operator(url, { action: 'mint', credits: 1 })).json();
      assertAnswered(await spend(url, minted.key));
    });
  }
});

test('an ADMIN_TOKEN that is none opens no path of the operator, and closes only those', async () => {
  await withWorker({ secrets: { ADMIN_TOKEN: 'short' } }, async ({ url }) => {
    await free(url);
    await paid(url);
    for (const headers of [{}, bearer('short'), bearer('')]) await refused(url, `/api/admin/books/84532/${stack.seller}`, { headers });
  });
});

test('SERVICE or DISCOVERY with a mistake: no documents, and all else goes on', async () => {
  await withWorker({ vars: { SERVICE: { name: 7 }, DISCOVERY: { openapi: 3 } } }, async ({ url }) => {
    await free(url);
    await paid(url);
    const links = (await call(url, '/weather/lisbon')).headers.link;
    assert.equal(links, undefined);
  });
});

test('packages that are taken out of sale: what was sold is honoured, and nothing new is sold', async () => {
  const off = Object.fromEntries(Object.entries(PACKAGES).map(([name, one]) => [name, { ...one, on_sale: false }]));
  const first = await startWorker({ vars: stack.vars({ ROUTES, PACKAGES }), secrets: SECRETS });
  const sold = await buy(stack, first.url);
  // A payment whose answer was lost: settled, and its key never heard.
  const late = await authorize(first.url, '/api/buy-credits/small', await stack.buyer(10_000_000n), { method: 'POST' });
  const id = newId();
  const lost = await call(first.url, '/api/buy-credits/small', { method: 'POST', headers: withId(late, id) });
  assert.equal(lost.status, 200, lost.text);
  const unsent = await authorize(first.url, '/api/buy-credits/small', await stack.buyer(10_000_000n), { method: 'POST' });
  await first.stop();

  const persist = first.persistPath;
  await withWorker({ persist, vars: { PACKAGES: off }, secrets: SECRETS }, async ({ url }) => {
    assert.equal((await spend(url, sold.key)).headers['x-credits-remaining'], '4');
    const shown = await creditsOf(url, sold.key);
    assert.deepEqual([shown.available, shown.packages], [4, []]);
    assert.equal((await call(url, '/dashboard')).status, 200);
    assert.equal((await entriesOf(url, sold.account)).available, 4);
    for (const options of [{ method: 'POST' }, { method: 'POST', headers: unsent.v2 }, { method: 'POST', headers: bearer(sold.key) }]) {
      await refused(url, '/api/buy-credits/small', options, 410, 'package_not_on_sale');
    }
    // What was paid for is delivered.
    const again = await call(url, '/api/buy-credits/small', { method: 'POST', headers: withId(late, id) });
    assert.equal(again.json().key, lost.json().key, again.text);
    for (const path of ['/openapi.json', '/llms.txt', '/.well-known/x402', '/api/v1', '/.well-known/x402-manifest.json']) {
      assert.doesNotMatch((await call(url, path)).text, /buy-credits/, path);
    }
    const short = await call(url, '/weather/lisbon', { headers: bearer((await operator(url, { action: 'mint', credits: 1 })).json().key) });
    assertAnswered(short);
  });

  // Without PACKAGES: keys go on where it is said what a call costs.
  await withWorker({ persist, vars: { CREDIT_VALUE: '$0.2' }, secrets: SECRETS }, async ({ url }) => {
    assert.equal((await spend(url, sold.key)).headers['x-credits-remaining'], '3');
    assert.equal((await creditsOf(url, sold.key)).available, 3);
    assert.equal((await call(url, '/dashboard')).status, 200);
    assert.equal((await entriesOf(url, sold.account)).available, 3);
    await refused(url, '/api/buy-credits/small', { method: 'POST' }, 404, 'no_such_route');
    await refused(url, '/api/buy-credits/small', { method: 'POST', headers: unsent.v2 }, 404, 'no_such_route');
    await paid(url);
  });
});

test('a key that an operator mints is for the money that is taken, or says for which', async () => {
  const mint = async (networks, order) => {
    const vars = { NETWORKS: networks, PACKAGES, PAY_TO: stack.seller };
    return withWorker({ vars, secrets: SECRETS }, ({ url }) => operator(url, { action: 'mint', credits: 1, ...order }));
  };
  const key = async (...args) => (await mint(...args)).json().key;
  assert.match(await key(['eip155:84532']), /^e402_test_/);
  assert.match(await key(['eip155:8453']), /^e402_live_/);
  assertRefused(await mint(['eip155:8453', 'eip155:84532']), 400, 'request_malformed');
  assert.match(await key(['eip155:8453', 'eip155:84532'], { live: true }), /^e402_live_/);
});

test('that credits expire is in the challenge and in every document, before any money has moved', async () => {
  const vars = { PACKAGES: { small: { price: '$1', credits: 5, expires_days: 31, description: 'For a try' } } };
  await withWorker({ vars, secrets: SECRETS }, async ({ url }) => {
    const words = 'For a try. The credits expire 31 days after the purchase.';
    const { required, body } = await challengeOf(url, '/api/buy-credits/small', { method: 'POST' });
    assert.equal(required.resource.description, words);
    assert.ok(JSON.stringify(body).includes(words));
    for (const path of ['/openapi.json', '/llms.txt', '/api/v1', '/.well-known/x402-manifest.json', '/.well-known/api-catalog']) {
      assert.ok((await call(url, path)).text.includes(words), path);
    }
    assert.equal((await call(url, '/api/v1')).json().packages[0].expiresDays, 31);
    const page = { accept: 'text/html', 'user-agent': 'Mozilla/5.0' };
    assert.match((await call(url, '/weather/lisbon', { headers: page })).text, /"days":31/);
    const bought = await buy(stack, url);
    assert.ok(bought.expiresAt > 0);
    assert.equal((await creditsOf(url, bought.key)).packages[0].expiresDays, 31);
  });
});
