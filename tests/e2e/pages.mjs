// What the tests of pages share: a browser's page that must keep quiet and stay at home, screenshots, axe.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './stack/processes.mjs';

const SHOTS = join(ROOT, 'tests/e2e/.run/screenshots');
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FAILED = /^error: Failed to load resource: the server responded with a status of (\d+) .*@ (\S+)$/;

/**
 * A page of its own, and all that it said and asked for. `finish` asserts that it kept quiet and stayed at home. Chromium
 * itself writes every non-2xx response into the console: that of a navigation to a 402 is expected, once each; those of the
 * page's own requests only where `finish({ allowed: [[503, '/path']] })` names them, and then there must be one.
 */
export async function openPage(browser, origin, { width = 1180, height = 900, colorScheme = 'light', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, ...options });
  const page = await context.newPage();
  const said = [];
  const asked = [];
  const navigations = [];
  page.on('console', (message) => {
    const text = `${message.type()}: ${message.text()}`;
    said.push(/^error: Failed to load resource/.test(text) ? `${text} @ ${message.location().url}` : text);
  });
  page.on('pageerror', (error) => said.push(`thrown: ${error.stack ?? error}`));
  page.on('crash', () => said.push('the page crashed'));
  page.on('response', (response) => {
    if (response.request().isNavigationRequest() && response.status() === 402) navigations.push(response.url().split('#')[0]);
  });
  context.on('request', (request) => asked.push(request.url()));
  const finish = async ({ allowed = [] } = {}) => {
    const left = said.filter((line) => {
      const [, status, url] = line.match(FAILED) ?? [];
      const at = status === '402' ? navigations.indexOf(url) : -1;
      if (at >= 0) navigations.splice(at, 1);
      return at < 0;
    });
    for (const [status, path] of allowed) {
      const expected = (line) => {
        const [, code, url] = line.match(FAILED) ?? [];
        return url && Number(code) === status && new URL(url).pathname === path;
      };
      assert.ok(left.some(expected), `the console does not have the ${status} of ${path}: ${left}`);
      left.splice(0, left.length, ...left.filter((line) => !expected(line)));
    }
    assert.deepEqual(left, [], 'the console is not empty');
    assert.deepEqual(asked.filter((url) => !/^(data|about|blob):/.test(url) && new URL(url).origin !== origin), [], 'a request left the origin');
    await context.close();
  };
  return Object.assign(page, { said, asked, finish });
}

export const text = (page, selector) => page.locator(selector).textContent();

export async function shoot(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  const path = join(SHOTS, `${name}.png`);
  await page.screenshot({ path, fullPage: true, animations: 'disabled' });
  console.log(`screenshot: ${path}`);
}

export async function fits(page, what) {
  const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
  assert.ok(scroll <= inner, `${what}: ${scroll} px of content in ${inner} px`);
}

/** What axe finds: nothing. The page's policy forbids it a script element, so it comes in by the debugger. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 10, `${what}: axe looked at nothing`);
  const found = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html).join(' | ')}`);
  assert.deepEqual(found, [], what);
}

/** A policy that lets in the page's very script (if it has one) and style, and nothing else. */
export function assertSelfContained({ headers, text: html }, { scripts = 1 } = {}) {
  assert.match(headers['content-type'], /^text\/html\b/);
  assert.equal(headers['referrer-policy'], 'no-referrer');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  const policy = headers['content-security-policy'];
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  for (const directive of ["default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(directive), `${directive} in ${policy}`);
  }
  for (const [tag, name] of [['script', 'script-src'], ['style', 'style-src']]) {
    const inline = [...html.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, 'gs'))].map(([, source]) => source);
    assert.equal(inline.length, tag === 'script' ? scripts : 1, `${inline.length} × <${tag}>`);
    if (!inline.length) {
      assert.ok(policy.includes(`${name} 'none'`), policy);
      continue;
    }
    const hash = createHash('sha256').update(inline[0]).digest('base64');
    assert.ok(policy.includes(`${name} 'sha256-${hash}'`), `the hash of <${tag}> in ${policy}`);
  }
  assert.doesNotMatch(html, /innerHTML|insertAdjacentHTML|document\.write|\beval\b/);
  assert.doesNotMatch(html.match(/<[a-z][^>]*>/gi).join('\n'), /\son[a-z]+=|\sstyle=|\ssrc=/);
}
