// The programs of examples/ and `npm run pay`, as their users run them: child processes against the built Worker, a real
// chain and the official facilitator. Each pays exactly the price, once, whatever gets lost; and signs nothing that it was
// not allowed to.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { PACKAGES, SECRETS, creditsOf } from './credits.mjs';
import { decode, effectsOf, encode, NETWORK, NO_CALLS, startStack, THIEF, until, USDC, withoutEffect } from './helpers.mjs';
import { run, startFront } from './stack/examples.mjs';
import { freePort, ROOT, stopEverything } from './stack/processes.mjs';
import { pythonOfTheExample } from './stack/python.mjs';
import { startWorker } from './stack/worker.mjs';

after(stopEverything);
const target = join(process.env.EDGE402_TARGET ?? join(ROOT, 'target'), 'examples');
const manifest = ['--manifest-path', 'examples/rust/Cargo.toml'];
// Minutes the first time, where `scripts/setup` has not built it yet.
const built = await run(['cargo', 'build', '--quiet', '--locked', ...manifest, '--target-dir', target], process.env, 1_200_000);
assert.equal(built.status, 0, built.err);
const python = await pythonOfTheExample();
// Node 22.18 runs TypeScript as it is. The older ones get it as the example's head says.
const esbuild = join(ROOT, 'node_modules/.bin/esbuild');
const source = 'examples/typescript/pay.ts';
const stripped = () => execFileSync(esbuild, [source], { cwd: ROOT, encoding: 'utf8' });
const typescript = process.features.typescript ? [source] : ['--input-type=module', '-e', stripped()];

const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: {
      'GET /weather/*': '$0.001',
      'POST /echo': { price: '$0.01', settle: 'before', payment_identifier: 'required' },
      'GET /status/*': '$0.001',
      'GET /redirect': '$0.001',
    },
    PACKAGES: { ...PACKAGES, tiny: { price: '$0.02', credits: 2 } },
    CREDIT_VALUE: '$0.01',
    // So that a settlement whose answer was lost has a transaction in its receipt.
    RPC: stack.chain.rpcUrl,
  }),
  secrets: SECRETS,
});
const front = await startFront({ target: worker.url });
const PRICE = 1000n;
const ANSWER = { city: 'lisbon', sky: 'clear', celsius: 21 };
const WEATHER = '/weather/lisbon';

/** A new wallet with its key, which the programs are given and which none of them may ever print. */
async function newWallet(amount = 1_000_000n) {
  const PRIVATE_KEY = generatePrivateKey();
  const { address } = privateKeyToAccount(PRIVATE_KEY);
  if (amount > 0n) await stack.chain.mint(address, amount);
  return { PRIVATE_KEY, address };
}

/** Runs a program with a wallet's key, which it keeps to itself. */
async function runWith({ PRIVATE_KEY }, command, env) {
  const result = await run(command, { PRIVATE_KEY, ...env });
  const said = result.out + result.err;
  assert.ok(!said.toLowerCase().includes(PRIVATE_KEY.slice(2).toLowerCase()), 'the private key was printed');
  return result;
}

/** Since the last reset one authorization was signed and no second, however often it was sent. */
function assertSignedOnce(times) {
  assert.equal(new Set(front.payments).size, 1, `${front.payments.length} payments were sent, of which differ ${new Set(front.payments).size}`);
  if (times) assert.equal(front.payments.length, times, 'how often it was sent');
}

async function assertPaid(address, price, result) {
  const transfers = await stack.chain.transfers({ from: address });
  assert.deepEqual(transfers.map(({ to, value }) => [to, value]), [[stack.seller, price]], 'one transfer, of the price, to the seller');
  if (result) assert.ok(result.err.includes(transfers[0].transactionHash), `the receipt names the transaction: ${result.err}`);
}

