// The agent and the MCP client of examples/, which know a host and nothing else, against what the built Worker says of
// itself. The front between them is a stranger who changes that.

import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { SECRETS } from './credits.mjs';
import { call, effectsOf, startStack, withoutEffect } from './helpers.mjs';
import { run, startFront } from './stack/examples.mjs';
import { freePort, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

after(stopEverything);
const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({
    // Asked for: the origin is not asked first whether it has a server there.
    DISCOVERY: { mcp: true },
    ROUTES: {
      'GET /weather/:city': {
        price: '$0.01', name: 'weather', description: 'The weather in a city, now.', mime_type: 'application/json',
        input: { path: { city: "A city's name" }, query: { units: { type: 'string', enum: ['c', 'f'] } }, required: ['units'] },
        output: { example: { celsius: 21 } },
      },
      'POST /echo': {
        price: '$0.02', name: 'report', description: 'A report, written for you.', mime_type: 'application/json',
        input: { body: { type: 'object', properties: { topic: { type: 'string' }, pages: { type: 'integer', default: 3 } }, required: ['topic', 'pages'] } },
      },
      'POST /echo/order': {
        price: '$0.01', description: 'An order, by a form.',
        input: { headers: { 'X-Loud': 'Yes or no' }, required: ['X-Loud'], body: { type: 'object', properties: { what: { type: 'string' } }, required: ['what'] }, body_type: 'form' },
      },
      'POST /echo/note': { price: '$0.01', description: 'A note to leave.', input: { body: { type: 'string' }, body_type: 'text' } },
    },
    PACKAGES: { dear: { price: '$1', credits: 100 }, cheap: { price: '$0.05', credits: 10 } },
    CREDIT_VALUE: '$0.01',
    RPC: stack.chain.rpcUrl,
  }),
  secrets: SECRETS,
});
const front = await startFront({ target: worker.url });
const MANIFEST = '/.well-known/x402-manifest.json';
const PRICE = 10_000n;
const ANSWER = { city: 'lisbon', sky: 'clear', celsius: 21 };
beforeEach(() => front.reset());

async function newWallet(amount = 1_000_000n) {
  const PRIVATE_KEY = generatePrivateKey();
  const { address } = privateKeyToAccount(PRIVATE_KEY);
  if (amount > 0n) await stack.chain.mint(address, amount);
  return { PRIVATE_KEY, address };
}

async function runWith({ PRIVATE_KEY }, command, env) {
  const result = await run([process.execPath, ...command], { PRIVATE_KEY, ...env });
  assert.ok(!(result.out + result.err).includes(PRIVATE_KEY.slice(2)), 'the private key was printed');
  return result;
}

const paidBy = async ({ address }) => (await stack.chain.transfers({ from: address })).map(({ to, value }) => [to, value]);

