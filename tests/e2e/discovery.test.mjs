// Found by agents: every document is walked both ways. What it says is what the live 402 says, and whatever is priced is in
// every one of them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  checkEndpointSchema, discoverOriginSchema, getWarningsFor402Body, getWarningsForL2, getWarningsForL3, validatePaymentRequiredDetailed,
} from '@agentcash/discovery';
import { Validator } from '@seriousme/openapi-schema-validator';
import { bazaar } from './discovered.mjs';
import { call, challengeOf, decode, effectsOf, NETWORK, startStack } from './helpers.mjs';
import { payV1, payV2 } from './stack/client.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const HOSTILE = '</script><img src=x onerror=alert(1)> & "quoted" `ticks` [link](javascript:alert(1))';
const CITY = { type: 'string', description: "A city's name", example: 'lisbon' };
const ROUTES = {
  'GET /weather/:city': {
    price: '$0.001', name: 'weather', description: 'The weather of a city.', mime_type: 'application/json',
    input: { path: { city: CITY }, query: { units: { type: 'string', enum: ['c', 'f'] }, days: 'How many' }, required: ['units'] },
    output: { example: { city: 'lisbon', celsius: 21 }, schema: { type: 'object', properties: { celsius: { type: 'number' } } } },
  },
  // Within the one above, and dearer: its path is nobody's example.
  'GET /weather/city': '$0.5',
  'GET /weather/:city/history/*': { price: '$0.0021', description: HOSTILE },
  'POST /echo': {
    price: '$0.01', settle: 'before', description: 'Says it again.',
    input: { body: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] }, headers: { 'X-Loud': 'Yes or no' } },
  },
  '/any/*': { price: '$0.003', credits: 'none', input: {} },
  'GET /any/free': 'free',
  'DELETE /things/:id': { price: '$0.004', input: { path: { id: { type: 'integer', minimum: 7 } } } },
  'GET /things/:other': { price: '$0.005', payment_identifier: 'required' },
  '/echo/*': { price: '$0.006', input: { body: { type: 'string' }, body_type: 'text' } },
  '/free/*': 'free',
  // All its single segments are another's.
  'GET /files/*': '$0.05',
  'GET /files/:name': '$0.007',
  // Paid whatever comes of it, and nobody has said what an id is; and one of which it is said.
  'GET /reports/:id': { price: '$0.008', settle: 'before' },
  'GET /papers/:id': { price: '$0.009', settle: 'before', input: { path: { id: { type: 'string', example: 'p7' } } } },
};
const PACKAGES = { small: { price: '$1', credits: 500 }, 'very-large': { price: '$7.5', credits: 5000 } };
const SERVICE = {
  name: 'Weather', description: 'Weather, now and then.', tags: ['weather', 'data'], contact: 'api@example.com',
  icon_url: 'https://example.com/icon.png', ownership_proofs: ['0xproof'],
};
const vars = stack.vars({ ROUTES, PACKAGES, SERVICE });
const secrets = { KEY_SECRET: 'a-secret-of-32-characters-or-so-' };
const worker = await startWorker({ vars, secrets });
const base = worker.url.replace(/\/$/, '');
after(async () => {
  await worker.stop();
  await stack.stop();
});

const get = async (path) => {
  const response = await call(base, path);
  assert.equal(response.status, 200, `${path}: ${response.text}`);
  assert.equal(response.headers['access-control-allow-origin'], '*', path);
  return response;
};
const json = async (path) => (await get(path)).json();

/** What is priced, by the configuration alone: pattern or path, price in atoms. */
const PRICED = [
  ...Object.entries(ROUTES).map(([pattern, terms]) => [pattern, terms.price ?? terms]).filter(([, price]) => price !== 'free'),
  ...Object.entries(PACKAGES).map(([name, { price }]) => [`POST /api/buy-credits/${name}`, price]),
];
const atoms = (price) => {
  const [whole, fraction = ''] = String(price).replace('$', '').split('.');
  return BigInt(whole + fraction.padEnd(6, '0'));
};
/** A path that is documented with parameters, as one that can be asked; by the example of its document where it has one. */
const filled = (path, examples = {}) => path.replaceAll(/\{(\w+)\}/g, (_, name) => examples[name] ?? `a-${name}`);