const PROGRAMS = {
  'pay.mjs': {
    command: (url) => [process.execPath, 'scripts/pay.mjs', url],
    dear: (url) => [process.execPath, 'scripts/pay.mjs', url, '--max', '$0.000999'],
    status: { noKey: 2, dear: 3, refused: 4, unreachable: 4 },
  },
  curl: {
    command: (url) => ['examples/curl/pay.sh', url],
    dear: (url) => ['examples/curl/pay.sh', url, '$0.000999'],
    status: { noKey: 2, dear: 3, refused: 1, unreachable: 4 },
  },
  typescript: {
    command: (url) => [process.execPath, ...typescript, url],
    status: { noKey: 2, dear: 1, refused: 1, unreachable: 1 },
  },
  python: {
    command: (url) => [python, 'examples/python/pay.py', url],
    status: { noKey: 2, dear: 1, refused: 1, unreachable: 1 },
  },
  rust: {
    command: (url) => [join(target, 'debug/edge402-pay'), url],
    status: { noKey: 1, dear: 1, refused: 1, unreachable: 1 },
  },
};

for (const [name, { command, dear = command, status }] of Object.entries(PROGRAMS)) {
  describe(name, () => {
    test('pays exactly the price and prints the answer', async () => {
      front.reset();
      const wallet = await newWallet();
      const { result, calls, earned } = await effectsOf(stack, () => runWith(wallet, command(front.url + WEATHER)));
      assert.equal(result.status, 0, result.err);
      assert.deepEqual(JSON.parse(result.out), ANSWER);
      assert.deepEqual([earned, calls], [PRICE, { origin: 1, verify: 0, settle: 1 }]);
      assert.equal(await stack.chain.balanceOf(wallet.address), 1_000_000n - PRICE);
      await assertPaid(wallet.address, PRICE, result);
      assertSignedOnce(1);
      const { extensions } = decode(front.payments[0]);
      assert.match(extensions['payment-identifier'].info.id, /^pay_[0-9a-f]{32}$/, 'a lost answer could not be had again');
    });

    test('says what to do where there is no key', async () => {
      front.reset();
      const result = await withoutEffect(stack, () => run(command(front.url + WEATHER)));
      assert.equal(result.status, status.noKey, result.err);
      assert.match(result.err, /PRIVATE_KEY/);
      assert.match(result.err, /openssl rand -hex 32/);
      assert.deepEqual([result.out, front.payments], ['', []]);
    });

    test('signs nothing that is too dear', async () => {
      front.reset();
      const result = await withoutEffect(stack, async () => runWith(await newWallet(), dear(front.url + WEATHER), { MAX_PRICE: '$0.000999' }));
      assert.equal(result.status, status.dear, result.err);
      assert.match(result.err, /too dear|max_?amount_?per_?payment/i);
      assert.deepEqual([result.out, front.payments], ['', []]);
    });

    test('says that a host cannot be reached', async () => {
      const nobody = `http://127.0.0.1:${await freePort()}${WEATHER}`;
      const result = await withoutEffect(stack, async () => runWith(await newWallet(0n), command(nobody)));
      assert.equal(result.status, status.unreachable, result.err);
      assert.match(result.err, /ECONNREFUSED|refused|connection attempts failed/i);
      assert.equal(result.out, '');
    });

    test('takes a no for a no', async () => {
      front.reset();
      const { result, earned } = await effectsOf(stack, async () => runWith(await newWallet(0n), command(front.url + WEATHER)));
      assert.equal(result.status, status.refused, result.err);
      assert.match(result.err, /insufficient_balance/);
      assert.deepEqual([result.out, earned], ['', 0n]);
      assertSignedOnce(1);
    });

    test('a settlement whose answer was lost is not paid for twice', async () => {
      front.reset();
      const wallet = await newWallet();
      let lost = 0;
      // Settled on chain, and nobody is told: the Worker says 503 until its alarm has found out.
      stack.proxy.fault = (path, body) => {
        if (path !== '/settle' || body.paymentPayload.payload.authorization.from !== wallet.address || lost) return undefined;
        lost += 1;
        return { forward: true, status: 500, body: { error: 'nobody knows' } };
      };
      try {
        const result = await runWith(wallet, command(front.url + WEATHER));
        assert.equal(result.status, 0, result.err);
        assert.deepEqual(JSON.parse(result.out), ANSWER);
        assert.equal(lost, 1);
        await assertPaid(wallet.address, PRICE, result);
        assertSignedOnce();
        assert.ok(front.payments.length > 1, 'it was never told 503');
      } finally {
        stack.proxy.fault = undefined;
      }
    });

    test('an answer that was lost on its way is fetched again, and not bought again', async () => {
      front.reset();
      front.lose = 2;
      const wallet = await newWallet();
      const { result, calls } = await effectsOf(stack, () => runWith(wallet, command(front.url + WEATHER)));
      assert.equal(result.status, 0, result.err);
      assert.deepEqual(JSON.parse(result.out), ANSWER);
      assert.equal(calls.origin, 1);
      await assertPaid(wallet.address, PRICE, result);
      assertSignedOnce(3);
    });
  });
}

