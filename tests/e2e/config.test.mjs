// A configuration whose mistake can make a call free, cheaper or wrong serves nothing, and nothing for free; what closes less is
// in closed.test.mjs. The same mistakes are named before deployment by
// `edge402-check`, with their path, all at once.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertAnswered, assertRefused, authorize, call, challengeOf, encode, NETWORK, startStack, USDC, withoutEffect } from './helpers.mjs';
import { freshDirectory, ROOT } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(() => stack.stop());
const directory = freshDirectory('config');
const { seller } = stack;
const BASE = stack.vars({ ROUTES: { 'GET /weather/*': '$0.001' } });
const badChecksum = seller.replace(/[a-fA-F]/, (letter) => (letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase()));

async function withWorker(vars, act) {
  const worker = await startWorker({ vars });
  try {
    await act(worker);
  } finally {
    await worker.stop();
  }
}
const without = (name) => Object.fromEntries(Object.entries(BASE).filter(([key]) => key !== name));

const mistakes = {
  'no PAY_TO': without('PAY_TO'),
  'a price of zero': { ...BASE, ROUTES: { 'GET /weather/*': '$0' } },
  'a route table that is no JSON': { ...BASE, ROUTES: '{"GET /weather/*": "$0.001"' },
};
for (const [name, vars] of Object.entries(mistakes)) {
  test(`${name}: 503 everywhere, and free nowhere`, async () => {
    await withWorker(vars, async (worker) => {
      const payment = encode({ x402Version: 2 });
      for (const [path, options] of [
        ['/weather/lisbon', {}], ['/nothing-priced', {}], ['/', { method: 'POST' }],
        ['/weather/lisbon', { headers: { 'PAYMENT-SIGNATURE': payment } }],
      ]) {
        const response = await withoutEffect(stack, () => call(worker.url, path, options));
        assertRefused(response, 503, 'not_configured');
        // What is wrong is the operator's business; whoever is outside learns no address and no URL from it.
        assert.ok(!response.text.includes(stack.proxy.url));
      }
      const preflight = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'GET' };
      await withoutEffect(stack, () => call(worker.url, '/weather/lisbon', { method: 'OPTIONS', headers: preflight }));
    });
  });
}

test('the same configuration as JSON strings, and routes in two parts', async () => {
  const { ROUTES, ...rest } = BASE;
  const vars = {
    ...rest,
    NETWORKS: JSON.stringify(rest.NETWORKS),
    FACILITATORS: JSON.stringify([stack.proxy.url]),
    ROUTES: JSON.stringify({ 'GET /weather/*': '$0.001' }),
    ROUTES_1: JSON.stringify({ 'GET /echo': { price: '$0.002', settle: 'before' } }),
    DEFAULT: 'deny',
  };
  await withWorker(vars, async (worker) => {
    const { required } = await challengeOf(worker.url, '/echo');
    assert.equal(required.accepts[0].amount, '2000');
    const payment = await authorize(worker.url, '/weather/lisbon', await stack.buyer());
    assertAnswered(await call(worker.url, '/weather/lisbon', { headers: payment.v2 }));

    // DEFAULT = "deny": what no route names does not exist, by any method and with any payment.
    for (const options of [{}, { method: 'POST' }, { headers: payment.v2 }, { headers: { 'PAYMENT-SIGNATURE': 'x' } }]) {
      assertRefused(await withoutEffect(stack, () => call(worker.url, '/nothing', options)), 404, 'no_such_route');
    }
    assertRefused(await withoutEffect(stack, () => call(worker.url, '/weather/lisbon', { method: 'POST' })), 404, 'no_such_route');
    assertRefused(await withoutEffect(stack, () => call(worker.url, '/nothing%2f')), 400, 'path_not_canonical');
  });
});

test('the most specific route decides, not the first or the cheapest', async () => {
  const ROUTES = {
    'GET /*': '$0.001',
    'GET /weather/*': '$0.002',
    'GET /weather/:city/now': '$0.003',
    'GET /weather/lisbon/now': '$0.004',
    'POST /weather/lisbon/now': '$0.005',
  };
  await withWorker({ ...BASE, ROUTES }, async (worker) => {
    for (const [path, amount, method] of [
      ['/', '1000'], ['/x', '1000'], ['/weather', '2000'], ['/weather/x/y/z', '2000'], ['/weather/porto/now', '3000'], ['/Weather/Porto/Now/', '3000'],
      ['/weather/lisbon/now', '4000'], ['/WEATHER/LISBON/NOW/', '4000'], ['/weather/lisbon/now', '5000', 'POST'],
    ]) {
      const { required } = await challengeOf(worker.url, path, { method });
      assert.equal(required.accepts[0].amount, amount, `${method ?? 'GET'} ${path}`);
    }
  });
});

