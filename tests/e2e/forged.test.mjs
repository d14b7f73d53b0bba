// Forged keys die at the edge: whoever sends them by the thousand makes no Durable Object work, and none is made for them.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { after, test } from 'node:test';
import { PACKAGES, SECRETS, spend } from './credits.mjs';
import { startStack } from './helpers.mjs';
import { stopEverything } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

/** A million are tried natively, on the code that decides (`a_million_random_keys_are_none`); these go through workerd
 * (`FORGED_KEYS=1000000` for as many: five minutes). */
const KEYS = Number(process.env.FORGED_KEYS ?? 20_000);
const stack = await startStack();
const worker = await startWorker({ vars: stack.vars({ ROUTES: { 'GET /weather/*': '$0.001' }, PACKAGES }), secrets: SECRETS });
after(stopEverything);

/** The objects that workerd has a database for. */
const objects = () => readdirSync(worker.persistPath, { recursive: true }).filter((file) => String(file).endsWith('.sqlite')).length;

/** As the Worker makes them, of an account that nobody ever opened. */
function genuine() {
  const name = `e402_test_${randomBytes(16).toString('hex')}0000`;
  return name + createHmac('sha256', SECRETS.KEY_SECRET).update(`edge402 key\n${name}`).digest('hex').slice(0, 32);
}

test(`${KEYS} forged keys: 401 each, and not one object`, async () => {
  // The control: a key that proves itself reaches its object, and the count notices.
  const before = objects();
  const known = await spend(worker.url, genuine());
  assert.deepEqual([known.status, known.json().code, known.json().balance], [402, 'insufficient_credits', 0]);
  const counted = objects();
  assert.equal(counted, before + 1, 'the control');

  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const ask = (key) => new Promise((done, failed) => {
    httpRequest(`${worker.url}/weather/lisbon`, { agent, headers: { authorization: `Bearer ${key}` } }, (response) => {
      response.resume().on('end', () => done(response.statusCode));
    }).on('error', failed).end();
  });
  const statuses = new Map();
  let left = KEYS;
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (left-- > 0) {
      const kind = left % 2 ? 'live' : 'test';
      const status = await ask(`e402_${kind}_${randomBytes(34).toString('hex')}`);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  }));
  agent.destroy();
  assert.deepEqual([...statuses], [[401, KEYS]]);
  assert.equal(objects(), counted, 'an object was made for a forged key');
  assert.equal(stack.origin.calls.length, 0);
});
