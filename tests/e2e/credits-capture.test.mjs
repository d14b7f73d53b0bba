// A call that was answered while its account could not write: it is charged all the same, as soon as the account can.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bearer, creditsOf, entriesOf, operator, PACKAGES, SECRETS } from './credits.mjs';
import { call, startStack, until } from './helpers.mjs';
import { gate } from './points.mjs';
import { onStop, sleep, stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
after(stopEverything);
const ROUTES = { 'GET /weather/*': '$0.001', 'GET /status/:code': '$0.001' };
const worker = await startWorker({ vars: stack.vars({ ROUTES, PACKAGES }), secrets: SECRETS });

/** Has every write of every object fail, as a busy or broken storage does, until it is let go. */
async function lock(folder) {
  const files = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('.sqlite')).map((name) => join(folder, name));
  assert.ok(files.length > 0, 'no object has a database');
  const program = `
import sqlite3, sys
held = [sqlite3.connect(path, isolation_level=None, timeout=20) for path in sys.argv[1:]]
for one in held: one.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
for one in held: one.execute("ROLLBACK")
`;
  const child = spawn('python3', ['-c', program, ...files], { stdio: ['pipe', 'pipe', 'inherit'] });
  onStop(() => child.kill());
  await new Promise((done, failed) => {
    child.stdout.once('data', done);
    child.once('exit', () => failed(new Error('the databases were not locked')));
  });
  return () => new Promise((done) => (child.once('exit', done), child.stdin.end()));
}

// The Worker used to give up after three seconds.
const SECONDS = 8;
for (const [path, status, left, outcome] of [['/weather/lisbon', 200, 4, 'charged'], ['/status/500', 500, 5, 'released']]) {
  test(`${path}, while the account writes nothing for ${SECONDS} seconds: ${outcome} in the end`, async () => {
    const { key } = (await operator(worker.url, { action: 'mint', credits: 5 })).json();
    const held = gate();
    stack.origin.gate = () => held.opened;
    const calls = stack.origin.calls.length;
    const asking = call(worker.url, path, { headers: bearer(key) });
    await until('the origin is asked', () => stack.origin.calls.length > calls);
    const unlock = await lock(worker.persistPath);
    stack.origin.gate = undefined;
    held.open();
    const response = await asking;
    assert.equal(response.status, status, response.text);
    await sleep(SECONDS * 1000);
    const stuck = await creditsOf(worker.url, key).catch(() => undefined);
    if (stuck) assert.equal(stuck.held, 1, 'the fault was none');
    await unlock();
    // Well before the hold ends by itself: the default time-out is longer than this.
    const shown = await until('it is told', async () => {
      const now = await creditsOf(worker.url, key).catch(() => undefined);
      return now?.held === 0 && now;
    }, 25);
    assert.deepEqual([shown.available, shown.activity[0].outcome], [left, outcome]);
    assert.equal((await entriesOf(worker.url, key)).balance, left);
  });
}
