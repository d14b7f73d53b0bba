// A priced URL opened in a real browser: what it says, and that a person's wallet pays through it once, whatever gets lost.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { call, challengeOf, decode, encode, NETWORK, startStack, until, USDC } from './helpers.mjs';
import { assertAccessible, assertSelfContained, fits, openPage as openQuietPage, shoot, text } from './pages.mjs';
import { callsAbout, faultsByPayer } from './payers.mjs';
import { startBrowser } from './stack/browser.mjs';
import { serve } from './stack/http.mjs';
import { freshDirectory, stopEverything } from './stack/processes.mjs';
import { injectWallet } from './stack/wallet.mjs';
import { startWorker } from './stack/worker.mjs';

const PRICE = 1000n;
const OTHER = '0x857b06519E91e3A54538791bDbb0E22373e36b66';
const HOSTILE = '</script><img src=x onerror=alert(1)><!-- {{offer}} & " \' \u2028';
const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8', 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64)' };
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
const BINARY = randomBytes(3000);
const HTML = '<!doctype html><script>document.title = "run"</script><h1 id="smuggled">celsius</h1>';

after(stopEverything);
// First: without a browser nothing else here is worth its start.
const browser = await startBrowser();
const stack = await startStack();
const { chain, proxy } = stack;
const faults = faultsByPayer(proxy);

/** What a person may be answered with, by the last segment of the path. */
const ANSWERS = {
  image: [200, 'image/png', PNG],
  html: [200, 'text/html; charset=utf-8', HTML],
  binary: [200, 'application/octet-stream', BINARY],
  empty: [200, 'text/plain', ''],
  latin: [200, 'text/plain; charset=iso-8859-1', Buffer.from('caf\xe9 celsius', 'latin1')],
  // To other terms: a redirect to the same ones is not charged.
  moved: [302, 'text/plain', ''],
  missing: [404, 'application/json', '{"error":"no such city"}'],
};
const served = [];
let gate;
const api = await serve(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://origin');
  served.push({ url: request.url, headers: request.headers });
  await gate?.(request.url);
  const [status, type, body] = ANSWERS[pathname.split('/').at(-1)] ?? [200, 'application/json', '{"city":"lisbon","celsius":21}'];
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...(status === 302 && { location: '/before/lisbon' }) });
  response.end(body);
});
const vars = (more) => stack.vars({
  ORIGIN: api.url,
  ROUTES: {
    '/weather/*': { price: '$0.001', description: 'The weather in a city, now.', mime_type: 'application/json', timeout_seconds: 5 },
    'GET /before/*': { price: '$0.001', settle: 'before' },
    'GET /later/*': { price: '$0.001', settle: 'deferred', max_exposure: '$0.01' },
    'GET /hostile/*': { price: '$0.001', description: HOSTILE },
    'GET /dear': { price: '$0.4', credits: 2 },
    'GET /fair': { price: '$0.4', credits: 1 },
    'GET /others': { price: '$0.4', credits: 2, pay_to: OTHER },
  },
  ...more,
});
const worker = await startWorker({
  vars: vars({ PACKAGES: { small: { price: '$1', credits: 5 }, tiny: { price: '$0.2', credits: 1 } } }),
  secrets: { KEY_SECRET: 'a-secret-of-32-characters-or-so-' },
});
const origin = new URL(worker.url).origin;

const SIGN = 'eth_signTypedData_v4';
const transfersOf = (buyer) => chain.transfers({ from: buyer.address, to: stack.seller });
const button = (page, name) => page.getByRole('button', { name, exact: true });
const payButton = (page, price = '$0.001', wallet = 'Test Wallet') => button(page, `Pay ${price} with ${wallet}`);
const problem = (page, title) => page.locator('#problem').getByRole('heading', { name: title }).waitFor();
const answered = (page) => page.locator('#answer').waitFor();
/** What is kept and stands in the way of another payment: what only has an answer to show again does not. */
const storage = (page) => page.evaluate(() => Object.keys(sessionStorage).filter((name) => !JSON.parse(sessionStorage[name]).until));
/** Where on the screen it is, all of it. */
const isOnScreen = (locator) => locator.evaluate((node) => {
  const { top, bottom } = node.getBoundingClientRect();
  return bottom > top && top > -1 && bottom < innerHeight + 1;
});

/** A buyer with a wallet, before a priced URL. */
async function visit(path, { amount = 1_500_000n, wallet: options, without = false, ...more } = {}) {
  const buyer = await stack.buyer(amount);
  const page = await openQuietPage(browser, origin, more);
  const wallet = without ? undefined : await injectWallet(page, { account: buyer, chain, ...options });
  const response = await page.goto(origin + path);
  await page.locator('#aside').waitFor();
  return { buyer, page, wallet, response };
}

/** The payments that a page sends, as they are on the wire. */
function watched(page) {
  const sent = [];
  page.on('request', (request) => {
    const header = request.headers()['payment-signature'];
    if (header) sent.push(header);
  });
  return sent;
}

/** One signature, one transfer of the price, and nothing left in the browser that stands in the way. */
async function assertPaidOnce({ buyer, page, wallet }, price = PRICE) {
  assert.equal(wallet.count(SIGN), 1, 'signed more than once');
  assert.deepEqual((await transfersOf(buyer)).map(({ value }) => value), [price]);
  assert.deepEqual(await storage(page), []);
}

