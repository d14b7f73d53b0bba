// How a URL reaches the origin: as the runtime spells it, which is how it was priced.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { authorize, call, startStack } from './helpers.mjs';
import { serve } from './stack/http.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);
const seen = [];
const origin = await serve((request, response) => {
  seen.push(request.url);
  response.end('celsius');
});
const worker = await startWorker({ vars: stack.vars({ ORIGIN: origin.url, ROUTES: { 'GET /paid/*': '$0.001' } }) });

// docs/existing-api.md lists these.
const PATH = ['"', '<', '>', '^', '{', '}', '`'];
const QUERY = ['"', '<', '>', "'"];
const KEPT = ["/a'b", '/a|b', '/a!$&()*+,=:@-._~', '/a?b=%7e&c=d+e&&f', '/a?', '/a?x={}|^`'];
const escaped = (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

for (const [where, before, characters] of [['a path', '/free/a', PATH], ['a query', '/free/a?b=', QUERY]]) {
  test(`in ${where} these and no others are escaped on the way: ${characters.join(' ')}`, async () => {
    for (const character of characters) {
      await call(worker.url, `${before}${character}`);
      assert.equal(seen.at(-1), `${before}${escaped(character)}`);
    }
  });
}

test('everything else of a URL comes as it was sent', async () => {
  for (const target of KEPT) {
    await call(worker.url, `/free${target}`);
    assert.equal(seen.at(-1), `/free${target}`);
  }
});

test('what is paid for is what the origin gets', async () => {
  const target = "/paid/a?b='x'";
  const payment = await authorize(worker.url, target, await stack.buyer());
  assert.equal((await call(worker.url, target, { headers: payment.v2 })).status, 200);
  assert.equal(seen.at(-1), '/paid/a?b=%27x%27');
});
