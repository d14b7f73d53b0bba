// The dashboard in a real browser: what a key's holder sees, as it happens, on a page that loads nothing from anywhere,
// leaves no key in a log and says nothing in the browser's console.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authorize, call, startStack, until } from './helpers.mjs';
import { assertSelfContained, fits, openPage as openQuietPage, shoot, text } from './pages.mjs';
import { ADMIN_TOKEN } from './payers.mjs';
import { startBrowser } from './stack/browser.mjs';
import { sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const MOST_BYTES = 40 * 1024;
const BALANCE = 5;

after(stopEverything);
// First: without a browser nothing else here is worth its start.
const browser = await startBrowser();
const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({
    ROUTES: { 'GET /weather/*': '$0.001', 'GET /status/*': '$0.001' },
    PACKAGES: { small: { price: '$1', credits: BALANCE } },
  }),
  secrets: { KEY_SECRET: 'a-secret-of-32-characters-or-so-', ADMIN_TOKEN },
});
const origin = new URL(worker.url).origin;

const bearer = (key) => ({ authorization: `Bearer ${key}` });

/** Buys the package. The price is a dollar, which is all that a new buyer has. */
async function buyKey() {
  const target = '/api/buy-credits/small';
  const payment = await authorize(worker.url, target, await stack.buyer(), { method: 'POST' });
  const response = await call(worker.url, target, { method: 'POST', headers: payment.v2 });
  assert.equal(response.status, 200, response.text);
  const bought = response.json();
  assert.match(bought.key, /^e402_test_[0-9a-f]+$/);
  assert.equal(bought.credits, BALANCE);
  return bought;
}

async function spend(key, target = '/weather/lisbon') {
  const response = await call(worker.url, target, { headers: bearer(key) });
  return response.status;
}

async function creditsOf(key) {
  const response = await call(worker.url, '/api/credits', { headers: bearer(key) });
  assert.equal(response.status, 200, response.text);
  return response.json();
}

const openPage = (options) => openQuietPage(browser, origin, options);

/** Waits for the number under "credits left". */
const shows = (page, number, timeout = 30_000) =>
  page.waitForFunction((wanted) => document.getElementById('available').textContent === wanted, String(number), { timeout });

test('the page as it is served: small, alone, and under a policy that names its very script and style', async () => {
  const { key } = await buyKey();
  const response = await call(worker.url, '/dashboard');
  assert.equal(response.status, 200, response.text);
  assert.ok(response.body.length < MOST_BYTES, `${response.body.length} bytes`);
  assertSelfContained(response);

  // The bookmark that a person may make of a key's address: the key leaves the path before anything is drawn.
  const bookmark = await call(worker.url, `/dashboard/${key}`);
  assert.ok([302, 303, 307, 308].includes(bookmark.status), `${bookmark.status}`);
  assert.equal(new URL(bookmark.headers.location, worker.url).href, `${origin}/dashboard#${key}`);
  assert.match(bookmark.headers['cache-control'], /no-store/);
  assert.equal(bookmark.headers['referrer-policy'], 'no-referrer');
});