describe('the agent', () => {
  const agent = (...args) => ['examples/agent/agent.mjs', front.url, ...args];
  const weather = (...more) => agent('the weather in a city', '--with', 'city=lisbon', ...more);
  const lines = ({ out }) => out.trim().split('\n').map((line) => JSON.parse(line));

  /** The manifest as the Worker has it, changed before the agent sees it. */
  async function forge(change) {
    const manifest = (await call(worker.url, MANIFEST, { headers: { host: new URL(front.url).host } })).json();
    change(manifest);
    front.instead = ({ url }) => url === MANIFEST && ((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(manifest));
    });
  }

  test('finds what the task needs, fills it in by its schema and pays for it', async () => {
    const wallet = await newWallet();
    const { result, earned } = await effectsOf(stack, () => runWith(wallet, weather()));
    assert.equal(result.status, 0, result.err);
    assert.deepEqual([lines(result), earned], [[ANSWER], PRICE]);
    assert.deepEqual(await paidBy(wallet), [[stack.seller, PRICE]]);
    assert.equal(front.requests.at(-1).url, '/weather/lisbon?units=c');
    assert.match(result.err, /spent \$0\.01 of \$0\.1\b/);
  });

  test('writes a body by its schema', async () => {
    const wallet = await newWallet();
    const result = await runWith(wallet, agent('write a report', '--with', 'topic=tea & cake'));
    assert.equal(result.status, 0, result.err);
    assert.deepEqual([front.requests.at(-1).method, JSON.parse(front.requests.at(-1).body)], ['POST', { topic: 'tea & cake', pages: 3 }]);
    assert.deepEqual(await paidBy(wallet), [[stack.seller, 20_000n]]);
  });

  test('sends each argument where it belongs, and a body as what it is', async () => {
    for (const forged of [undefined, ({ url }) => url === MANIFEST && ((response) => response.writeHead(404).end())]) {
      front.reset();
      front.instead = forged;
      const wallet = await newWallet();
      const result = await runWith(wallet, agent('an order form', '--with', 'what=tea & cake', '--with', 'X-Loud=yes'));
      assert.equal(result.status, 0, result.err);
      const { url, headers, body } = front.requests.at(-1);
      assert.deepEqual([url, headers['x-loud'], headers['content-type'], body.toString()],
        ['/echo/order', 'yes', 'application/x-www-form-urlencoded', 'what=tea+%26+cake']);
      const note = await runWith(wallet, agent('leave a note', '--with', 'body=so it is'));
      assert.equal(note.status, 0, note.err);
      const sent = front.requests.at(-1);
      assert.deepEqual([sent.headers['content-type'], sent.body.toString()], ['text/plain', 'so it is']);
    }
  });

  test('goes by the servers of OpenAPI, and to none that is elsewhere', async () => {
    const document = (await call(worker.url, '/openapi.json', { headers: { host: new URL(front.url).host } })).json();
    const say = (servers) => {
      const { '/weather/{city}': weather } = document.paths;
      const body = JSON.stringify({ ...document, servers, paths: { '/{city}': weather } });
      front.reset();
      front.instead = ({ url }) => (url === MANIFEST ? (response) => response.writeHead(404).end()
        : url === '/openapi.json' && ((response) => response.writeHead(200).end(body)));
    };
    for (const servers of [[{ url: `${front.url}/weather` }], [{ url: '/{what}/', variables: { what: { default: 'weather' } } }]]) {
      say(servers);
      const wallet = await newWallet();
      const result = await runWith(wallet, weather());
      assert.equal(result.status, 0, result.err);
      assert.equal(front.requests.at(-1).url, '/weather/lisbon?units=c');
    }
    say([{ url: 'https://elsewhere.example/weather' }]);
    const result = await withoutEffect(stack, async () => runWith(await newWallet(), weather()));
    assert.equal(result.status, 1);
    assert.match(result.err, /another origin/);
    assert.deepEqual(front.payments, []);
  });

  test('counts what it has signed as spent, whatever the host then says', async () => {
    for (const status of [400, 402, 403, 500]) {
      front.reset();
      front.instead = ({ headers }) => headers['payment-signature'] && ((response) => response.writeHead(status).end('{}'));
      const result = await withoutEffect(stack, async () => runWith(await newWallet(), weather()));
      assert.equal(result.status, 1, result.err);
      assert.match(result.err, /spent \$0\.01 of \$0\.1\b[^]*call 1, transaction unknown/, `${status}`);
      assert.equal(new Set(front.payments).size, 1);
    }
  });

  test('says which argument it lacks, and pays for nothing that it cannot ask', async () => {
    const result = await withoutEffect(stack, async () => runWith(await newWallet(), agent('the weather in a city')));
    assert.equal(result.status, 2);
    assert.match(result.err, /--with city=/);
  });

  test('calls nothing but what was meant: no example in its place, and no word of the user\'s left out', async () => {
    await forge(({ resources }) => resources.forEach(({ input }) => {
      if (input.properties.city) input.properties.city.example = 'paris';
    }));
    for (const [args, said] of [
      [['the weather in a city'], /--with city=/],
      [['the weather in a city', '--with', 'path=porto'], /--with city=/],
      [['the weather in a city', '--with', 'city=porto', '--with', 'day=monday'], /takes no day, but city, units/],
      [['the weather in a city', '--with', 'city=porto', '--with', 'constructor=x', '--calls', '6'], /takes no constructor/],
      [['write a report', '--with', 'topic=tea', '--with', 'city=porto'], /takes no city, but pages, topic/],
      [['write a report', '--with', 'topic=tea', '--with', 'pages=many'], /pages wants a number/],
      [['the weather in a city', '--with', 'city'], /--with city=/],
    ]) {
      const result = await withoutEffect(stack, async () => runWith(await newWallet(), agent(...args)));
      assert.equal(result.status, 2, `${args}: ${result.err}`);
      assert.match(result.err, said);
      assert.deepEqual(front.payments, []);
    }
    // What the schema itself names is taken, and told.
    const result = await runWith(await newWallet(), weather());
    assert.equal(result.status, 0, result.err);
    assert.match(result.err, /units is "c", as nothing else was said/);
  });

  test('buys a package where that is cheaper, and spends it', async () => {
    const wallet = await newWallet();
    const { result, earned, calls } = await effectsOf(stack, () => runWith(wallet, weather('--calls', '6')));
    assert.equal(result.status, 0, result.err);
    assert.deepEqual(lines(result), Array(6).fill(ANSWER));
    assert.deepEqual([earned, calls.settle, calls.origin], [50_000n, 1, 6]);
    assert.deepEqual(await paidBy(wallet), [[stack.seller, 50_000n]]);
    assert.match(result.err, /6 of 10 credits used/);
    assert.doesNotMatch(result.out + result.err, /e402_/);
  });

  test('buys none where the calls themselves are cheaper', async () => {
    const wallet = await newWallet();
    assert.equal((await runWith(wallet, weather('--calls', '4'))).status, 0);
    assert.deepEqual(await paidBy(wallet), Array(4).fill([stack.seller, PRICE]));
  });

  test('begins nothing that its budget does not allow', async () => {
    const wallet = await newWallet();
    const result = await withoutEffect(stack, () => runWith(wallet, weather('--calls', '3', '--budget', '$0.029999')));
    assert.equal(result.status, 3, result.err);
    assert.deepEqual(front.payments, []);
  });

  test('signs for no more than was listed', async () => {
    await forge(({ resources }) => resources.forEach((resource) => (resource.price.amount = '0.009999')));
    const result = await withoutEffect(stack, async () => runWith(await newWallet(), weather()));
    assert.equal(result.status, 3, result.err);
    assert.match(result.err, /more than the \$0\.009999/);
    assert.deepEqual(front.payments, []);
  });

  test('pays what the 402 asks where more was listed', async () => {
    await forge(({ resources }) => resources.forEach((resource) => (resource.price.amount = '0.05')));
    const wallet = await newWallet();
    const result = await runWith(wallet, weather());
    assert.match(result.err, /spent \$0\.01 of/);
    assert.deepEqual(await paidBy(wallet), [[stack.seller, PRICE]]);
  });

  test('follows nothing to another origin', async () => {
    const forgeries = [
      ({ resources }) => resources.forEach((resource) => (resource.path = '//elsewhere.example/weather/{city}')),
      ({ resources }) => resources.forEach((resource) => (resource.path = 'https://elsewhere.example/weather/{city}')),
      ({ resources }) => resources.forEach((resource) => (resource.path = '\\\\elsewhere.example/weather/{city}')),
      ({ packages }) => packages.forEach((bundle) => (bundle.url = 'https://elsewhere.example/buy')),
    ];
    for (const change of forgeries) {
      await forge(change);
      const result = await withoutEffect(stack, async () => runWith(await newWallet(), weather('--calls', '6')));
      assert.equal(result.status, 1, `${change}: ${result.err}`);
      assert.match(result.err, /another origin/);
      assert.deepEqual(front.payments, []);
    }
    front.instead = ({ url }) => url === MANIFEST && ((response) => response.writeHead(302, { location: 'https://elsewhere.example/' }).end());
    assert.equal((await runWith(await newWallet(), weather())).status, 1);
  });

  test('shows what a host says of itself without its commands for a terminal', async () => {
    await forge(({ resources }) => resources.forEach((resource) => (resource.description += '\x1b[2J\x1b]0;owned\x07')));
    const result = await runWith(await newWallet(), weather());
    assert.equal(result.status, 0, result.err);
    assert.doesNotMatch(result.err, /[\x00-\x09\x0b-\x1f]/);
  });

  test('goes by OpenAPI where there is no manifest', async () => {
    front.instead = ({ url }) => url === MANIFEST && ((response) => response.writeHead(404).end());
    const wallet = await newWallet();
    const result = await runWith(wallet, weather());
    assert.equal(result.status, 0, result.err);
    assert.deepEqual([lines(result), await paidBy(wallet)], [[ANSWER], [[stack.seller, PRICE]]]);
  });

  test('does not pay twice for an answer that was lost', async () => {
    front.lose = 2;
    const wallet = await newWallet();
    const result = await runWith(wallet, weather());
    assert.equal(result.status, 0, result.err);
    assert.deepEqual([lines(result), await paidBy(wallet)], [[ANSWER], [[stack.seller, PRICE]]]);
    assert.equal(new Set(front.payments).size, 1);
  });

  test('a wallet without money, no key and no host', async () => {
    const poor = await runWith(await newWallet(0n), weather());
    assert.equal(poor.status, 1, poor.err);
    // Refused, but signed: until the signature is out of date somebody may still take it.
    assert.match(poor.err, /spent \$0\.01 of[^]*transaction unknown[^]*insufficient_balance/);
    const without = await run([process.execPath, ...weather()]);
    assert.equal(without.status, 2);
    assert.match(without.err, /PRIVATE_KEY/);
    const nobody = await runWith(await newWallet(0n), ['examples/agent/agent.mjs', `http://127.0.0.1:${await freePort()}`, 'weather']);
    assert.equal(nobody.status, 1);
    assert.match(nobody.err, /ECONNREFUSED/);
  });
});