describe('the reference signer', () => {
  const pay = (path, ...more) => [process.execPath, 'scripts/pay.mjs', path.startsWith('/') ? front.url + path : path, ...more];

  test('is what `npm run pay` runs, and says how it is used', async () => {
    const { status, out, err } = await run(['npm', 'run', '--silent', 'pay', '--', '--help']);
    assert.deepEqual([status, out], [0, ''], err);
    assert.match(err, /npm run --silent pay -- URL/);
  });

  test('does nothing where npm has taken its options, for want of --', async () => {
    front.reset();
    const wallet = await newWallet();
    for (const option of [['--dry-run'], ['--max', '0.0001'], ['--network', 'eip155:1']]) {
      const { status, err } = await withoutEffect(stack, () => runWith(wallet, ['npm', 'run', '--silent', 'pay', front.url + WEATHER, ...option]));
      assert.equal(status, 2, err);
      assert.match(err, new RegExp(`npm has taken ${option[0]} for its own: write --`));
    }
    assert.deepEqual(front.requests, []);
  });

  test('sends a method, a body and headers, on both requests', async () => {
    front.reset();
    const wallet = await newWallet();
    const id = 'pay_of_our_own_choice';
    const result = await runWith(wallet, pay('/echo', '--data', '{"about":"lisbon"}', '--header', 'X-Report: yes', '--id', id));
    assert.equal(result.status, 0, result.err);
    const [head, body] = result.out.split('\n');
    assert.deepEqual([JSON.parse(head).method, JSON.parse(head).headers['x-report'], body], ['POST', 'yes', '{"about":"lisbon"}']);
    assert.deepEqual(front.requests.map(({ method, body: sent }) => [method, sent]), Array(2).fill(['POST', '{"about":"lisbon"}']));
    assert.equal(decode(front.payments[0]).extensions['payment-identifier'].info.id, id);
    await assertPaid(wallet.address, 10_000n, result);
  });

  test('shows a price without a key, and a price that is too dear', async () => {
    front.reset();
    const shown = await withoutEffect(stack, () => run(pay(WEATHER, '--dry-run')));
    assert.equal(shown.status, 0, shown.err);
    assert.match(shown.err, new RegExp(`\\$0\\.001 \\(1000 atomic units\\) of USDC on ${NETWORK}`));
    const dear = await withoutEffect(stack, () => run(pay('/api/buy-credits/small', '--method', 'POST', '--dry-run')));
    assert.equal(dear.status, 3, dear.err);
    assert.match(dear.err, /the limit is \$0\.1\b/);
    assert.deepEqual(front.payments, []);
  });

  test('prints a header for other programs, which can be sent again', async () => {
    front.reset();
    const wallet = await newWallet();
    const { out: header } = await withoutEffect(stack, () => runWith(wallet, pay(WEATHER, '--print-header')));
    const first = await fetch(front.url + WEATHER, { headers: { 'PAYMENT-SIGNATURE': header.trim() } });
    assert.deepEqual([first.status, await first.json()], [200, ANSWER]);
    const again = await run(pay(WEATHER, '--again', header.trim()));
    assert.deepEqual([again.status, JSON.parse(again.out)], [0, ANSWER], again.err);
    await assertPaid(wallet.address, PRICE, again);
  });

  test('with its patience at an end says that nothing is known, and how to go on', async () => {
    front.reset();
    const wallet = await newWallet();
    front.instead = ({ headers }) => headers['payment-signature'] && ((response) => response.writeHead(503, { 'retry-after': '1' }).end());
    const result = await runWith(wallet, pay(WEATHER, '--patience', '3'));
    assert.equal(result.status, 5, result.err);
    assert.match(result.err, /do not sign again/);
    assertSignedOnce();
    assert.ok(front.payments.length > 1, 'it did not even try');
    const [, again] = result.err.match(/--again (\S+)/);
    assert.equal(again, front.payments[0]);
    front.instead = undefined;
    const later = await run(pay(WEATHER, '--again', again));
    assert.deepEqual([later.status, JSON.parse(later.out)], [0, ANSWER], later.err);
    await assertPaid(wallet.address, PRICE, later);
  });

  test('interrupted while a payment is out, it says the same', async () => {
    front.reset();
    const { PRIVATE_KEY } = await newWallet();
    front.instead = ({ headers }) => headers['payment-signature'] && (() => {});
    const program = run(pay(WEATHER), { PRIVATE_KEY });
    await until('the payment is out', () => front.payments.length);
    program.interrupt();
    const { status, err } = await program;
    assert.equal(status, 5, err);
    assert.ok(err.includes(`--again ${front.payments[0]}`), err);
  });

  test('a 5xx without a receipt is no refusal, and is not sent again by itself', async () => {
    front.reset();
    front.instead = ({ headers }) => headers['payment-signature'] && ((response) => response.writeHead(500).end('oh'));
    const result = await runWith(await newWallet(), pay(WEATHER));
    assert.deepEqual([result.status, result.out], [5, ''], result.err);
    assertSignedOnce(1);
  });

  test('"used before" after a lost answer is no refusal either', async () => {
    front.reset();
    front.lose = 1;
    let seen = 0;
    front.instead = ({ headers }) => {
      seen += Boolean(headers['payment-signature']);
      return seen > 1 ? (response) => response.writeHead(409, { 'content-type': 'application/problem+json' }).end('{"code":"payment_already_used"}') : undefined;
    };
    const result = await runWith(await newWallet(), pay(WEATHER));
    assert.equal(result.status, 5, result.err);
    assertSignedOnce(2);
  });

  test('an answer that failed is an error, and nothing was paid for it', async () => {
    front.reset();
    const { result, earned } = await effectsOf(stack, async () => runWith(await newWallet(), pay('/status/404')));
    assert.deepEqual([result.status, result.out, earned], [4, '', 0n]);
    assert.match(result.err, /404/);
  });

  test('follows no redirect with a payment', async () => {
    front.reset();
    const result = await runWith(await newWallet(), pay('/redirect'));
    assert.equal(result.status, 0, result.err);
    assert.match(result.err, /status +302/);
    assert.deepEqual(front.requests.map(({ url }) => url), ['/redirect', '/redirect']);
  });

  test('a key on the command line, a payment over http and half a limit are refused', async () => {
    front.reset();
    const secret = generatePrivateKey();
    for (const args of [[secret], [secret.slice(2)], ['--private-key', secret], [`--private-key=${secret}`]]) {
      const { status, err } = await run(pay(WEATHER, ...args));
      assert.equal(status, 2, err);
      assert.match(err, /command line/);
      assert.ok(!err.includes(secret.slice(2)));
    }
    const wrong = [pay('http://example.com/'), pay('ftp://127.0.0.1/'), pay(WEATHER, '--max', '10c'), pay(WEATHER, '--max', '$0.0000001'),
      pay(WEATHER, '--any-asset'), pay(WEATHER, '--id', 'short'), pay(WEATHER, '--header', 'none'), pay(WEATHER, '--bogus')];
    for (const command of wrong) assert.equal((await run(command, { PRIVATE_KEY: secret })).status, 2, command.join(' '));
    for (const PRIVATE_KEY of ['0x12', `0x${'0'.repeat(64)}`, `0x${'f'.repeat(64)}`, 'a secret of another kind']) {
      const { status, err } = await run(pay(WEATHER), { PRIVATE_KEY });
      assert.equal(status, 2, err);
      assert.ok(!err.includes(PRIVATE_KEY), err);
    }
    assert.deepEqual(front.requests, []);
  });

  test('buys credits, spends them by their key, and tops the key up', async () => {
    front.reset();
    const wallet = await newWallet();
    const bought = await runWith(wallet, pay('/api/buy-credits/tiny', '--method', 'POST'));
    assert.equal(bought.status, 0, bought.err);
    const { key } = JSON.parse(bought.out);
    for (const left of [1, 0]) {
      const spent = await withoutMoney(() => run(pay(WEATHER, '--key', key)));
      assert.deepEqual([spent.status, JSON.parse(spent.out)], [0, ANSWER], spent.err);
      assert.match(spent.err, new RegExp(`1 charged, ${left} left`));
    }
    const short = await withoutMoney(() => runWith(wallet, pay(WEATHER, '--key', key)));
    assert.deepEqual([short.status, short.out], [4, ''], short.err);
    assert.match(short.err, /insufficient_credits/);
    const topped = await runWith(wallet, pay('/api/buy-credits/tiny', '--method', 'POST', '--key', key));
    assert.equal(topped.status, 0, topped.err);
    assert.equal((await creditsOf(worker.url, key)).available, 2);
    assert.deepEqual((await stack.chain.transfers({ from: wallet.address })).map(({ value }) => value), [20_000n, 20_000n]);
  });

  test('signs for nothing but what it knows', async () => {
    const offer = { scheme: 'exact', network: NETWORK, amount: '1000', asset: USDC, payTo: THIEF, maxTimeoutSeconds: 300, extra: { name: 'USDC', version: '2' } };
    const offering = (...accepts) => {
      front.reset();
      front.instead = ({ headers }) => (response) => {
        if (headers['payment-signature']) return response.end('thank you');
        return response.writeHead(402, { 'PAYMENT-REQUIRED': encode({ x402Version: 2, resource: { url: 'x:y' }, accepts }) }).end();
      };
    };
    const refused = {
      'another token': { asset: THIEF },
      'another network': { network: 'eip155:1' },
      'another domain': { extra: { name: 'USD Coin', version: '2' } },
      'another version': { extra: { name: 'USDC', version: '1' } },
      'another scheme': { scheme: 'upto' },
      'another chain': { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' },
      'another method': { extra: { ...offer.extra, assetTransferMethod: 'permit2' } },
      'another flow': { extra: { ...offer.extra, paymentFlow: 'escrow' } },
      'an amount that is none': { amount: '-1' },
      'a number for an amount': { amount: 0.5 },
      'a recipient that is none': { payTo: 'merchant' },
      'no extra': { extra: null },
    };
    const wallet = await newWallet(0n);
    for (const [what, change] of Object.entries(refused)) {
      offering({ ...offer, ...change });
      const { status, err } = await runWith(wallet, pay(WEATHER));
      assert.equal(status, 4, `${what}: ${err}`);
      assert.deepEqual(front.payments, [], what);
    }
    // Of several the first that is known and within the limit; and never for longer than an hour.
    offering({ ...offer, asset: THIEF }, { ...offer, amount: '100001' }, { ...offer, maxTimeoutSeconds: 10 ** 9 });
    const { status, err } = await runWith(wallet, pay(WEATHER));
    assert.equal(status, 0, err);
    const { accepted, payload: { authorization } } = decode(front.payments[0]);
    assert.deepEqual([accepted.amount, authorization.value, authorization.to], ['1000', '1000', THIEF]);
    assert.ok(Number(authorization.validBefore) <= Date.now() / 1000 + 3600);
    offering({ ...offer, network: 'eip155:8453' });
    assert.equal((await runWith(wallet, pay(WEATHER, '--network', NETWORK))).status, 4);

    offering({ ...offer, asset: THIEF, extra: { name: 'Beef', version: '9' } });
    assert.equal((await runWith(wallet, pay(WEATHER, '--any-asset', '--max-atomic', '999'))).status, 3);
    assert.deepEqual(front.payments, []);
    assert.equal((await runWith(wallet, pay(WEATHER, '--any-asset', '--max-atomic', '1000'))).status, 0);
    assert.equal(front.payments.length, 1);
  });

  test('what a server says is no command for a terminal', async () => {
    front.reset();
    front.instead = () => (response) => response.writeHead(403).end('\x1b]0;owned\x07\x1b[2J refused');
    const { status, err } = await runWith(await newWallet(0n), pay(WEATHER));
    assert.equal(status, 4);
    assert.doesNotMatch(err, /[\x00-\x09\x0b-\x1f]/);
  });
});

/** `act` costs nothing on chain and asks no facilitator. */
async function withoutMoney(act) {
  const { result, calls, earned } = await effectsOf(stack, act);
  assert.deepEqual([earned, calls.verify, calls.settle], [0n, NO_CALLS.verify, NO_CALLS.settle]);
  return result;
}