/** The live 402 of an operation. */
async function live(method, url) {
  const target = url.startsWith(base) ? url.slice(base.length) : url;
  const { required, body } = await challengeOf(base, target, { method });
  return { required, body };
}

async function assertSame(method, url, { amount, accepts }) {
  const { required } = await live(method, url);
  for (const accepted of required.accepts) assert.equal(BigInt(accepted.amount), atoms(amount), `${method} ${url}`);
  if (accepts) assert.deepEqual(required.accepts, accepts, `${method} ${url}`);
}

/** Every priced route is among these (method, path with or without parameters, amount), and nothing else is. */
function assertAll(found, what) {
  let left = found.map(({ method, path, amount }) => ({ method, path: path.split('?')[0], amount: atoms(amount) }));
  for (const [written, price] of PRICED) {
    const [method, pattern] = written.includes(' ') ? written.split(' ') : [undefined, written];
    const steps = pattern.split('/').map((step) => (step === '*' ? '.+' : /^:/.test(step) ? '[^/]+' : step));
    const shape = new RegExp(`^${steps.join('/')}$`);
    const at = left.findIndex((entry) =>
      (!method || entry.method === undefined || entry.method === method) && shape.test(entry.path) && entry.amount === atoms(price));
    assert.ok(at >= 0, `${written} at ${price} is not in ${what}: ${JSON.stringify(found)}`);
    // One without a method may be there by each: every price is another.
    if (method) left.splice(at, 1);
    else left = left.filter(({ amount }) => amount !== atoms(price));
  }
  assert.deepEqual(left, [], `${what} names what is not priced`);
}

test('/openapi.json validates, is at both paths, and says what the live 402 says, both ways', async () => {
  const document = await json('/openapi.json');
  assert.deepEqual(await json('/api/openapi.json'), document);
  const result = await new Validator().validate(structuredClone(document));
  assert.ok(result.valid, JSON.stringify(result.errors, null, 1));
  assert.equal(document.info.title, 'Weather');
  assert.equal(document.info.contact.email, 'api@example.com');
  assert.deepEqual(document['x-discovery'], { ownershipProofs: ['0xproof'] });
  const found = [];
  const ids = new Set();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const info = operation['x-payment-info'];
      ids.add(operation.operationId);
      if (!info) {
        assert.equal(`${method} ${path}`, 'get /api/credits', 'only the balance is free');
        continue;
      }
      assert.equal(info.price.mode, 'fixed');
      assert.equal(info.price.currency, 'USD');
      assert.ok(operation.responses['402'] && operation.security, path);
      assert.ok(Array.isArray(operation.security));
      const upper = method.toUpperCase();
      await assertSame(upper, filled(path), { amount: info.price.amount, accepts: info.protocols[0].x402.accepts });
      found.push({ method: upper, path: filled(path), amount: info.price.amount });
    }
  }
  assertAll(found, 'OpenAPI');
  assert.equal(ids.size, found.length + 1, 'every operation has an id of its own');
  for (const method of ['get', 'post', 'put', 'patch', 'delete']) assert.ok(document.paths['/any/{path}'][method], method);
  assert.ok(document.paths['/files/{path_1}/{path}'].get && document.paths['/files/{name}'].get);
  // Two names for one path would be no document.
  assert.ok(document.paths['/things/{id}'].get && document.paths['/things/{id}'].delete);
  assert.equal(document.paths['/things/{id}'].get.parameters[0].name, 'id');
});