test('a person opens the URL, connects, pays, and sees the answer', async () => {
  const visitor = await visit('/weather/lisbon?units=c');
  const { buyer, page, wallet, response } = visitor;
  const sent = watched(page);
  const before = await chain.balanceOf(stack.seller);
  assert.equal(response.status(), 402);
  assert.equal(await text(page, '#price'), '$0.001');
  assert.equal(await text(page, '#description'), 'The weather in a city, now.');
  assert.equal(await text(page, '#request'), 'GET /weather/lisbon?units=c');
  assert.equal(await text(page, '#network'), 'Base Sepolia, in USDC');
  assert.equal(await text(page, '#payee'), stack.seller);
  assert.equal(await text(page, '#kind'), 'test money');
  assert.equal(wallet.calls.length, 0, 'the wallet was asked before anybody wanted to pay');
  await assertAccessible(page, 'the fresh page');
  await shoot(page, 'paywall');

  let sign;
  wallet.hold = (method) => (method === SIGN ? new Promise((done) => (sign = done)) : undefined);
  await payButton(page).click();
  await page.getByText(`The wallet asks you to sign 0.001 USDC to ${stack.seller}.`).waitFor();
  await until('the wallet to be asked', () => sign);
  await assertAccessible(page, 'signing');
  wallet.hold = undefined;
  sign();
  await answered(page);
  assert.deepEqual(decode(sent[0]).accepted, decode((await response.allHeaders())['payment-required']).accepts[0]);
  assert.equal(await text(page, '#text'), JSON.stringify({ city: 'lisbon', celsius: 21 }, null, 2));
  assert.deepEqual(wallet.calls.map(({ method }) => method), ['eth_requestAccounts', 'eth_chainId', 'eth_call', SIGN]);
  await assertPaidOnce(visitor);
  const [{ transactionHash }] = await transfersOf(buyer);
  assert.equal(await chain.balanceOf(stack.seller), before + PRICE);
  const link = page.locator('#facts a');
  assert.equal(await link.getAttribute('href'), `https://sepolia.basescan.org/tx/${transactionHash}`);
  assert.match(await link.getAttribute('rel'), /noreferrer/);
  assert.match(await text(page, '#facts'), /Paid0\.001 USDC/);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'h-answer');
  await assertAccessible(page, 'the answer');
  await shoot(page, 'paywall-answer');

  // What was signed is what the standard's own client signs.
  const [from, typed] = wallet.calls.at(-1).params;
  const { domain, primaryType, message } = JSON.parse(typed);
  assert.equal(from, buyer.address.toLowerCase());
  assert.deepEqual(domain, { name: 'USDC', version: '2', chainId: 84532, verifyingContract: USDC });
  assert.equal(primaryType, 'TransferWithAuthorization');
  const { nonce, validBefore, ...fixed } = message;
  assert.deepEqual(fixed, { from, to: stack.seller, value: '1000', validAfter: '0' });
  assert.match(nonce, /^0x[0-9a-f]{64}$/);
  assert.match(validBefore, /^\d{10}$/);
  // The API was asked once, for just this, as a program asks.
  const asked = served.filter(({ headers }) => headers['x-edge402-payer'] === buyer.address);
  assert.deepEqual(asked.map(({ url, headers }) => [url, headers.accept]), [['/weather/lisbon?units=c', '*/*']]);

  // Once more is another payment, and only when it is asked for.
  await button(page, 'Ask once more, for another payment').click();
  await payButton(page).click();
  await page.locator('#answer').waitFor({ state: 'hidden' });
  await answered(page);
  assert.equal((await transfersOf(buyer)).length, 2);
  await page.finish();
});

test('the page as it is served: the same 402, small, and under its own policy', async () => {
  const response = await call(worker.url, '/weather/lisbon', { headers: BROWSER });
  assert.equal(response.status, 402);
  assert.equal(response.headers['cache-control'], 'no-store');
  assert.ok(response.body.length < 40 * 1024, `${response.body.length} bytes`);
  assertSelfContained(response);
  assert.match(response.headers['content-security-policy'], /img-src data: blob:;/);
  const program = await call(worker.url, '/weather/lisbon');
  const told = decode(response.headers['payment-required']);
  assert.deepEqual(told.accepts, decode(program.headers['payment-required']).accepts);
  assert.ok(program.headers.link.includes('service-desc'), program.headers.link);
  assert.equal(response.headers.link, program.headers.link);

  const head = await call(worker.url, '/weather/lisbon', { method: 'HEAD', headers: BROWSER });
  assert.equal(head.status, 402);
  assert.match(head.headers['content-type'], /^text\/html/);
  assert.equal(head.body.length, 0);
  assert.ok(head.headers['payment-required']);
});

test('programs get JSON as before', async () => {
  const payment = { 'PAYMENT-SIGNATURE': 'e30=' };
  for (const [name, options] of Object.entries({
    curl: { headers: { accept: '*/*', 'user-agent': 'curl/8.5.0' } },
    nothing: {},
    'a script in a browser': { headers: { ...BROWSER, accept: '*/*' } },
    'HTML under another name': { headers: { ...BROWSER, 'user-agent': 'spider/1.0' } },
    'a browser with a payment': { headers: { ...BROWSER, ...payment } },
    'a browser with a v1 payment': { headers: { ...BROWSER, 'X-PAYMENT': 'e30=' } },
    'a browser with a sign-in': { headers: { ...BROWSER, 'SIGN-IN-WITH-X': 'e30=' } },
    'a browser with a key': { headers: { ...BROWSER, authorization: 'Bearer e402_test_00' } },
    'a browser with a token of the API': { headers: { ...BROWSER, authorization: 'Bearer its-own' } },
    'a form in a browser': { method: 'POST', headers: BROWSER },
  })) {
    const response = await call(worker.url, '/weather/lisbon', options);
    assert.match(response.headers['content-type'], /^application\/(problem\+)?json/, name);
    assert.ok(response.status >= 400 && typeof response.json().code === 'string', name);
  }
});

test('of two wallets the one that is chosen is asked', async () => {
  const page = await openQuietPage(browser, origin);
  const buyers = [await stack.buyer(), await stack.buyer()];
  const first = await injectWallet(page, { account: buyers[0], chain, name: 'First' });
  const second = await injectWallet(page, { account: buyers[1], chain, name: '<b>Second</b>' });
  // As an older one does beside them; those that announce themselves stand for it.
  const old = await injectWallet(page, { account: buyers[0], chain, announces: false });
  await page.goto(`${origin}/weather/lisbon`);
  assert.deepEqual(await page.locator('#wallets button').allTextContents(), ['Pay $0.001 with First', 'Pay $0.001 with <b>Second</b>']);
  assert.equal(await page.locator('#wallets img').count(), 2);
  await page.locator('#wallets button').nth(1).focus();
  await page.keyboard.press('Enter');
  await answered(page);
  assert.deepEqual([first.calls.length, second.count(SIGN), old.calls.length], [0, 1, 0]);
  assert.equal((await transfersOf(buyers[1])).length, 1);
  await page.finish();
});

test('a wallet that does not announce itself is found as well', async () => {
  const visitor = await visit('/weather/lisbon', { wallet: { announces: false } });
  await payButton(visitor.page, '$0.001', 'browser wallet').click();
  await answered(visitor.page);
  await assertPaidOnce(visitor);
  await visitor.page.finish();
});