let files = 0;
const OBJECTS = `[durable_objects]
bindings = [{ name = "PAYER", class_name = "Payer" }]
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Payer"]`;
/** Runs edge402-check on a wrangler.toml with these `[vars]`. */
function check(vars, objects = OBJECTS) {
  const file = join(directory, `wrangler-${(files += 1)}.toml`);
  writeFileSync(file, `name = "checked"\nmain = "build/index.js"\ncompatibility_date = "2026-04-01"\ncompatibility_flags = ["enable_request_signal"]\n${objects}\n[vars]\n${vars}\n`);
  return new Promise((done) => {
    const [program, ...first] = process.env.EDGE402_CHECK ? [process.env.EDGE402_CHECK] : ['cargo', 'run', '--quiet', '--bin', 'edge402-check', '--'];
    execFile(program, [...first, file], { cwd: ROOT }, (error, stdout, stderr) => {
      done({ status: error ? error.code : 0, output: stdout + stderr });
    });
  });
}

const SOUND = {
  ORIGIN: '"https://origin.example"',
  PAY_TO: `"${seller}"`,
  NETWORKS: `["${NETWORK}"]`,
  FACILITATORS: '["https://facilitator.example"]',
  ROUTES: '{ "GET /weather/*" = "$0.001", "POST /order" = { price = "$1.000001", settle = "before" } }',
};
const toml = (vars) => Object.entries(vars).filter(([, value]) => value !== undefined).map(([key, value]) => `${key} = ${value}`).join('\n');
const routes = (...lines) => ({ ROUTES: `{ ${lines.join(', ')} }` });

test('edge402-check prints the resolved route table', async () => {
  const { status, output } = await check(toml(SOUND));
  assert.equal(status, 0, output);
  const row = (pattern) => output.split('\n').find((line) => line.includes(pattern)) ?? assert.fail(`no row for ${pattern} in\n${output}`);
  for (const word of ['$0.001', '1000', NETWORK, 'after', 'local']) assert.ok(row('GET /weather/*').includes(word), `${word} in ${row('GET /weather/*')}`);
  for (const word of ['$1.000001', '1000001', NETWORK, 'before']) assert.ok(row('POST /order').includes(word), `${word} in ${row('POST /order')}`);
  assert.ok(output.includes(USDC) || /USDC/.test(output), 'the asset');
});