test('from a bookmark: the balance, and how it falls while calls run', async () => {
  const { key, dashboardUrl } = await buyKey();
  assert.equal(dashboardUrl, `${origin}/dashboard#${key}`);
  const page = await openPage();
  let loads = 0;
  page.on('load', () => (loads += 1));
  await page.goto(`${origin}/dashboard/${key}`);
  assert.equal(page.url(), `${origin}/dashboard#${key}`);
  await shows(page, BALANCE);
  assert.equal(await text(page, '#status'), 'up to date');
  assert.equal(await text(page, '#rate'), '—');
  assert.equal(await page.locator('#activity tr').count(), 0);

  // The purchase is there, with the way to its transaction.
  const purchase = page.locator('#purchases tr').first();
  assert.match(await purchase.textContent(), /Purchase.*small.*\+5.*1 USDC/);
  const link = purchase.locator('a');
  assert.match(await link.getAttribute('href'), /^https:\/\/[^/]+\/tx\/0x[0-9a-f]{64}$/);
  assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
  assert.match(await text(page, '#packages'), /small.*5 credits.*\$1.*POST .*\/api\/buy-credits\/small/);

  assert.equal(await spend(key), 200);
  // Two looks of the page and what a busy machine takes; no reload.
  await shows(page, (await creditsOf(key)).available, 4000);
  assert.ok((await creditsOf(key)).available < BALANCE);
  await page.waitForFunction(() => document.querySelectorAll('#activity tr').length === 1);
  assert.match(await text(page, '#activity'), /GET \/weather\/lisbon.*200.*charged/);
  assert.equal(await text(page, '#rate'), '100 %');

  // A call under way holds what it will cost, and the page says so.
  let release;
  const held = new Promise((done) => (release = done));
  stack.origin.gate = (url) => (url.startsWith('/weather/slow') ? held : undefined);
  const underWay = spend(key, '/weather/slow');
  await page.waitForFunction(() => /held for calls under way/.test(document.getElementById('notes').textContent));
  assert.match(await text(page, '#activity'), /GET \/weather\/slow.*under way/);
  await shoot(page, 'desktop-light-held');
  release();
  assert.equal(await underWay, 200);
  stack.origin.gate = undefined;

  // A failure costs nothing, and the rate falls.
  assert.equal(await spend(key, '/status/500'), 500);
  await page.waitForFunction(() => /500 · not charged/.test(document.querySelector('#activity tr').textContent));
  await page.waitForFunction(() => !document.getElementById('held'));
  await page.waitForFunction(() => document.getElementById('rate').textContent !== '100 %');
  const { available } = await creditsOf(key);
  assert.equal(available, BALANCE - 2);
  await shows(page, available);
  const newestFirst = await page.locator('#activity td.request').allTextContents();
  assert.deepEqual(newestFirst, ['GET /status/500', 'GET /weather/slow', 'GET /weather/lisbon']);
  assert.equal(loads, 1, 'the page was loaded again');
  await shoot(page, 'desktop-light');
  await page.finish();
});

test('the key: masked until it is asked for, and nowhere but in the address', async () => {
  const { key } = await buyKey();
  const page = await openPage({ permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto(`${origin}/dashboard#${key}`);
  await shows(page, BALANCE);
  assert.ok(!(await page.content()).includes(key), 'the key is in the page');
  assert.match(await text(page, '#header'), /^Authorization: Bearer e402_test_•+.{4}$/);
  await page.getByRole('button', { name: 'Copy header' }).click();
  await page.getByText('Copied.').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `Authorization: Bearer ${key}`);
  await page.getByRole('button', { name: 'Show key' }).click();
  assert.equal(await text(page, '#header'), `Authorization: Bearer ${key}`);
  await page.getByRole('button', { name: 'Hide key' }).click();
  assert.ok(!(await page.content()).includes(key), 'the key is in the page');
  // The key goes in a header, never in a URL.
  assert.deepEqual(page.asked.filter((url) => url.split('#')[0].includes(key)), []);
  // Nothing outlives the page.
  const kept = await page.evaluate(() => ({ local: localStorage.length, session: sessionStorage.length, cookie: document.cookie }));
  assert.deepEqual(kept, { local: 0, session: 0, cookie: '' });
  await page.finish();
});

test('without a key, a form; with another key in the address, another account', async () => {
  const [first, second] = [await buyKey(), await buyKey()];
  await spend(second.key);
  const page = await openPage();
  await page.goto(`${origin}/dashboard`);
  await shoot(page, 'form');
  assert.deepEqual(page.asked.filter((url) => url.includes('/api/')), [], 'asked without a key');
  await page.getByLabel('Your key').fill(` ${first.key}\n`);
  await page.keyboard.press('Enter');
  await shows(page, BALANCE);
  assert.equal(page.url(), `${origin}/dashboard#${first.key}`);
  await page.evaluate((key) => (location.hash = key), second.key);
  await shows(page, (await creditsOf(second.key)).available);
  await page.getByRole('link', { name: 'Leave this key' }).click();
  await page.getByLabel('Your key').waitFor();
  assert.equal(await page.locator('#sections').isVisible(), false);
  await page.finish();
});

test('a wrong key is said to be wrong, and is not asked about again', async () => {
  const { key } = await buyKey();
  const page = await openPage();
  const looks = () => page.asked.filter((url) => url.includes('/api/credits')).length;
  const last = key.at(-1) === '0' ? '1' : '0';
  for (const wrong of [`${key.slice(0, -1)}${last}`, 'e402_test_00', 'nonsense', '%3Cimg%20src=x%20onerror=alert(1)%3E', '%F0%9F%94%91', '%']) {
    await page.goto('about:blank');
    await page.goto(`${origin}/dashboard#${wrong}`);
    await page.getByRole('heading', { name: 'This is no key of this service' }).waitFor();
    assert.equal(await page.locator('#sections').isVisible(), false);
    assert.equal(await page.getByLabel('Your key').isVisible(), true);
  }
  await shoot(page, 'wrong-key');
  const before = looks();
  await sleep(2500);
  assert.equal(looks(), before);
  // The form is the way out.
  await page.getByLabel('Your key').fill(`Authorization: Bearer ${key}`);
  await page.getByRole('button', { name: 'Show credits' }).click();
  await shows(page, BALANCE);
  assert.equal(await page.locator('#problem').isVisible(), false);
  await page.finish();
});

test('a key that is revoked while it is watched', async () => {
  const { key } = await buyKey();
  const page = await openPage();
  await page.goto(`${origin}/dashboard#${key}`);
  await shows(page, BALANCE);
  const revoked = await call(worker.url, '/api/credits/revoke', { method: 'POST', headers: bearer(key) });
  assert.ok(revoked.status >= 200 && revoked.status < 300, `${revoked.status} ${revoked.text}`);
  await page.getByRole('heading', { name: 'This key is revoked' }).waitFor();
  assert.equal(await page.locator('#sections').isVisible(), false);
  await shoot(page, 'revoked');
  // And from the start.
  await page.reload();
  await page.getByRole('heading', { name: 'This key is revoked' }).waitFor();
  await page.finish();
});

test('on phones, in light and in dark: nothing sticks out', async () => {
  const { key } = await buyKey();
  await spend(key, `/weather/${'a-very-long-name-of-a-city-'.repeat(4)}`);
  await spend(key, '/status/404');
  for (const width of [320, 390, 768, 1180]) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await openPage({ width, height: 844, colorScheme, deviceScaleFactor: 2, reducedMotion: 'reduce' });
      await page.goto(`${origin}/dashboard#${key}`);
      await shows(page, (await creditsOf(key)).available);
      await page.getByRole('button', { name: 'Show key' }).click();
      await fits(page, `${width} px, ${colorScheme}`);
      const [red] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number));
      assert.equal(red < 128, colorScheme === 'dark', `a background of ${red} in ${colorScheme}`);
      await page.getByRole('button', { name: 'Hide key' }).click();
      await shoot(page, `${width}-${colorScheme}`);
      await page.goto(`${origin}/dashboard#`);
      await page.getByLabel('Your key').waitFor();
      await fits(page, `the form at ${width} px, ${colorScheme}`);
      await page.finish();
    }
  }
});

