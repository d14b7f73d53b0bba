// Where the documents are: at a path that nobody has named the origin's own goes first; one that was asked for is ours; each
// can be moved and switched off. And the origin's own OpenAPI document, with our prices in it.

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { discoverOriginSchema } from '@agentcash/discovery';
import { Validator } from '@seriousme/openapi-schema-validator';
import { assertRefused, call, challengeOf, startStack, until } from './helpers.mjs';
import { sendJson, serve } from './stack/http.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const PATHS = [
  '/openapi.json', '/api/openapi.json', '/.well-known/x402', '/.well-known/x402-manifest.json', '/llms.txt',
  '/.well-known/api-catalog', '/api/v1', '/.well-known/mcp.json', '/.well-known/mcp/server-card.json',
];
const PRICED = { 'GET /weather/:city': { price: '$0.001', input: {} } };

/** An origin that answers by a table of paths, and counts what it is asked. */
async function startOrigin(answers) {
  const origin = { calls: [], answers };
  const server = await serve((request, response) => {
    const path = new URL(request.url, 'http://origin').pathname;
    origin.calls.push({ method: request.method, path, secret: request.headers['x-edge402-secret'] });
    const answer = origin.answers[`${request.method} ${path}`] ?? origin.answers[path] ?? origin.answers['*'];
    if (!answer) return sendJson(response, 404, { error: 'not here' });
    const { status = 200, type = 'application/json', body = {} } = answer;
    response.writeHead(status, { 'content-type': type }).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  return Object.assign(origin, { url: server.url, stop: server.stop });
}

const stops = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});
after(() => stack.stop());

async function start(answers, vars = {}, secrets = {}) {
  const origin = await startOrigin(answers);
  const worker = await startWorker({ vars: stack.vars({ ORIGIN: origin.url, ROUTES: PRICED, ...vars }), secrets });
  stops.push(() => worker.stop(), () => origin.stop());
  return { origin, worker, get: (path, options) => call(worker.url, path, options) };
}