test('without a wallet the page says so, and how a program pays', async () => {
  const { page } = await visit("/weather/it's $HOME `id` \\?q='\"&x=%27$(id)", { without: true });
  assert.equal(await page.locator('#no-wallet').isVisible(), true);
  assert.equal(await page.locator('#wallets button').count(), 0);
  const url = page.url();
  assert.ok(url.includes("it's"), url);
  // Both lines mean this very URL, to a shell and to JavaScript.
  const curl = await text(page, '#curl');
  assert.match(curl, /^curl -gi /);
  assert.equal(execFileSync('bash', ['-c', `curl() { printf %s "$2"; }; ${curl}`], { encoding: 'utf8' }), url);
  const literal = (await text(page, '#node')).match(/await pay\((".*")\);/)[1];
  assert.equal(JSON.parse(literal), url);
  await assertAccessible(page, 'no wallet');
  await page.getByRole('link', { name: 'a program' }).click();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'h-program');
  await shoot(page, 'paywall-no-wallet');
  await page.finish();
});

test('the JavaScript that the page shows pays, as it is', async () => {
  const { page } = await visit("/weather/lisbon?note=it's", { without: true });
  const source = join(freshDirectory('paywall-sample'), 'sample.mjs');
  writeFileSync(source, await text(page, '#node'));
  await page.finish();
  const PRIVATE_KEY = generatePrivateKey();
  const buyer = privateKeyToAccount(PRIVATE_KEY);
  await chain.mint(buyer.address, PRICE);
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [source], { env: { ...process.env, PRIVATE_KEY }, timeout: 60_000 });
  assert.equal(stdout, '200 {"city":"lisbon","celsius":21}\n', stderr);
  assert.deepEqual((await transfersOf(buyer)).map(({ value }) => value), [PRICE]);
});

test('the lines for programs can be copied', async () => {
  const { page } = await visit('/weather/lisbon', { without: true, permissions: ['clipboard-read', 'clipboard-write'] });
  for (const [name, id] of [['Copy command', 'curl'], ['Copy JavaScript', 'node']]) {
    await button(page, name).click();
    await page.getByText('Copied.').waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await text(page, `#${id}`));
  }
  await page.finish();
});

test('a wallet on another network is asked to switch', async () => {
  const visitor = await visit('/weather/lisbon', { wallet: { chainId: 1 } });
  await payButton(visitor.page).click();
  await answered(visitor.page);
  assert.deepEqual(visitor.wallet.calls.find(({ method }) => method === 'wallet_switchEthereumChain').params, [{ chainId: '0x14a34' }]);
  assert.equal(visitor.wallet.count('wallet_addEthereumChain'), 0);
  await assertPaidOnce(visitor);
  await visitor.page.finish();
});

test('a network that the wallet does not know is added to it', async () => {
  const visitor = await visit('/weather/lisbon', { wallet: { chainId: 1, knows: [] } });
  await payButton(visitor.page).click();
  await answered(visitor.page);
  const [{ params: [added] }] = visitor.wallet.calls.filter(({ method }) => method === 'wallet_addEthereumChain');
  assert.deepEqual(added, {
    chainId: '0x14a34', chainName: 'Base Sepolia', rpcUrls: ['https://sepolia.base.org'],
    nativeCurrency: { name: 'ETH', symbol: 'ETH', decimals: 18 }, blockExplorerUrls: ['https://sepolia.basescan.org'],
  });
  await assertPaidOnce(visitor);
  await visitor.page.finish();
});

for (const [method, chainId] of [['eth_requestAccounts', 84532], ['wallet_switchEthereumChain', 1], [SIGN, 84532]]) {
  test(`declined at ${method}: nothing is lost, and one can try again`, async () => {
    const visitor = await visit('/weather/lisbon', { wallet: { chainId } });
    const { page, wallet, buyer } = visitor;
    const sent = watched(page);
    wallet.fail(method);
    await payButton(page).click();
    await problem(page, 'You declined in the wallet');
    assert.match(await text(page, '#problem'), /Nothing was signed and nothing was paid/);
    assert.deepEqual([sent, await storage(page)], [[], []]);
    assert.equal((await transfersOf(buyer)).length, 0);
    if (method === SIGN) await assertAccessible(page, 'declined');
    wallet.allow(method);
    wallet.calls.length = 0;
    await payButton(page).click();
    await answered(page);
    assert.equal(await page.locator('#problem').isVisible(), false);
    await assertPaidOnce(visitor);
    await page.finish();
  });
}

test('a wallet that fails otherwise is quoted', async () => {
  const { page, wallet } = await visit('/weather/lisbon');
  wallet.fail('eth_requestAccounts', { code: -32002, message: 'Already processing eth_requestAccounts.' });
  await payButton(page).click();
  await problem(page, 'The wallet has a question open');
  wallet.fail('eth_requestAccounts', { code: -32603, message: '<i>out of order</i>' });
  await payButton(page).click();
  await problem(page, 'The wallet could not do it');
  assert.match(await text(page, '#problem'), /<i>out of order<\/i>/);
  await page.finish();
});

test('too little money: nothing is signed, and it says how much is there', async () => {
  const { page, wallet, buyer } = await visit('/weather/lisbon', { amount: 400n });
  const sent = watched(page);
  await payButton(page).click();
  await problem(page, 'Too little USDC in the wallet');
  assert.match(await text(page, '#problem'), /It has 0\.0004 USDC on Base Sepolia, and 0\.001 USDC are needed/);
  assert.deepEqual([wallet.count(SIGN), sent], [0, []]);
  await assertAccessible(page, 'too little');
  await shoot(page, 'paywall-too-little');
  await chain.mint(buyer.address, 600n);
  await payButton(page).click();
  await answered(page);
  await page.finish();
});

test('the facilitator’s answer is lost: the same payment is sent until it is answered, and the money moves once', async () => {
  const visitor = await visit('/weather/unknown');
  const { page, buyer } = visitor;
  const sent = watched(page);
  faults.set(buyer.address, (path) => (path === '/settle' ? { forward: true, reset: true } : undefined));
  await payButton(page).click();
  await page.getByRole('heading', { name: 'Whether the payment settled is not known yet' }).waitFor();
  assert.equal(await page.locator('#pay').isVisible(), false, 'another payment is on offer');
  assert.equal((await storage(page)).length, 1);
  await assertAccessible(page, 'the payment under way');
  await shoot(page, 'paywall-unknown');
  // By itself, after Retry-After.
  await until('the same payment to be sent again', () => sent.length > 1);
  faults.lift(buyer.address);
  await page.locator('#answer').waitFor({ timeout: 90_000 });
  assert.equal(new Set(sent).size, 1, 'another payment was sent');
  await assertPaidOnce(visitor);
  await page.finish({ allowed: [[503, '/weather/unknown']] });
});