describe('the MCP client', () => {
  const client = (...args) => ['examples/mcp/client.mjs', `${front.url}/mcp`, ...args];
  const weather = client('weather', '{"city":"lisbon","units":"c"}');
  const paymentsSent = () => front.requests.map(({ body }) => body && JSON.parse(body).params?._meta?.['x402/payment']).filter(Boolean);

  test('lists the tools', async () => {
    const result = await withoutEffect(stack, async () => runWith(await newWallet(0n), client()));
    assert.equal(result.status, 0, result.err);
    assert.match(result.out, /^weather +.*weather in a city/im);
    assert.match(result.out, /^report /m);
  });

  test('is told the price, pays it and gets the result with its receipt', async () => {
    const wallet = await newWallet();
    const result = await runWith(wallet, weather);
    assert.equal(result.status, 0, result.err);
    assert.match(result.out, /"celsius": 21/);
    assert.deepEqual(await paidBy(wallet), [[stack.seller, PRICE]]);
    const [{ transactionHash }] = await stack.chain.transfers({ from: wallet.address });
    assert.ok(result.err.includes(transactionHash), result.err);
    const [payment, ...more] = paymentsSent();
    assert.deepEqual([payment.x402Version, more.length], [2, 0]);
  });

  test('signs nothing that is too dear', async () => {
    const wallet = await newWallet();
    const result = await withoutEffect(stack, () => runWith(wallet, weather, { MAX_PRICE: '$0.009999' }));
    assert.equal(result.status, 1);
    assert.match(result.err, /maxAmountPerPayment/);
    assert.deepEqual(paymentsSent(), []);
  });

  test('takes a no for a no', async () => {
    const result = await runWith(await newWallet(0n), weather);
    assert.deepEqual([result.status, result.out], [1, ''], result.err);
    assert.match(result.err, /refused/);
    assert.equal(paymentsSent().length, 1);
  });

  test('a settlement whose answer was lost is not paid for twice', async () => {
    const wallet = await newWallet();
    let lost = 0;
    stack.proxy.fault = (path) => (path === '/settle' && !lost++ ? { forward: true, status: 500, body: { error: 'nobody knows' } } : undefined);
    try {
      const result = await runWith(wallet, weather);
      assert.equal(result.status, 0, result.err);
      assert.deepEqual(await paidBy(wallet), [[stack.seller, PRICE]]);
      const sent = paymentsSent().map((payment) => payment.payload.authorization.nonce);
      assert.deepEqual([new Set(sent).size, sent.length > 1], [1, true]);
    } finally {
      stack.proxy.fault = undefined;
    }
  });

  test('says what to do without a key, and that a host cannot be reached', async () => {
    const without = await run([process.execPath, ...weather]);
    assert.equal(without.status, 2);
    assert.match(without.err, /openssl rand -hex 32/);
    const nobody = await runWith(await newWallet(0n), ['examples/mcp/client.mjs', `http://127.0.0.1:${await freePort()}/mcp`]);
    assert.equal(nobody.status, 1);
    assert.match(nobody.err, /ECONNREFUSED/);
  });
});