test('a service out of reach: what was last known stays, and the page finds back by itself', async () => {
  const { key } = await buyKey();
  const page = await openPage();
  await page.goto(`${origin}/dashboard#${key}`);
  await shows(page, BALANCE);
  await page.context().setOffline(true);
  await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('offline, trying again'));
  assert.equal(await text(page, '#available'), String(BALANCE));
  assert.equal(await page.locator('#sections').isVisible(), true);
  await shoot(page, 'offline');
  assert.equal(await spend(key), 200);
  await page.context().setOffline(false);
  await shows(page, (await creditsOf(key)).available);
  assert.equal(await text(page, '#status'), 'up to date');
  // The browser itself writes down what it could not load; nothing else may be there.
  for (const line of page.said.splice(0)) assert.match(line, /Failed to load resource: net::ERR_INTERNET_DISCONNECTED/);
  await page.finish();
});

test('one request at a time, and none while nobody looks', async () => {
  const { key } = await buyKey();
  const page = await openPage();
  let open = 0;
  let most = 0;
  const isLook = (request) => request.url().includes('/api/credits');
  page.on('request', (request) => isLook(request) && (most = Math.max(most, (open += 1))));
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => isLook(request) && (open -= 1));
  // Slower than the page looks.
  await page.route('**/api/credits*', async (route) => {
    await sleep(2000);
    await route.continue();
  });
  await page.goto(`${origin}/dashboard#${key}`);
  await shows(page, BALANCE);
  await until('three looks', () => page.asked.filter((url) => url.includes('/api/credits')).length >= 3);
  assert.equal(most, 1);
  await page.unrouteAll({ behavior: 'wait' });

  // Headless Chromium shows every page: that it is hidden is told to the page by hand.
  const hide = (hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  await until('the look under way to end', () => open === 0);
  await sleep(300);
  const before = page.asked.length;
  assert.equal(await spend(key), 200);
  await sleep(3500);
  assert.equal(page.asked.length, before, 'asked while hidden');
  await hide(false);
  await shows(page, (await creditsOf(key)).available);
  await page.finish();
});