test('the answer is lost on its way: it is said again for the same payment', async () => {
  const visitor = await visit('/weather/lost');
  const { page, buyer } = visitor;
  const sent = [];
  // Once it was paid for and answered, the connection breaks.
  await page.route('**/weather/lost', async (route) => {
    const header = route.request().headers()['payment-signature'];
    if (!header) return route.continue();
    sent.push(header);
    const response = await route.fetch();
    return sent.length === 1 ? route.abort() : route.fulfill({ response });
  });
  await payButton(page).click();
  await page.getByRole('heading', { name: 'The answer did not arrive' }).waitFor();
  assert.equal((await transfersOf(buyer)).length, 1);
  assert.equal(await payButton(page).isVisible(), false);
  await button(page, 'Ask again with the same payment').click();
  await answered(page);
  assert.equal(sent.length, 2);
  assert.equal(sent[0], sent[1]);
  assert.match(decode(sent[0]).extensions['payment-identifier'].info.id, /^pay_[0-9a-f]{32}$/);
  await assertPaidOnce(visitor);
  // The browser's own line about the connection.
  page.said.splice(0, page.said.length, ...page.said.filter((line) => !/net::ERR_FAILED/.test(line)));
  await page.finish();
});

test('closed in the middle and opened again: the same payment is offered, not another', async () => {
  const visitor = await visit('/weather/reload');
  const { page, buyer } = visitor;
  const sent = watched(page);
  let open;
  gate = (url) => (url.startsWith('/weather/reload') ? new Promise((done) => (open = done)) : undefined);
  await payButton(page).click();
  await until('the API to be asked', () => open);
  await page.reload();
  gate = undefined;
  open();
  await page.getByRole('heading', { name: 'A payment is under way' }).waitFor();
  assert.equal(await page.locator('#pay').isVisible(), false);
  await assertAccessible(page, 'reloaded');
  await shoot(page, 'paywall-reloaded');
  await button(page, 'Ask again with the same payment').click();
  await answered(page);
  assert.ok(sent.length > 1);
  assert.equal(new Set(sent).size, 1);
  assert.equal(callsAbout(stack, buyer.address, '/settle').length, 1);
  await assertPaidOnce(visitor);
  // Whether the first request was still being processed is a matter of milliseconds.
  page.said.splice(0, page.said.length, ...page.said.filter((line) => !/status of 409/.test(line)));
  await page.finish();
});

test('refused at settlement: it says why, and only then may be signed anew', async () => {
  const { page, wallet, buyer } = await visit('/weather/refused');
  const no = { success: false, errorReason: 'insufficient_funds', payer: buyer.address, network: NETWORK, transaction: '' };
  faults.set(buyer.address, (path) => (path === '/settle' ? { body: no } : undefined));
  await payButton(page).click();
  await problem(page, 'The payment could not be settled');
  assert.match(await text(page, '#problem'), /The wallet has too little money\. No money moved/);
  assert.deepEqual(await storage(page), []);
  await shoot(page, 'paywall-refused');
  faults.lift(buyer.address);
  await payButton(page).click();
  await answered(page);
  assert.equal(wallet.count(SIGN), 2);
  assert.equal((await transfersOf(buyer)).length, 1);
  await page.finish({ allowed: [[402, '/weather/refused']] });
});

test('the price told again in place of an answer is no refusal', async () => {
  const { page, wallet, buyer } = await visit('/weather/stripped');
  // Something on the way drops the header: what became of the payment, this answer does not say.
  const strip = (route) => {
    const { 'payment-signature': dropped, ...headers } = route.request().headers();
    return route.continue({ headers });
  };
  await page.route('**/weather/stripped', strip);
  await payButton(page).click();
  await page.getByRole('heading', { name: 'The payment was not looked at' }).waitFor();
  assert.equal(await page.locator('#pay').isVisible(), false);
  await page.unroute('**/weather/stripped', strip);
  await button(page, 'Ask again with the same payment').click();
  await answered(page);
  await assertPaidOnce({ page, wallet, buyer });
  await page.finish({ allowed: [[402, '/weather/stripped']] });
});

test('what stays without an answer stands in the way until its time is over', async () => {
  const { page, wallet, buyer } = await visit('/weather/stuck');
  const used = { code: 'payment_already_used', title: 'This payment has been used', hint: 'one payment buys one answer' };
  let said = new Date();
  await page.route('**/weather/stuck', (route) => route.request().headers()['payment-signature']
    ? route.fulfill({ status: 409, contentType: 'application/problem+json', headers: { date: said.toUTCString() }, body: JSON.stringify(used) }) : route.continue());
  await payButton(page).click();
  await page.getByRole('heading', { name: 'This payment has been used' }).waitFor();
  for (const look of ['now', 'reloaded']) {
    if (look === 'reloaded') {
      await page.reload();
      await page.getByRole('heading', { name: 'A payment is under way' }).waitFor();
    }
    assert.equal(await page.locator('#pay').isVisible(), false, look);
    assert.equal(await button(page, 'Start over').isVisible(), false, look);
  }
  // This device's clock alone says nothing about that; the service's does.
  await page.clock.setFixedTime(Date.now() + 3_600_000);
  await page.reload();
  await page.getByRole('heading', { name: 'A payment is under way' }).waitFor();
  assert.equal(await button(page, 'Start over').isVisible(), false, 'by its own clock');
  said = new Date();
  await button(page, 'Ask again with the same payment').click();
  await page.getByRole('heading', { name: 'This payment has been used' }).waitFor();
  assert.equal(await button(page, 'Start over').isVisible(), false, 'the service says that it can be taken yet');
  said = new Date(Date.now() + 3_600_000);
  await button(page, 'Ask again with the same payment').click();
  await page.getByText('paying again is a second payment').waitFor();
  assert.equal(wallet.count(SIGN), 1);
  await button(page, 'Start over').click();
  assert.equal(await payButton(page).isVisible(), true);
  assert.deepEqual(await storage(page), []);
  assert.equal((await transfersOf(buyer)).length, 0);
  await page.finish({ allowed: [[409, '/weather/stuck']] });
});