test('the manifest, /.well-known/x402, the index and the API catalogue say what the live 402 says, both ways', async () => {
  const manifest = await json('/.well-known/x402-manifest.json');
  assert.deepEqual([manifest.version, manifest.x402Version], [1, 2]);
  assert.equal(manifest.service.name, 'Weather');
  const offers = [...manifest.resources, ...manifest.packages];
  for (const { method, sample, url, price, accepts } of offers) await assertSame(method, sample ?? filled(url), { amount: price.amount, accepts });
  assertAll(offers.map(({ method, sample, url, price }) => ({ method, path: filled(sample ?? url).slice(base.length), amount: price.amount })), 'the manifest');
  assert.equal(manifest.resources.find(({ path }) => path === '/reports/{id}').sample, undefined, 'nothing is made up that is paid for whatever comes of it');
  assert.equal(manifest.resources.find(({ path }) => path === '/papers/{id}').sample, `${base}/papers/p7`);
  // What the samples are made of is what a call takes.
  const weather = manifest.resources.find(({ id }) => id === 'weather');
  assert.equal(weather.sample, `${base}/weather/lisbon?units=c`);
  assert.deepEqual(weather.input.required, ['city', 'units']);
  assert.deepEqual(weather.output.example, { city: 'lisbon', celsius: 21 });
  assert.equal(manifest.resources.find(({ path }) => path === '/things/{other}').paymentIdentifier, 'required');
  const any = manifest.resources.find(({ path }) => path === '/any/{path}');
  assert.deepEqual([any.sampleMadeUp, weather.sampleMadeUp], [true, undefined]);
  assert.deepEqual([any.credits, any.methods], [undefined, ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']]);
  for (const method of any.methods) await assertSame(method, any.sample, any.price);
  assert.deepEqual(weather.in, { city: 'path', units: 'query', days: 'query' });
  const echo = manifest.resources.find(({ path }) => path === '/echo');
  assert.deepEqual([echo.in, echo.bodyType], [{ body: 'body', 'X-Loud': 'header' }, 'application/json']);
  for (const url of Object.values(manifest.documents)) {
    if (!url.endsWith('/mcp')) await get(url.slice(base.length));
  }

  const x402 = await json('/.well-known/x402');
  assert.deepEqual([x402.version, x402.x402Version, x402.canonical, x402.openapi], [1, 2, base, `${base}/openapi.json`]);
  assert.deepEqual(x402.ownershipProofs, ['0xproof']);
  assert.deepEqual(x402.assets.map(({ network, symbol }) => [network, symbol]), [[NETWORK, 'USDC']]);
  assert.deepEqual(x402.resources, x402.items.map(({ url }) => url));
  for (const { method, url, price } of x402.items) await assertSame(method, url, price);
  // What can be called as it is; a path parameter without an example makes a template.
  assert.deepEqual(x402.templates.filter(({ url }) => url.includes('/reports/')), [
    { method: 'GET', url: `${base}/reports/{id}`, price: { currency: 'USD', amount: '0.008' } },
  ]);
  for (const { url } of x402.templates) assert.match(url, /\{\w+\}/);
  assert.deepEqual(x402.resources.toSorted(), ['/weather/lisbon?units=c', '/weather/city', '/echo', '/papers/p7', '/api/buy-credits/small', '/api/buy-credits/very-large']
    .map((path) => base + path).toSorted());
  assert.ok(x402.resources.includes(`${base}/papers/p7`));
  const told = [...x402.items, ...x402.templates];
  assertAll(told.map(({ method, url, price }) => ({ method, path: filled(url).slice(base.length), amount: price.amount })), '/.well-known/x402');

  const index = await json('/api/v1');
  const lines = [...index.resources, ...index.packages];
  assert.deepEqual([index.payment.networks, index.payment.assets], [[NETWORK], x402.assets]);
  for (const { method, path, price } of lines) await assertSame(method, filled(path), price);
  assertAll(lines.map(({ method, path, price }) => ({ method, path: filled(path), amount: price.amount })), 'the index');

  const response = await get('/.well-known/api-catalog');
  assert.match(response.headers['content-type'], /^application\/linkset\+json/);
  const [entry] = response.json().linkset;
  assert.deepEqual(entry['service-desc'], [{ href: `${base}/openapi.json`, type: 'application/vnd.oai.openapi+json' }]);
  for (const { href, method, price } of entry.item) await assertSame(method[0], href, { amount: price[0] });
  assert.deepEqual(entry.item.find(({ href }) => href.includes('/reports/')).template, [`${base}/reports/{id}`]);
  assert.equal(entry.item.find(({ href }) => href.includes('/papers/')).template, undefined);
  assertAll(entry.item.map(({ href, method, price }) => ({ method: method[0], path: href.slice(base.length), amount: price[0] })), 'the catalogue');
});

test('/llms.txt names every price and what is written in it stays in its line', async () => {
  const { text, headers } = await get('/llms.txt');
  assert.match(headers['content-type'], /^text\/plain/);
  const lines = [...text.matchAll(/^- \[(\w+) (\S+)\]\(([^)]+)\): \$(\d+(?:\.\d+)?)/gm)];
  for (const [, method, path, url, amount] of lines) {
    assert.equal(url, base + path);
    await assertSame(method, filled(path), { amount });
  }
  assertAll(lines.map(([, method, path, , amount]) => ({ method, path: filled(path), amount })), 'llms.txt');
  assert.equal(text.split('\n').filter((line) => line.includes(HOSTILE)).length, 1);
  assert.match(text, /^In dollars, paid in USDC on eip155:84532 \(base-sepolia, test money\)\.$/m);
});

test('MCP: both well-known documents point at the server, and its tools are the described routes at their prices', async () => {
  const [mcp, card] = [await json('/.well-known/mcp.json'), await json('/.well-known/mcp/server-card.json')];
  assert.equal(mcp.endpoints[0].url, `${base}/mcp`);
  assert.equal(card.transport.endpoint, '/mcp');
  const response = await call(base, '/mcp', {
    method: 'POST', headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  });
  const { tools } = response.json().result;
  assert.deepEqual(mcp.tools, tools);
  assert.deepEqual(card.tools, tools);
  const described = Object.entries(ROUTES).filter(([, { input }]) => input);
  assert.equal(tools.length, described.length);
  for (const tool of tools) {
    const paid = await call(base, '/mcp', {
      method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: tool.name, arguments: {} } }),
    });
    const { accepts } = paid.json().result.structuredContent;
    assert.equal(BigInt(accepts[0].amount), atoms(tool._meta['x402/price'].amount), tool.name);
    const [asset] = tool._meta['x402/assets'];
    assert.deepEqual([asset.network, asset.asset], [NETWORK, accepts[0].asset], tool.name);
  }
});