const OWN = { from: 'origin' };
const BROWSER = { accept: 'text/html,*/*;q=0.8', 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36' };
const isOurs = (response) => response.status === 200 && !response.text.includes('"from":"origin"');

test('the origin has none of them: all are ours, and it is asked once for each', async () => {
  const { origin, get } = await start({}, {}, { ORIGIN_SECRET: 'a-secret-for-the-origin' });
  for (let round = 0; round < 3; round += 1) {
    for (const path of PATHS) assert.ok(isOurs(await get(path)), path);
  }
  for (const path of PATHS) {
    const asked = origin.calls.filter((one) => one.path === path);
    assert.equal(asked.length, 1, `${path} was asked for ${asked.length} times`);
    assert.equal(asked[0].secret, 'a-secret-for-the-origin');
  }
});

test('what the origin has of them is the origin\'s', async () => {
  const { get } = await start(Object.fromEntries(PATHS.map((path) => [path, { body: OWN }])));
  for (const path of PATHS) assert.deepEqual((await get(path)).json(), OWN, path);
});

test('a page for every path is no document, and neither is an answer to another method', async () => {
  for (const answer of [{ type: 'text/html', body: '<p>an application</p>' }, { status: 405, body: OWN }, { status: 410, body: OWN }]) {
    const { get } = await start({ '*': answer });
    for (const path of PATHS) assert.ok(isOurs(await get(path)), `${path} over ${JSON.stringify(answer)}`);
  }
});

test('a refusal that is no document hides none of ours from who shows no credentials; who does gets the origin\'s', async () => {
  for (const answer of [{ status: 401, type: 'text/plain', body: 'no' }, { status: 403, type: 'text/html', body: '<p>no' }, { status: 400, type: 'application/problem+json' }]) {
    const { origin, worker, get } = await start({ '*': answer });
    for (const path of PATHS.filter((path) => answer.type !== 'text/plain' || path !== '/llms.txt')) {
      assert.ok(isOurs(await get(path)), `${path} over ${JSON.stringify(answer)}`);
      for (const headers of [{ authorization: 'Bearer theirs' }, { cookie: 'session=1' }]) {
        assert.equal((await get(path, { headers })).status, answer.status, path);
      }
    }
    assert.ok((await challengeOf(worker.url, '/weather/x')).response.headers.link.includes('</openapi.json>'));
    assert.ok(origin.calls.length > 0);
  }
});

test('nothing leads to where the origin shows nobody a document', async () => {
  const closed = { status: 401, body: OWN };
  const { worker, get } = await start(
    { '/openapi.json': closed, '/llms.txt': { status: 500, body: OWN }, '/.well-known/mcp.json': closed, '/.well-known/x402': { body: OWN } },
    { DISCOVERY: { manifest: true } },
  );
  const { documents } = (await get('/.well-known/x402-manifest.json')).json();
  // The origin's own is one, too.
  assert.deepEqual(Object.keys(documents).sort(), ['api_catalog', 'index', 'manifest', 'mcp', 'openapi', 'server_card', 'x402']);
  assert.ok(documents.openapi.endsWith('/api/openapi.json'), 'at the path where it is ours');
  const wanted = '</.well-known/api-catalog>; rel="api-catalog"';
  assert.equal((await challengeOf(worker.url, '/weather/x')).response.headers.link, wanted);
  assert.equal((await get('/.well-known/x402-manifest.json')).headers.link, wanted);
  const [entry] = (await get('/.well-known/api-catalog')).json().linkset;
  assert.deepEqual([entry['service-desc'][0].href, entry['service-doc']], [documents.openapi, undefined]);
  assert.match(worker.logs(), /the origin answers 401 at \/openapi\.json[^\n]*openapi = true/);
});

test('what wants a login, and what an origin in trouble may have, stays the origin\'s', async () => {
  for (const status of [401, 403, 500]) {
    const { origin, get } = await start({ '*': { status, body: OWN } });
    for (const path of PATHS) {
      const response = await get(path);
      // In JSON that is no llms.txt.
      if (path === '/llms.txt' && status !== 500) assert.ok(isOurs(response));
      else assert.deepEqual([response.status, response.json()], [status, OWN], path);
    }
    if (status !== 500) continue;
    // Once it is known what it has, trouble changes nothing.
    origin.answers = {};
    for (const path of PATHS) assert.ok(isOurs(await get(path)), path);
    origin.answers = { '*': { status: 500, body: OWN } };
    for (const path of PATHS) assert.ok(isOurs(await get(path)), path);
  }
  const { origin, get } = await start({});
  await origin.stop();
  for (const path of PATHS) assertRefused(await get(path), 502, 'origin_unreachable');
});

test('a path that is asked for is ours whatever the origin has, moved or not; one that is off is the origin\'s', async () => {
  const { worker, get } = await start({ '*': { body: OWN } }, {
    DISCOVERY: { llms: '/about.txt', openapi: ['/openapi.json', '/docs/openapi.json'], x402: false, manifest: true, links: false, mcp: '/tools' },
  });
  for (const path of ['/about.txt', '/openapi.json', '/docs/openapi.json', '/.well-known/x402-manifest.json']) {
    assert.ok(isOurs(await get(path)), path);
    assertRefused(await get(path, { method: 'POST' }), 405, 'method_not_allowed');
  }
  for (const path of ['/llms.txt', '/api/openapi.json', '/.well-known/x402', '/api/v1', '/mcp']) {
    assert.deepEqual((await get(path)).json(), OWN, path);
  }
  const { documents } = (await get('/.well-known/x402-manifest.json')).json();
  assert.ok(documents.llms.endsWith('/about.txt') && documents.mcp.endsWith('/tools') && !documents.x402, JSON.stringify(documents));
  assert.equal((await challengeOf(worker.url, '/weather/x')).response.headers.link, undefined);
  const tools = await get('/tools', { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' });
  assert.equal(tools.json().result.tools.length, 1);
});

test('the page at the root is for who reads: what is sent there is still the API\'s', async () => {
  const { get } = await start({ '/': { body: OWN } }, { DISCOVERY: { landing: true } });
  for (const method of ['POST', 'PUT', 'OPTIONS']) assert.deepEqual((await get('/', { method })).json(), OWN, method);
  const kind = async (headers, method = 'GET') => (await get('/', { method, headers })).headers['content-type'];
  for (const method of ['GET', 'HEAD']) assert.match(await kind(BROWSER, method), /^text\/html/);
  const agent = BROWSER['user-agent'];
  for (const [headers, wanted] of [
    [{ accept: 'application/json', 'user-agent': agent }, 'application/json'], [{ accept: '*/*' }, 'application/json'], [{}, 'application/json'],
    [{ accept: '*/*', 'user-agent': agent }, 'text/html; charset=utf-8'], [{ accept: 'text/html' }, 'text/html; charset=utf-8'],
  ]) {
    assert.equal(await kind(headers), wanted, JSON.stringify(headers));
  }
  const read = await get('/', { headers: { accept: 'application/json' } });
  assert.deepEqual([read.json().resources.length, read.headers.vary, read.headers['cache-control']], [1, 'Accept, User-Agent', 'no-store']);
  assert.match(read.headers.link, /service-desc/);
  const priced = await start({ '/': { body: OWN } }, { DISCOVERY: { landing: true }, ROUTES: { 'POST /': '$0.3', ...PRICED } });
  assert.equal((await challengeOf(priced.worker.url, '/', { method: 'POST' })).required.accepts[0].amount, '300000');
  assert.match((await priced.get('/', { headers: BROWSER })).headers['content-type'], /^text\/html/);
  const asks = (method) => get('/', { method: 'OPTIONS', headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': method } });
  assert.deepEqual([(await asks('GET')).status, (await asks('POST')).text], [204, JSON.stringify(OWN)]);
});

test('what is switched off is named by no document', async () => {
  const { worker, get } = await start({}, { DISCOVERY: { mcp: false, llms: false } });
  const { documents } = (await get('/.well-known/x402-manifest.json')).json();
  assert.deepEqual(Object.keys(documents).sort(), ['api_catalog', 'index', 'manifest', 'openapi', 'x402']);
  for (const url of Object.values(documents)) assert.ok(isOurs(await get(url.slice(worker.url.replace(/\/$/, '').length))), url);
});

test('DISCOVERY = false leaves the origin everything, and a challenge without a word of more', async () => {
  const { worker, get } = await start({ '*': { body: OWN } }, { DISCOVERY: false });
  for (const path of [...PATHS, '/mcp', '/']) assert.deepEqual((await get(path)).json(), OWN, path);
  const { response } = await challengeOf(worker.url, '/weather/lisbon');
  assert.equal(response.headers.link, undefined);
});

test('where everything is priced, browsing is still free; what the origin has is priced, and what is named by name', async () => {
  const routes = { '/*': '$0.002', 'GET /llms.txt': '$0.7' };
  const { get } = await start({ '/api/v1': { body: OWN } }, { ROUTES: routes });
  for (const path of ['/openapi.json', '/.well-known/x402']) assert.ok(isOurs(await get(path)), path);
  for (const [path, amount] of [['/api/v1', '2000'], ['/llms.txt', '700000'], ['/anything', '2000']]) {
    const response = await get(path);
    assert.equal(response.status, 402, `${path}: ${response.text}`);
    assert.equal(response.json().accepts[0].maxAmountRequired, amount, path);
  }
  const shut = await start({ '*': { body: OWN } }, { DEFAULT: 'deny' });
  for (const path of PATHS) assert.ok(isOurs(await shut.get(path)), path);
  for (const path of ['/elsewhere', '/']) {
    const refused = await shut.get(path);
    assertRefused(refused, 404, 'no_such_route');
    assert.match(refused.headers.link, /<\/openapi\.json>; rel="service-desc"/, path);
  }
  assert.deepEqual(shut.origin.calls, [], 'what is denied never reaches the origin');
});

test('an MCP server of the origin\'s is not hidden: a refused GET shows that it is there, or an answered ping', async () => {
  const list = { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' };
  const gone = { status: 404 };
  const page = { type: 'text/html', body: '<p>' };
  const pong = { body: { jsonrpc: '2.0', id: 'edge402', result: {} } };
  const cases = [
    ...[{ status: 405, body: OWN }, { status: 400, body: OWN }, { type: 'text/event-stream', body: '' }].map((get) => [get, undefined, false]),
    // Express with `app.post('/mcp')` alone.
    ...[gone, page, { status: 410 }].map((get) => [get, pong, false]),
    [gone, { body: { jsonrpc: '2.0', id: null, error: { code: -32600, message: 'no session' } } }, false],
    [gone, { type: 'text/event-stream', body: 'event: message\n\n' }, false],
    ...[400, 401, 403, 406, 415, 500].map((status) => [gone, { status, body: OWN }, false]),
    // Nobody: not found, no such method, a page for everything, a server of files, and an echo.
    ...[gone, { status: 405 }, page, { status: 501 }, { body: { jsonrpc: '2.0', id: 'edge402', method: 'ping' } }, { body: [] }].map((post) => [gone, post, true]),
    [page, page, true],
  ];
  for (const [asked, posted, ours] of cases) {
    const { origin, get } = await start({ '/mcp': asked, 'POST /mcp': posted }, {}, { ORIGIN_SECRET: 'a-secret-for-the-origin' });
    const response = await get('/mcp', list);
    assert.equal(/"tools":\[\{/.test(response.text), ours, JSON.stringify([asked, posted]));
    const posts = origin.calls.filter(({ method }) => method === 'POST');
    assert.ok(posts.every(({ secret }) => secret === 'a-secret-for-the-origin'));
    if (!ours) continue;
    assert.equal(posts.length, posted ? 1 : 0);
    await get('/mcp', list);
    assert.equal(origin.calls.filter(({ method }) => method === 'POST').length, posts.length, 'it is asked once');
  }
});

test('OPENAPI: the origin\'s own document is fetched once, priced, completed and led through the gateway', async () => {
  const theirs = {
    openapi: '3.0.3', info: { title: 'Theirs', version: '7' },
    servers: [{ url: 'https://internal.example/v2' }],
    paths: {
      '/weather/{city}': {
        servers: [{ url: 'https://internal.example' }],
        parameters: [{ name: 'city', in: 'path', required: true, schema: { type: 'string', example: 'lisbon' } }],
        get: { summary: 'Weather', responses: { 200: { description: 'ok' } } },
        post: { summary: 'Free', servers: [{ url: 'https://internal.example' }], responses: { 200: { description: 'ok' } } },
      },
      '/things/{id}': { get: { summary: 'A thing', parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }], responses: { 200: { description: 'ok' } } } },
    },
    components: { schemas: { Theirs: { type: 'object' }, Problem: { type: 'string' } } },
  };
  const input = {
    query: { n: { type: 'integer', exclusiveMinimum: 0, example: 1 }, kind: { const: 'a' }, maybe: { type: ['string', 'null'] } },
    body: { type: 'object', properties: { list: { type: 'array', prefixItems: [{}] } } },
  };
  const routes = {
    'GET /v2/weather/*': '$0.001', 'GET /v2/weather/lisbon': 'free', 'GET /v2/things/:x': '$0.2', 'GET /v2/things/dear': '$9',
    'GET /v2/hidden': { price: '$0.3', input, output: { schema: { type: 'object', properties: { any: true } } } },
    'POST /V1/old/:x': '$0.4',
  };
  const { origin, worker, get } = await start({ '/internal/spec.json': { body: theirs } }, {
    ROUTES: routes, OPENAPI: 'origin:/internal/spec.json', SERVICE: { ownership_proofs: ['p'] },
    PACKAGES: { small: { price: '$1', credits: 500 } },
  }, { ORIGIN_SECRET: 'a-secret-for-the-origin', KEY_SECRET: 'a-secret-of-32-characters-or-so-' });
  const document = (await get('/openapi.json')).json();
  assert.deepEqual((await get('/api/openapi.json')).json(), document);
  assert.equal(origin.calls.filter(({ path }) => path === '/internal/spec.json').length, 1);
  // As what it says it is.
  assert.equal(document.openapi, '3.0.3');
  const result = await new Validator().validate(structuredClone(document));
  assert.ok(result.valid, JSON.stringify(result.errors, null, 1));
  assert.equal(document.info.title, 'Theirs');
  const base = worker.url.replace(/\/$/, '');
  assert.deepEqual(document.servers, [{ url: `${base}/v2` }]);
  assert.doesNotMatch(JSON.stringify(document), /internal\.example|a-secret/);
  assert.deepEqual(document['x-discovery'], { ownershipProofs: ['p'] });
  assert.deepEqual(document.components.schemas.Problem, { type: 'string' }, 'theirs stays theirs');
  assert.ok(document.components.schemas.Theirs && document.components.responses.Edge402PaymentRequired);
  const amounts = {};
  const servers = {};
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (operation['x-payment-info']) amounts[`${method} ${path}`] = operation['x-payment-info'].price.amount;
      if (operation.servers) servers[path] = operation.servers[0].url;
    }
  }
  assert.deepEqual(amounts, {
    'get /weather/{city}': '0.001', 'get /things/{id}': '0.20', 'get /hidden': '0.30', 'get /things/dear': '9',
    'post /V1/old/{x}': '0.40', 'post /api/buy-credits/small': '1',
  });
  const found = await discoverOriginSchema({ target: base });
  assert.equal(found.endpoints.filter(({ authMode }) => authMode === 'paid').length, Object.keys(amounts).length, JSON.stringify(found));
  // What is not below their server is below ours.
  assert.deepEqual(servers, { '/V1/old/{x}': base, '/api/buy-credits/small': base, '/api/credits': base });
  assert.equal((await challengeOf(worker.url, '/v1/old/7', { method: 'POST' })).required.accepts[0].amount, '400000');
  for (const [path, amount] of [['/v2/weather/porto', '1000'], ['/v2/things/id', '200000'], ['/v2/hidden', '300000'], ['/v2/things/dear', '9000000']]) {
    assert.equal((await challengeOf(worker.url, path)).required.accepts[0].amount, amount);
  }
});

test('OPENAPI takes over the path that it is for; at the other the origin\'s own stays, until that is asked for', async () => {
  const theirs = { openapi: '3.1.0', info: { title: 'Theirs', version: '7' }, paths: {} };
  const answers = { '/openapi.json': { body: theirs }, '/api/openapi.json': { body: OWN } };
  for (const [vars, mine] of [
    [{ OPENAPI: 'origin:/openapi.json' }, [true, false]],
    [{ OPENAPI: 'origin:/openapi.json', DISCOVERY: { openapi: true } }, [true, true]],
  ]) {
    const { get } = await start(answers, vars);
    for (const [index, path] of ['/openapi.json', '/api/openapi.json'].entries()) {
      assert.equal('x-discovery' in (await get(path)).json(), mine[index], `${path} by ${JSON.stringify(vars)}`);
    }
  }
});

test('an OPENAPI that is not there, not JSON, or not OpenAPI is said in the log, and ours is served', async () => {
  for (const answer of [undefined, { body: 'not json' }, { body: { swagger: '2.0' } }, { body: { openapi: '3.1.0', info: [], paths: 7 } }, { status: 500, body: OWN }]) {
    const { worker, get } = await start(answer ? { '/spec': answer } : {}, { OPENAPI: 'origin:/spec' });
    const document = (await get('/openapi.json')).json();
    assert.ok(document.paths['/weather/{city}'].get['x-payment-info'], JSON.stringify(answer));
    await until('a line in the log', () => worker.logs().includes('no OpenAPI 3 document'));
  }
});