test('a device whose clock is wrong: what it signs next is valid by the service’s clock', async () => {
  // An hour behind: what it signs is over already, which the service says, and the time.
  const { page, wallet, buyer } = await visit('/weather/clock');
  const now = Date.now();
  await page.clock.setFixedTime(now - 3_600_000);
  await page.route('**/weather/clock', async (route) => {
    if (!route.request().headers()['payment-signature']) return route.continue();
    const response = await route.fetch();
    return route.fulfill({ response, headers: { ...response.headers(), date: new Date(now).toUTCString() } });
  });
  await payButton(page).click();
  await problem(page, /expired|over/);
  const why = await text(page, '#problem');
  await payButton(page).click();
  await until('the second payment to be answered', () => page.locator('#answer').isVisible());
  assert.match(why, /by a wrong clock\. No money moved/);
  assert.equal(wallet.count(SIGN), 2);
  assert.equal((await transfersOf(buyer)).length, 1);
  await page.finish({ allowed: [[402, '/weather/clock']] });
});

test('a paid answer is shown again after a reload, for nothing, until the service has it no more', async () => {
  const visitor = await visit('/weather/again');
  const { page, wallet } = visitor;
  const sent = watched(page);
  await payButton(page).click();
  await answered(page);
  await page.reload();
  await page.getByRole('heading', { name: 'You have paid for this answer' }).waitFor();
  assert.match(await text(page, '#again-why'), /^0\.001 USDC at .*at no charge\.$/);
  assert.equal(await payButton(page).isVisible(), true, 'nothing stands in the way');
  await assertAccessible(page, 'an answer to show again');
  await shoot(page, 'paywall-show-again');
  await button(page, 'Show the answer again').click();
  await answered(page);
  assert.equal(await text(page, '#text'), JSON.stringify({ city: 'lisbon', celsius: 21 }, null, 2));
  assert.match(await text(page, '#facts'), /Paid0\.001 USDC/);
  assert.equal(sent.length, 2);
  assert.equal(new Set(sent).size, 1, 'another payment was sent');
  assert.equal(served.filter(({ url }) => url === '/weather/again').length, 1, 'the API was asked again');
  await assertPaidOnce(visitor);

  // The service has it no more: it says so, and nobody takes that for a refusal by which nothing moved.
  const used = { code: 'payment_already_used', title: 'This payment has been used' };
  await page.route('**/weather/again', (route) => route.request().headers()['payment-signature']
    ? route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify(used) }) : route.continue());
  await page.reload();
  await button(page, 'Show the answer again').click();
  await problem(page, 'It cannot be shown again');
  assert.doesNotMatch(await text(page, '#problem'), /No money moved/);
  assert.equal(await page.locator('#again').isVisible(), false);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.equal(wallet.count(SIGN), 1);
  await page.finish({ allowed: [[409, '/weather/again']] });
});

test('once the service holds the answer no longer, it is not offered', async () => {
  const visitor = await visit('/weather/held');
  const { page } = visitor;
  await payButton(page).click();
  await answered(page);
  await page.clock.setFixedTime(Date.now() + 599_000);
  await page.reload();
  await button(page, 'Show the answer again').waitFor();
  await page.clock.setFixedTime(Date.now() + 700_000);
  await page.reload();
  await page.locator('#aside').waitFor();
  assert.equal(await page.locator('#again').isVisible(), false);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.finish();
});

test('where a failure is charged too, it says so before anything is signed', async () => {
  for (const [path, charged] of [['/before/json', true], ['/weather/lisbon', false]]) {
    const { page } = await visit(path);
    assert.equal(/a failure of the API is charged as well/.test(await text(page, '#what-happens')), charged, path);
    await page.finish();
  }
});

test('on a phone, what is said is on the screen', async () => {
  const { page, wallet } = await visit('/dear', { width: 390, height: 844 });
  const field = page.getByLabel('Your key');
  await field.fill('e402_test_00');
  await field.evaluate((node) => node.scrollIntoView({ block: 'start' }));
  assert.equal(await isOnScreen(page.locator('#price')), false);
  await page.keyboard.press('Enter');
  await problem(page, 'This is no key of this service');
  assert.equal(await isOnScreen(page.locator('#problem')), true, 'the problem is off the screen');
  let sign;
  wallet.hold = (method) => (method === SIGN ? new Promise((done) => (sign = done)) : undefined);
  await payButton(page, '$0.40').click();
  await until('the wallet to be asked', () => sign);
  assert.match(await text(page, '#progress'), /^The wallet asks you to sign/);
  assert.equal(await isOnScreen(page.locator('#progress')), true, 'what the wallet asks is off the screen');
  const above = await page.evaluate(() => document.getElementById('progress').getBoundingClientRect().bottom <= document.getElementById('wallets').getBoundingClientRect().top);
  assert.ok(above, 'it stands below the buttons');
  sign();
  await answered(page);
  assert.match(await text(page, 'h1'), /^Answer /);
  assert.match(await page.title(), /^Answer · /);
  await page.finish({ allowed: [[401, '/dear']] });
});

test('a failure of the API costs nothing, and the same payment can be used again', async () => {
  const { page, wallet, buyer } = await visit('/weather/missing');
  await payButton(page).click();
  await page.getByRole('heading', { name: 'The API answered 404' }).waitFor();
  assert.match(await text(page, '#text'), /no such city/);
  assert.match(await text(page, '#again'), /Nothing was charged/);
  assert.equal((await transfersOf(buyer)).length, 0);
  ANSWERS.missing = [200, 'text/plain', 'found: 21 celsius'];
  await button(page, 'Ask again with the same payment').click();
  await page.getByText('found: 21 celsius').waitFor();
  await assertPaidOnce({ page, wallet, buyer });
  await page.finish({ allowed: [[404, '/weather/missing']] });
});