// Each with the words that its report must hold: where the mistake is.
const reported = [
  ['more digits than the asset has', routes('"GET /a" = "$0.0000001"'), ['GET /a']],
  ['a negative price', routes('"GET /a" = "-1"'), ['GET /a']],
  ['a price of zero', routes('"GET /a" = "0"'), ['GET /a']],
  ['zero in many digits', routes('"GET /a" = "$0.000000"'), ['GET /a']],
  ['a float', routes('"GET /a" = 0.001'), ['GET /a']],
  ['a float within a table', routes('"GET /a" = { price = 0.1 }'), ['GET /a']],
  ['an exponent', routes('"GET /a" = "1e-3"'), ['GET /a']],
  ['an empty price', routes('"GET /a" = ""'), ['GET /a']],
  ['two dots', routes('"GET /a" = "1.0.0"'), ['GET /a']],
  ['a comma', routes('"GET /a" = "$1,000"'), ['GET /a']],
  ['a price beyond all money', routes(`"GET /a" = "$${'9'.repeat(80)}"`), ['GET /a']],
  ['a table without a price', routes('"GET /a" = { settle = "after" }'), ['GET /a', 'price']],
  ['an unknown key in a route', routes('"GET /a" = { price = "$1", setle = "before" }'), ['GET /a', 'setle']],
  ['an unknown settle', routes('"GET /a" = { price = "$1", settle = "never" }'), ['GET /a', 'settle']],
  ['an unknown verify', routes('"GET /a" = { price = "$1", verify = "none" }'), ['GET /a', 'verify']],
  ['overlapping patterns', routes('"GET /a/:x" = "$1"', '"GET /:y/b" = "$2"'), ['GET /a/:x', 'GET /:y/b']],
  ['patterns that differ by a name', routes('"GET /a/:x" = "$1"', '"GET /a/:y" = "$2"'), ['GET /a/:x', 'GET /a/:y']],
  ['patterns that differ by case', routes('"GET /A" = "$1"', '"GET /a" = "$2"'), ['GET /A', 'GET /a']],
  ['patterns that differ by a slash', routes('"GET /a" = "$1"', '"GET /a/" = "$2"'), ['GET /a']],
  ['a pattern without a slash', routes('"GET weather" = "$1"'), ['GET weather']],
  ['a pattern that no canonical path matches', routes('"GET /a//b" = "$1"'), ['GET /a//b']],
  ['an encoded pattern that no canonical path matches', routes('"GET /%61" = "$1"'), ['GET /%61']],
  ['a star in the middle of a segment', routes('"GET /a*b/c" = "$1"'), ['GET /a*b/c']],
  ['a pay_to of a route that is none', routes('"GET /a" = { price = "$1", pay_to = "0x12" }'), ['GET /a', 'pay_to']],
  ['a PAY_TO with a bad checksum', { PAY_TO: `"${badChecksum}"` }, ['PAY_TO']],
  ['a PAY_TO of 19 bytes', { PAY_TO: `"${seller.slice(0, -2)}"` }, ['PAY_TO']],
  ['the zero address', { PAY_TO: `"0x${'0'.repeat(40)}"` }, ['PAY_TO']],
  ['no PAY_TO', { PAY_TO: undefined }, ['PAY_TO']],
  ['an unknown network', { NETWORKS: '["eip155:999999999"]' }, ['NETWORKS']],
  ['a v1 name as a network', { NETWORKS: '["base-sepolia"]' }, ['NETWORKS']],
  ['no network', { NETWORKS: '[]' }, ['NETWORKS']],
  ['http to a facilitator elsewhere', { FACILITATORS: '["http://facilitator.example"]' }, ['FACILITATORS']],
  ['loopback as somebody’s name', { FACILITATORS: '["http://127.0.0.1.evil.example"]' }, ['FACILITATORS']],
  ['a facilitator with a password', { FACILITATORS: '["https://user:pass@facilitator.example"]' }, ['FACILITATORS']],
  ['no facilitator', { FACILITATORS: '[]' }, ['FACILITATORS']],
  ['an unknown key of a facilitator', { FACILITATORS: '[{ url = "https://facilitator.example", timout = 3 }]' }, ['FACILITATORS', 'timout']],
  ['http to an origin elsewhere', { ORIGIN: '"http://origin.example"' }, ['ORIGIN']],
  ['an origin that is no URL', { ORIGIN: '"origin.example"' }, ['ORIGIN']],
  ['no origin', { ORIGIN: undefined }, ['ORIGIN']],
  ['an unknown DEFAULT', { DEFAULT: '"allow"' }, ['DEFAULT']],
  ['an unknown CHALLENGE_BODY', { CHALLENGE_BODY: '"v3"' }, ['CHALLENGE_BODY']],
  ['an asset that is not complete', { ASSETS: `[{ network = "${NETWORK}", address = "${USDC}" }]` }, ['ASSETS']],
];
test('edge402-check names each mistake with its path', async (t) => {
  for (const [name, change, words] of reported) {
    await t.test(name, async () => {
      const { status, output } = await check(toml({ ...SOUND, ...change }));
      assert.notEqual(status, 0, output);
      assert.doesNotMatch(output, /panicked/);
      for (const word of words) assert.ok(output.includes(word), `${word} is not in\n${output}`);
    });
  }
});

test('edge402-check names all mistakes at once', async () => {
  const { status, output } = await check(toml({
    ...SOUND, PAY_TO: `"${badChecksum}"`, NETWORKS: '["eip155:999999999"]', FACILITATORS: '["http://facilitator.example"]',
    ...routes('"GET /a" = "-1"', '"GET /b" = 0.5', '"GET /c/:x" = "$1"', '"GET /:y/d" = "$2"'),
  }));
  assert.notEqual(status, 0);
  for (const word of ['PAY_TO', 'NETWORKS', 'FACILITATORS', 'GET /a', 'GET /b', 'GET /c/:x', 'GET /:y/d']) {
    assert.ok(output.includes(word), `${word} is not in\n${output}`);
  }
});

test('edge402-check shows no private key, and no secret of the file', async () => {
  const key = 'ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
  for (const [change, name] of [[{ PAY_TO: `"0x${key}"` }, 'PAY_TO'], [{ PAY_TO: `"${key}"` }, 'PAY_TO'], [{ KEY_SECRET: `"${key}"` }, 'KEY_SECRET']]) {
    const { status, output } = await check(toml({ ...SOUND, ...change }));
    assert.equal(status, 1);
    assert.ok(output.includes(name) && !output.includes(key.slice(0, 16)), output);
  }
});

test('edge402-check lists warnings, and is content', async () => {
  const { status, output } = await check(toml({ ...SOUND, RPC: '{ "eip155:8453" = "https://mainnet.base.org" }' }));
  assert.equal(status, 0, output);
  assert.match(output, /\n1 warning\n[^]*eip155:8453/);
});

test('edge402-check asks for the object that claims are made in', async () => {
  const { status, output } = await check(toml(SOUND), '');
  assert.notEqual(status, 0);
  assert.ok(output.includes('PAYER'), output);
});

test('edge402-check says what is wrong with a file that it cannot read', async () => {
  const broken = await check('ROUTES = { "GET /a" = ');
  assert.notEqual(broken.status, 0);
  assert.doesNotMatch(broken.output, /panicked/);
  assert.ok(broken.output.length > 0);
});