test('Link headers lead from a challenge and from every document to the others', async () => {
  const { response } = await challengeOf(base, '/weather/lisbon');
  const wanted = '</openapi.json>; rel="service-desc", </.well-known/api-catalog>; rel="api-catalog", </llms.txt>; rel="describedby"';
  assert.equal(response.headers.link, wanted);
  assert.equal((await get('/llms.txt')).headers.link, wanted);
});

test('the bazaar extension validates against its own schema, and a catalogue can be made of what was settled', async () => {
  for (const [method, target, wanted] of [
    ['GET', '/weather/porto', { template: '/weather/:city', input: 'queryParams' }],
    ['POST', '/echo', { input: 'body' }],
    ['DELETE', '/things/9', { template: '/things/:id', input: 'pathParams' }],
    ['PUT', '/echo/x', { template: '/echo/:path', input: 'body' }],
    ['PATCH', '/any/x', { template: '/any/:path' }],
    ['POST', '/api/buy-credits/small', { input: 'queryParams' }],
  ]) {
    const { required, body } = await live(method, target);
    const extension = required.extensions.bazaar;
    assert.deepEqual(bazaar.validateDiscoveryExtension(extension), { valid: true }, target);
    assert.deepEqual(bazaar.validateDiscoveryExtensionSpec(extension), { valid: true }, target);
    assert.equal(extension.info.input.method, method);
    assert.equal(extension.routeTemplate, wanted.template, target);
    if (wanted.template) assert.ok(bazaar.isValidRouteTemplate(extension.routeTemplate));
    if (wanted.input) assert.ok(wanted.input in extension.info.input, target);
    assert.equal(body.accepts[0].outputSchema.input.method, method);
    const payload = { x402Version: 2, resource: required.resource, accepted: required.accepts[0], payload: {}, extensions: { bazaar: extension } };
    const found = bazaar.extractDiscoveryInfo(payload, required.accepts[0]);
    assert.equal(found.resourceUrl, base + (wanted.template ?? target));
    assert.equal(found.serviceName, 'Weather');
    const first = bazaar.extractDiscoveryInfo({ x402Version: 1 }, body.accepts[0]);
    assert.equal(first.discoveryInfo.input.method, method);
  }
  // A catalogue probes by GET: it hears what a route takes that leaves the method open.
  const probed = await live('GET', '/echo/x');
  const extension = probed.required.extensions.bazaar;
  assert.deepEqual([extension.info.input.method, extension.info.input.bodyType, probed.body.accepts[0].outputSchema.input.method], ['POST', 'text', 'POST']);
  assert.deepEqual(bazaar.validateDiscoveryExtension(extension), { valid: true });
  assert.deepEqual(bazaar.validateDiscoveryExtensionSpec(extension), { valid: true });
  const { required } = await live('GET', '/things/x');
  assert.equal(required.extensions.bazaar, undefined, 'what is not described is not in the bazaar');
});