test('images are shown, HTML is text, all else is a download', async () => {
  for (const [path, check] of [
    ['/weather/image', async (page) => assert.equal(await page.locator('#body img').evaluate((image) => image.decode().then(() => image.naturalWidth)), 1)],
    ['/weather/html', async (page) => {
      assert.equal(await text(page, '#text'), HTML);
      assert.equal(await page.locator('#smuggled').count(), 0);
      assert.notEqual(await page.title(), 'run');
    }],
    ['/weather/binary', async (page) => assert.match(await text(page, '#body'), /a file of 3 KB/)],
    ['/weather/latin', async (page) => assert.equal(await text(page, '#text'), 'café celsius')],
    ['/weather/empty', async (page) => assert.match(await text(page, '#body'), /The answer is empty/)],
    ['/weather/moved', async (page) => {
      assert.match(await text(page, '#body'), /answered with a redirect.*This was probably charged: 0\.001 USDC/);
      assert.match(await text(page, '#facts'), /Payment0\.001 USDC, probably charged/);
      assert.equal(await page.evaluate(() => sessionStorage.length), 1, 'the payment is not kept');
    }],
    ['/before/json', async (page) => assert.match(await text(page, '#text'), /celsius/)],
  ]) {
    const visitor = await visit(path);
    const { page } = visitor;
    await payButton(page).click();
    await answered(page);
    await check(page);
    await assertPaidOnce(visitor);
    await assertAccessible(page, path);
    const name = { '/weather/image': 'image.png', '/weather/html': 'html.html', '/weather/binary': 'binary.bin' }[path];
    if (name) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
      assert.equal(download.suggestedFilename(), name);
      const chunks = [];
      for await (const chunk of await download.createReadStream()) chunks.push(chunk);
      assert.ok(Buffer.concat(chunks).equals(Buffer.from(ANSWERS[path.split('/').at(-1)][2])), `${name} has other bytes`);
    }
    await page.finish();
  }
});

test('an answer that is paid for later says so', async () => {
  const visitor = await visit('/later/json');
  await payButton(visitor.page).click();
  await answered(visitor.page);
  assert.match(await text(visitor.page, '#facts'), /Payment0\.001 USDC, no receipt yet/);
  await until('the settlement in the background', async () => (await transfersOf(visitor.buyer)).length);
  await assertPaidOnce(visitor);
  await visitor.page.finish();
});

test('a hostile description is text, with a script and without', async () => {
  for (const javaScriptEnabled of [true, false]) {
    const page = await openQuietPage(browser, origin, { javaScriptEnabled });
    let alarmed = false;
    page.on('dialog', (dialog) => {
      alarmed = true;
      dialog.dismiss();
    });
    await page.goto(`${origin}/hostile/x`);
    assert.equal(await text(page, '#description'), HOSTILE);
    assert.equal(await text(page, '#price'), '$0.001');
    assert.equal(await text(page, '#network'), 'Base Sepolia, in USDC');
    assert.equal(await page.locator('#description').isVisible(), true);
    assert.equal(await page.locator('#pay').isVisible(), javaScriptEnabled);
    if (!javaScriptEnabled) {
      assert.equal(await page.locator('noscript p').first().isVisible(), true);
      await fits(page, 'without a script');
      await shoot(page, 'paywall-without-a-script');
    }
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(alarmed, false);
    await page.finish();
  }
});

test('credits instead: a key for many calls, and the answer with it', async () => {
  const { page, wallet, buyer } = await visit('/dear', { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.getByLabel(/^small: 5 credits, for 2 answers like this/).check();
  await payButton(page, '$1').click();
  await page.getByRole('heading', { name: '5 credits' }).waitFor();
  const key = await text(page, '#new-key');
  assert.match(key, /^e402_test_[0-9a-f]+$/);
  assert.equal(await page.getByRole('link', { name: 'Dashboard' }).getAttribute('href'), `/dashboard#${key}`);
  await assertAccessible(page, 'the new key');
  await shoot(page, 'paywall-key');
  await button(page, 'Copy key').click();
  await page.getByText('Copied.').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), key);
  await button(page, 'Get the answer with this key').click();
  await answered(page);
  assert.match(await text(page, '#facts'), /Credits2 charged, 3 left/);
  await assertPaidOnce({ page, wallet, buyer }, 1_000_000n);
  await page.finish({ allowed: [[402, '/api/buy-credits/small']] });

  // A key that one has already, and what is wrong with one.
  const later = await visit('/dear', { without: true });
  const enter = async (value) => {
    await later.page.getByLabel('Your key').fill(value);
    await later.page.keyboard.press('Enter');
  };
  await enter(`Authorization: Bearer ${key}`);
  await answered(later.page);
  assert.match(await text(later.page, '#facts'), /Credits2 charged, 1 left/);
  await enter(key);
  await problem(later.page, 'Too few credits');
  assert.match(await text(later.page, '#problem'), /1 left, and 2 are needed/);
  await assertAccessible(later.page, 'a problem with a key');
  // Packages are then sold for this key, also one that is enough only with what it has.
  assert.deepEqual(await later.page.locator('#goods label span').allTextContents(), ['This answer, once', 'tiny: 1 credit more for the same key', 'small: 5 credits more for the same key']);
  await enter('e402_test_00');
  await problem(later.page, 'This is no key of this service');
  assert.deepEqual(later.page.asked.filter((url) => url.includes(key)), []);
  await later.page.finish({ allowed: [[402, '/dear'], [401, '/dear']] });
});

test('a key with too few credits is filled, also when the answer about that is lost', async () => {
  const { page, wallet, buyer } = await visit('/dear');
  // What cannot buy this answer is not sold for it.
  assert.deepEqual(await page.locator('#goods label span').allTextContents(), ['This answer, once', 'small: 5 credits, for 2 answers like this']);
  await page.getByLabel(/^small/).check();
  await payButton(page, '$1').click();
  await page.getByRole('heading', { name: '5 credits' }).waitFor();
  const key = await text(page, '#new-key');
  const use = async (left) => {
    await page.getByLabel('Your key').fill(key);
    await page.keyboard.press('Enter');
    await page.getByText(`2 charged, ${left} left`).waitFor();
  };
  await button(page, 'Copy key').click();
  await use(3);
  await use(1);
  await page.getByLabel('Your key').press('Enter');
  await problem(page, 'Too few credits');
  const sent = [];
  await page.route('**/api/buy-credits/tiny', async (route) => {
    const headers = route.request().headers();
    assert.equal(headers.authorization, `Bearer ${key}`);
    if (!headers['payment-signature']) return route.continue();
    sent.push(headers['payment-signature']);
    const response = await route.fetch();
    return sent.length === 1 ? route.abort() : route.fulfill({ response });
  });
  await page.getByLabel('tiny: 1 credit more for the same key').check();
  await payButton(page, '$0.20').click();
  await page.getByRole('heading', { name: 'The answer did not arrive' }).waitFor();
  assert.ok(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes(key), 'the key is kept');
  await page.reload();
  // The key is not: so it is asked for.
  await button(page, 'Ask again with the same payment').click();
  await problem(page, 'Which key was it for?');
  await page.getByLabel('Your key').fill(key);
  await button(page, 'Ask again with the same payment').click();
  await page.getByRole('heading', { name: '1 credit' }).waitFor();
  assert.equal(await text(page, '#new-key'), key);
  await button(page, 'Get the answer with this key').click();
  await page.getByText('2 charged, 0 left').waitFor();
  assert.equal(sent[0], sent[1]);
  assert.deepEqual((await transfersOf(buyer)).map(({ value }) => value), [1_000_000n, 200_000n]);
  assert.equal(wallet.count(SIGN), 2);
  assert.deepEqual(await storage(page), []);
  page.said.splice(0, page.said.length, ...page.said.filter((line) => !/net::ERR_FAILED/.test(line)));
  await page.finish({ allowed: [[402, '/api/buy-credits/small'], [402, '/api/buy-credits/tiny'], [402, '/dear']] });
});

