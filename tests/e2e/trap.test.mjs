// A trap in the wasm (a panic is one) costs the request that it is in, and no other: what comes next gets a new instance,
// and the objects of payers are made again in it. The Worker is the built one, with two calls into its wasm made to trap.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertAnswered, authorize, call, startStack, until } from './helpers.mjs';
import { freshDirectory, ROOT, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const TRAP = 'x-trap';
const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({ ROUTES: { 'GET /weather/*': '$0.001' } }),
  config: trapping(),
});
after(stopEverything);

/** The built Worker in a folder of its own, where a request with a header traps in the Worker, and one path in a payer's object. */
function trapping() {
  const folder = freshDirectory('trapping');
  copyFileSync(join(ROOT, 'build/index_bg.wasm'), join(folder, 'index_bg.wasm'));
  let script = readFileSync(join(ROOT, 'build/index.js'), 'utf8');
  const replace = (pattern, to) => {
    assert.equal([...script.matchAll(pattern)].length, 1, `once in build/index.js: ${pattern}`);
    script = script.replace(pattern, to);
  };
  // As wasm-bindgen writes both, after esbuild: NAME.fetch(request, env, context) and NAME.payer_fetch(pointer, request).
  replace(/=(\w+\.fetch\((\w+),\w+,\w+\))/g, '=trapping($2)?trap():$1');
  replace(/=(\w+\.payer_fetch\(this\.__wbg_ptr,\w+\))/g, '=trapsInObject?(trapsInObject=false,trap()):$1');
  script += `
let trapsInObject = false;
function trapping(request) {
  const where = request.headers.get("${TRAP}");
  if (where === "object") trapsInObject = true;
  return where === "worker";
}
function trap() { throw new WebAssembly.RuntimeError("unreachable"); }
`;
  writeFileSync(join(folder, 'index.js'), script);
  const config = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8').replace('build/index.js', 'index.js');
  writeFileSync(join(folder, 'wrangler.toml'), config);
  return join(folder, 'wrangler.toml');
}

/** Whatever became of it: a trapped request has no answer that could be relied upon. */
const trapped = (target, headers) => call(worker.url, target, { headers }).then(({ status }) => assert.notEqual(status, 200), () => {});

test('after a trap in the Worker the next request is answered by a new instance', async () => {
  for (let round = 0; round < 3; round += 1) {
    await trapped('/weather/lisbon', { [TRAP]: 'worker' });
    assert.equal((await call(worker.url, '/weather/lisbon')).status, 402);
  }
  await until('the trap is in the log', () => worker.logs().includes('unreachable'));
  assert.match(worker.logs(), /Reinitializing Wasm application/);
});

test("an object of a payer's from before a trap goes on in the new instance, with what it has stored", async () => {
  const buyer = await stack.buyer();
  const first = await authorize(worker.url, '/weather/lisbon', buyer);
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: first.v2 }));
  await trapped('/weather/lisbon', { [TRAP]: 'worker' });
  // The object lives, and was made in the instance that is gone.
  assert.equal((await call(worker.url, '/weather/lisbon', { headers: first.v2 })).status, 409);
  const second = await authorize(worker.url, '/weather/lisbon', buyer);
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: second.v2 }));
});

test("a trap in a payer's object takes no money, and the same payment is answered afterwards", async () => {
  const buyer = await stack.buyer();
  const { v2 } = await authorize(worker.url, '/weather/lisbon', buyer);
  await trapped('/weather/lisbon', { ...v2, [TRAP]: 'object' });
  assert.equal(await stack.chain.balanceOf(buyer.address), 1_000_000n);
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: v2 }));
});