test('the official clients of both versions pay a described route, and the facilitator hears what it takes', async () => {
  for (const [pay, version] of [[payV2, 2], [payV1, 1]]) {
    const buyer = await stack.buyer();
    stack.proxy.reset();
    const { result, earned } = await effectsOf(stack, () => pay(`${base}/weather/lisbon?units=c`, buyer));
    assert.equal(result.status, 200);
    assert.equal(earned, 1000n);
    const { body } = stack.proxy.calls.find(({ path }) => path === '/settle');
    const found = bazaar.extractDiscoveryInfo(body.paymentPayload, body.paymentRequirements);
    assert.equal(found.x402Version, version);
    assert.equal(found.discoveryInfo.input.method, 'GET');
    assert.equal(found.description, 'The weather of a city.');
    // The host that the client used, as it was typed.
    assert.ok(found.resourceUrl.startsWith(base), found.resourceUrl);
  }
});

test("@agentcash/discovery finds every route, and reports the described ones as invocable", async () => {
  const found = await discoverOriginSchema({ target: base });
  assert.equal(found.found, true, JSON.stringify(found));
  const { paths } = await json('/openapi.json');
  const priced = Object.values(paths).flatMap(Object.values).filter((operation) => operation['x-payment-info']);
  assert.equal(found.endpoints.filter(({ authMode }) => authMode === 'paid').length, priced.length);
  const warnings = getWarningsForL2({ routes: found.endpoints.map((endpoint) => ({ ...endpoint })), source: 'openapi' });
  assert.deepEqual(warnings.filter(({ severity }) => severity !== 'info'), []);
  for (const [path, method, target] of [
    ['/weather/{city}', 'GET', '/weather/lisbon?units=c'], ['/echo', 'POST', '/echo'], ['/things/{id}', 'DELETE', '/things/9'],
    ['/any/{path}', 'GET', '/any/x'],
    ['/api/buy-credits/small', 'POST', '/api/buy-credits/small'],
  ]) {
    const by = async (options) => {
      const checked = await checkEndpointSchema(options);
      assert.equal(checked.found, true, `${path}: ${checked.cause}`);
      return checked.advisories.find((advisory) => advisory.method === method);
    };
    const documented = await by({ url: base + path });
    assert.deepEqual([documented.source, documented.authMode], ['openapi', 'paid'], path);
    assert.ok(documented.inputSchema, `no input schema for ${path}`);
    assert.deepEqual(getWarningsForL3(documented), [], path);
    // Its probe calls whatever offers a sign-in "siwx", be it for sale or not; what it is sold for it reads all the same.
    const probed = await by({ url: base + target, probe: true });
    assert.equal(probed.paymentOptions[0].protocol, 'x402', target);
    assert.ok(probed.inputSchema, `the live 402 of ${target} has no input schema`);
    assert.deepEqual(getWarningsForL3(probed).filter(({ severity }) => severity === 'error'), [], target);
  }
  const { required, body } = await live('GET', '/weather/lisbon');
  for (const payload of [required, body]) {
    const validated = validatePaymentRequiredDetailed(payload);
    assert.equal(validated.valid, true, JSON.stringify(validated, null, 1));
  }
  assert.deepEqual(getWarningsFor402Body(body).filter(({ severity }) => severity === 'error'), []);
});

test('browsing costs nothing: no document asks the facilitator or moves money, and none is kept from a HEAD', async () => {
  await effectsOf(stack, async () => {
    for (const path of ['/openapi.json', '/llms.txt', '/.well-known/x402', '/.well-known/x402-manifest.json', '/api/v1']) {
      await get(path);
      const head = await call(base, path, { method: 'HEAD' });
      assert.deepEqual([head.status, head.text], [200, '']);
      const preflight = await call(base, path, { method: 'OPTIONS', headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': 'GET' } });
      assert.equal(preflight.status, 204);
    }
  }).then(({ calls, earned }) => assert.deepEqual([calls.verify, calls.settle, earned], [0, 0, 0n]));
  assert.ok(decode((await call(base, '/weather/lisbon')).headers['payment-required']));
});