test('a package is shown with what it asks for itself, and nothing else is signed for it', async () => {
  const { page, wallet, buyer } = await visit('/others');
  const shown = async () => [await text(page, '#payee'), await page.locator('#wallets button').textContent()];
  assert.deepEqual(await shown(), [OTHER, 'Pay $0.40 with Test Wallet']);
  await page.getByLabel(/^small: 5 credits/).check();
  assert.deepEqual(await shown(), [stack.seller, 'Pay $1 with Test Wallet']);
  await page.getByLabel(/^This answer, once/).check();
  assert.deepEqual(await shown(), [OTHER, 'Pay $0.40 with Test Wallet']);
  await page.getByLabel(/^small: 5 credits/).check();
  const path = '**/api/buy-credits/small';
  for (const change of [
    { amount: '1000001' }, { amount: '999999' }, { payTo: OTHER }, { asset: OTHER }, { network: 'eip155:8453' }, { scheme: 'upto' },
    { extra: { name: 'Coin', version: '2' } },
  ]) {
    const other = async (route) => {
      const response = await route.fetch();
      const told = decode(response.headers()['payment-required']);
      told.accepts = told.accepts.map((entry) => ({ ...entry, ...change }));
      return route.fulfill({ response, headers: { ...response.headers(), 'payment-required': encode(told) } });
    };
    await page.route(path, other);
    await payButton(page, '$1').click();
    await problem(page, 'The service asks for something else now');
    assert.match(await text(page, '#problem'), new RegExp(`showed 1 USDC on Base Sepolia to ${stack.seller}.*Nothing was signed`));
    assert.equal(wallet.count(SIGN), 0, JSON.stringify(change));
    await page.unroute(path, other);
    await button(page, 'Pay $1 with Test Wallet').waitFor();
    await page.locator('#problem').evaluate((node) => (node.hidden = true));
  }
  await payButton(page, '$1').click();
  await page.getByRole('heading', { name: '5 credits' }).waitFor();
  assert.deepEqual((await transfersOf(buyer)).map(({ value }) => value), [1_000_000n]);
  await page.finish({ allowed: [[402, '/api/buy-credits/small']] });
});

test('a purchase whose answer is lost: the same payment has its key said', async () => {
  const { page, wallet, buyer } = await visit('/fair');
  const sent = [];
  await page.route('**/api/buy-credits/tiny', async (route) => {
    const header = route.request().headers()['payment-signature'];
    if (!header) return route.continue();
    sent.push(header);
    const response = await route.fetch();
    return sent.length === 1 ? route.abort() : route.fulfill({ response });
  });
  await page.getByLabel(/^tiny: 1 credit/).check();
  await payButton(page, '$0.20').click();
  await page.getByRole('heading', { name: 'The answer did not arrive' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'A payment is under way' }).waitFor();
  assert.match(await text(page, '#again-why'), /0\.20 USDC for the package tiny was signed at/);
  await button(page, 'Ask again with the same payment').click();
  await page.getByRole('heading', { name: '1 credit' }).waitFor();
  assert.equal(new Set(sent).size, 1);
  // Not copied yet: a slip does not lose it.
  const key = await text(page, '#new-key');
  await page.reload();
  await page.getByRole('heading', { name: 'You bought a key here' }).waitFor();
  assert.equal(await payButton(page, '$0.40').isVisible(), true);
  await button(page, 'Ask again with the same payment').click();
  await page.waitForFunction((wanted) => document.getElementById('new-key').textContent === wanted, key);
  await button(page, 'Copy key').click();
  await assertPaidOnce({ page, wallet, buyer }, 200_000n);
  page.said.splice(0, page.said.length, ...page.said.filter((line) => !/net::ERR_FAILED/.test(line)));
  await page.finish({ allowed: [[402, '/api/buy-credits/tiny']] });
});

test('of several tokens one is chosen, and packages are paid in the same', async () => {
  const coin = { network: NETWORK, address: '0x00000000000000000000000000000000000C0135', name: 'Coin', version: '1', decimals: 18, symbol: 'COIN' };
  const several = await startWorker({
    vars: vars({ ASSETS: [coin], PACKAGES: { tiny: { price: '$0.2', credits: 1 } } }), secrets: { KEY_SECRET: 'a-secret-of-32-characters-or-so-' },
  });
  const buyer = await stack.buyer(300_000n);
  const page = await openQuietPage(browser, new URL(several.url).origin);
  const wallet = await injectWallet(page, { account: buyer, chain });
  await page.goto(`${several.url}/weather/lisbon`);
  const way = page.getByLabel('Pay in');
  assert.deepEqual(await way.locator('option').allTextContents(), ['0.001 USDC on Base Sepolia', '0.001 COIN on Base Sepolia']);
  await assertAccessible(page, 'two tokens');
  // There is no such token on this chain: no balance is to be had, and nothing is signed.
  await way.selectOption({ label: '0.001 COIN on Base Sepolia' });
  assert.equal(await text(page, '#network'), 'Base Sepolia, in COIN');
  for (const label of [/^This answer, once/, /^tiny/]) {
    await page.getByLabel(label).check();
    await page.locator('#wallets button').click();
    await problem(page, 'The wallet could not tell its balance');
    assert.equal(wallet.calls.at(-1).params[0].to, coin.address);
  }
  assert.equal(wallet.count(SIGN), 0);
  // The package's own price, and what is chosen stays chosen.
  assert.deepEqual(await way.locator('option').allTextContents(), ['0.20 USDC on Base Sepolia', '0.20 COIN on Base Sepolia']);
  assert.equal(await way.locator('option:checked').textContent(), '0.20 COIN on Base Sepolia');
  await way.selectOption({ label: '0.20 USDC on Base Sepolia' });
  await page.locator('#wallets button').click();
  await page.getByRole('heading', { name: '1 credit' }).waitFor();
  await button(page, 'Get the answer with this key').click();
  await answered(page);
  assert.deepEqual((await transfersOf(buyer)).map(({ value }) => value), [200_000n]);
  await page.finish({ allowed: [[402, '/api/buy-credits/tiny']] });
});

test('on phones, in light and in dark: nothing sticks out, and axe finds nothing', async () => {
  const long = `/weather/${'a-very-long-name-of-a-city-'.repeat(4)}`;
  for (const width of [320, 390, 768, 1180]) {
    for (const colorScheme of ['light', 'dark']) {
      const visitor = await visit(long, { width, height: 844, colorScheme, deviceScaleFactor: 2, reducedMotion: 'reduce' });
      const { page } = visitor;
      await fits(page, `${width} px, ${colorScheme}`);
      await assertAccessible(page, `${width} px, ${colorScheme}`);
      const [red] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
      assert.equal(red < 128, colorScheme === 'dark', `a background of ${red} in ${colorScheme}`);
      await shoot(page, `paywall-${width}-${colorScheme}`);
      await payButton(page).click();
      await answered(page);
      await fits(page, `the answer at ${width} px, ${colorScheme}`);
      await assertAccessible(page, `the answer at ${width} px, ${colorScheme}`);
      await page.finish();
    }
  }
});

test('much to say: the price stays readable, and both pages small', async () => {
  const money = '\u{1f4b8}'.repeat(500);
  const coins = Array.from({ length: 7 }, (_, n) => ({
    network: NETWORK, address: `0x${String(n + 1).padStart(40, '0')}`, name: 'Coin', version: '1', decimals: 18, symbol: `COIN${n}`,
  }));
  const input = { query: { words: { type: 'string', description: '<&>'.repeat(1_000) } } };
  const many = Array.from({ length: 150 }, (_, n) => [`GET /route-${n}`, { price: '$0.001', description: `<&> ${money.slice(0, 100)}` }]);
  const other = await startWorker({
    vars: vars({
      ASSETS: coins, DISCOVERY: { landing: true, manifest: true }, SERVICE: { name: 'Weather', description: money },
      ROUTES: { 'GET /weather/*': { price: '$0.001', description: money, mime_type: 'application/json', input }, ...Object.fromEntries(many) },
      PACKAGES: { small: { price: '$1', credits: 5 }, large: { price: '$9', credits: 50 }, vast: { price: '$80', credits: 500 } },
    }),
    secrets: { KEY_SECRET: 'a-secret-of-32-characters-or-so-' },
  });
  const target = `/weather/lisbon?q=${'%F0%9F%92%B8'.repeat(160)}`;
  // Node's own client, with its 16 KB for all headers.
  for (const headers of [{}, BROWSER]) {
    const response = await fetch(other.url + target, { headers });
    assert.equal(response.status, 402);
    assert.equal(decode(response.headers.get('payment-required')).accepts.length, 8);
    const { length } = Buffer.from(await response.arrayBuffer());
    if (headers === BROWSER) assert.ok(length <= 40_960, `${length} bytes`);
  }
  const page = await openQuietPage(browser, new URL(other.url).origin, { width: 390 });
  await page.goto(other.url + target);
  await page.locator('#aside').waitFor();
  assert.equal(await page.getByLabel('Pay in').locator('option').count(), 8);
  assert.equal(await page.locator('#goods label').count(), 4);
  assert.equal(await page.locator('#more').isVisible(), false);
  await fits(page, 'much to say');
  await assertAccessible(page, 'much to say');
  await page.finish();

  const landing = await call(other.url, '/', { headers: BROWSER });
  assert.equal(landing.status, 200, landing.text);
  assert.ok(landing.body.length <= 40_960, `${landing.body.length} bytes`);
  const [, more, path] = landing.text.match(/And (\d+) more: <a href="([^"]+)"/);
  assert.equal(landing.text.match(/<code>GET \//g).length + Number(more), 151);
  const rest = await call(other.url, path);
  assert.equal(rest.json().resources.length, 151);
});

test('the landing page lists what is for sale', async () => {
  const other = await startWorker({
    vars: vars({
      DISCOVERY: { landing: true }, PACKAGES: { small: { price: '$1', credits: 5 } },
      MCP: 'origin:/mcp', TOOLS: { search: { price: '$0.01', description: 'Finds a city.' }, '*': '$0.02' },
    }),
    secrets: { KEY_SECRET: 'a-secret-of-32-characters-or-so-' },
  });
  const served = await call(other.url, '/', { headers: BROWSER });
  assert.match(served.headers['content-type'], /^text\/html/);
  assert.equal(served.status, 200, served.text);
  assertSelfContained(served, { scripts: 0 });
  assert.ok(served.headers.link.includes('service-desc'), 'a program that lands here is led on');
  for (const [width, colorScheme] of [[320, 'light'], [1180, 'dark']]) {
    const page = await openQuietPage(browser, new URL(other.url).origin, { width, colorScheme });
    await page.goto(`${other.url}/`);
    assert.match(await text(page, '#resources'), /\$0\.001.*The weather in a city, now\./);
    assert.ok((await text(page, '#resources')).includes(HOSTILE));
    assert.equal(await page.locator('img').count(), 0);
    assert.match(await text(page, '#packages'), /small\$15 credits/);
    assert.match(await text(page, '#tools'), /search\$0\.01Finds a city\.any other tool\$0\.02/);
    assert.ok((await page.locator('#documents a').count()) > 0);
    await fits(page, `${width} px`);
    await assertAccessible(page, `the landing page, ${colorScheme}`);
    await shoot(page, `landing-${width}-${colorScheme}`);
    await page.getByRole('link', { name: /^Try it: GET/ }).first().click();
    await page.locator('#aside').waitFor();
    assert.match(await page.title(), /^\$/);
    await page.finish();
  }
});

test('DISCOVERY = { paywall = false } leaves a browser what a program gets', async () => {
  const other = await startWorker({
    vars: vars({ DISCOVERY: { paywall: false }, PACKAGES: { small: { price: '$1', credits: 5 } } }),
    secrets: { KEY_SECRET: 'a-secret-of-32-characters-or-so-' },
  });
  const { response } = await challengeOf(other.url, '/weather/lisbon', { headers: BROWSER });
  assert.match(response.headers['content-type'], /^application\/json/);
});
