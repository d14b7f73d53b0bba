// A paid call, end to end: a local chain, the official facilitator, an origin, the built Worker under wrangler, and a
// client that pays; then a package of credits, bought and spent. `make demo` runs it; ONCE=1 ends it after the second act,
// with the client's status.

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';

const PREFERRED_PORT = 8402;
const PRICED = '/weather/lisbon';
const styled = process.stdout.isTTY && !process.env.NO_COLOR;
const bold = (text) => (styled ? `\x1b[1m${text}\x1b[0m` : text);
const say = (text = '') => console.log(text);
const line = (name, text) => say(`    ${name.padEnd(12)} ${text}`);

try {
  await main();
} catch (error) {
  const { isInterrupted, stopEverything } = await import('../tests/e2e/stack/processes.mjs');
  if (!isInterrupted()) {
    console.error(`\ndemo failed: ${cureFor(error)}`);
    await stopEverything();
    process.exit(1);
  }
}

async function main() {
  const stack = await start();
  await story(stack);
  await secondAct(stack);
  const { stopEverything } = stack.processes;
  if (process.env.ONCE && process.env.ONCE !== '0') {
    await stopEverything();
    process.exit(0);
  }
  await invite(stack);
  // The work is done: Ctrl-C from here on is the ordinary end (see processes.mjs).
  process.exitCode = 0;
  process.once('SIGINT', () => say('\nstopping'));
  const status = await stack.worker.exited;
  throw new Error(`wrangler ended by itself (${status}); the end of its log:\n${stack.worker.logs().slice(-2000)}`);
}

async function start() {
  // Loaded here and not at the top, so that a clone without npm's packages is told what to do.
  const processes = await import('../tests/e2e/stack/processes.mjs');
  const { startChain, USDC } = await import('../tests/e2e/stack/chain.mjs');
  const { startFacilitator } = await import('../tests/e2e/stack/facilitator.mjs');
  const { startWrangler } = await import('../tests/e2e/stack/wrangler.mjs');
  const { serve, sendJson } = await import('../tests/e2e/stack/http.mjs');
  const version = (name) => {
    const require = createRequire(import.meta.url);
    const entry = require.resolve(name);
    const root = entry.slice(0, entry.lastIndexOf(`node_modules/${name}/`) + `node_modules/${name}/`.length);
    return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  };

  say(bold('Starting'));
  const chain = await waiting('the chain', startChain());
  line('chain', `anvil as chain ${chain.chain.id}, a token at Base Sepolia's USDC address ${USDC}`);
  const facilitator = await startFacilitator({ chain });
  line('facilitator', `@x402/core and @x402/evm ${version('@x402/core')} on ${facilitator.url}`);
  const origin = await serve(async (request, response) => {
    const [, first, city] = new URL(request.url, 'http://origin').pathname.split('/');
    if (first === 'weather' && city) return sendJson(response, 200, { city, sky: 'clear', celsius: 21 });
    if (!first) return sendJson(response, 200, { service: 'weather', try: PRICED });
    return sendJson(response, 404, { error: 'no such page at the origin' });
  });
  line('origin', `a weather API on ${origin.url}`);

  const port = await processes.freePort(PREFERRED_PORT);
  if (port !== PREFERRED_PORT) line('', `port ${PREFERRED_PORT} is taken, the Worker gets ${port}`);
  const vars = {
    ORIGIN: origin.url,
    FACILITATORS: [facilitator.url],
    PACKAGES: { small: { price: '$0.005', credits: 5 }, medium: { price: '$1', credits: 1100 }, large: { price: '$20', credits: 25_000 } },
    KEY_SECRET: randomBytes(32).toString('hex'),
  };
  const worker = await waiting('wrangler dev', startWrangler({ vars, port }));
  line('worker', `the build in workerd, under wrangler ${version('wrangler')}, on ${worker.url}`);
  return { processes, chain, worker };
}

/** The call itself, told as it happens. Throws unless the seller is richer by exactly the price. */
async function story({ chain, worker }) {
  const { wrapFetchWithPayment, x402Client } = await import('@x402/fetch');
  const { ExactEvmScheme } = await import('@x402/evm/exact/client');
  const { receipt } = await import('../tests/e2e/stack/client.mjs');
  const { buyer } = chain.accounts;
  const url = worker.url + PRICED;
  let requirement;
  let before;

  const balances = async () => ({
    buyer: await chain.balanceOf(buyer.address),
    seller: await chain.balanceOf(requirement.payTo),
  });
  const client = x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(buyer) }] });
  client.onBeforePaymentCreation(async ({ selectedRequirements }) => {
    requirement = selectedRequirements;
    before = await balances();
    line('price', money(BigInt(requirement.amount)));
    line('network', `${requirement.network}, asset ${requirement.asset}`);
    line('pay to', requirement.payTo);
  });
  client.onAfterPaymentCreation(async ({ paymentPayload }) => {
    const { signature, authorization } = paymentPayload.payload;
    say(bold('\nThe buyer signs an authorization; it sends no transaction and needs no gas'));
    line('from', authorization.from);
    line('value', money(BigInt(authorization.value)));
    line('nonce', authorization.nonce);
    line('signature', `${signature.slice(0, 34)}...${signature.slice(-8)}`);
  });
  const told = async (request) => {
    const paid = request.headers.has('payment-signature');
    say(bold(`\n${request.method} ${request.url}${paid ? ', with PAYMENT-SIGNATURE' : ''}`));
    const response = await fetch(request);
    line('status', `${response.status} ${response.statusText}`);
    return response;
  };

  const response = await waiting('the paid call', wrapFetchWithPayment(told, client)(url));
  const body = await response.text();
  line('body', body);
  if (!requirement) throw new Error(`${url} asked for no payment: it answered ${response.status} without a challenge`);
  if (!response.ok) throw new Error(`the paid call was answered ${response.status}: ${body}`);
  const settled = receipt(response);
  if (!settled?.success || !settled.transaction) {
    throw new Error(`no receipt of a settlement in the answer: ${JSON.stringify(settled)}`);
  }
  line('receipt', `transaction ${settled.transaction}`);

  const after = await balances();
  const price = BigInt(requirement.amount);
  say(bold('\nBalances on chain'));
  for (const who of ['buyer', 'seller']) {
    const change = after[who] - before[who];
    line(who, `${money(before[who])} -> ${money(after[who])}, ${change < 0n ? '' : '+'}${change}`);
  }
  const rise = after.seller - before.seller;
  if (rise !== price) {
    throw new Error(`the seller's balance rose by ${rise} atomic units, and the price is ${price}`);
  }
  say(`\nThe seller has ${money(price)} more: exactly the price.`);
}

/** Five calls for one payment: a package is bought, and its key spent. Throws unless the books and the chain agree. */
async function secondAct(stack) {
  const { chain, worker } = stack;
  const { wrapFetchWithPayment, x402Client } = await import('@x402/fetch');
  const { ExactEvmScheme } = await import('@x402/evm/exact/client');
  const { receipt } = await import('../tests/e2e/stack/client.mjs');
  const client = x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(chain.accounts.buyer) }] });
  const before = await chain.balanceOf(chain.accounts.buyer.address);

  say(bold(`\nPOST ${worker.url}/api/buy-credits/small, paid once`));
  const bought = await waiting('the purchase', wrapFetchWithPayment(fetch, client)(`${worker.url}/api/buy-credits/small`, { method: 'POST' }));
  const sold = await bought.json();
  if (!bought.ok || !sold.key) throw new Error(`the purchase was answered ${bought.status}: ${JSON.stringify(sold)}`);
  line('receipt', `transaction ${receipt(bought).transaction}`);
  line('key', `${sold.key.slice(0, 18)}…, ${sold.credits} credits`);
  const paid = before - (await chain.balanceOf(chain.accounts.buyer.address));
  if (paid !== 5_000n) throw new Error(`the package costs $0.005, and ${paid} atomic units moved`);

  say(bold(`\nGET ${worker.url}${PRICED}, with Authorization: Bearer <key>`));
  for (let left = sold.credits - 1; left >= 0; left -= 1) {
    const started = performance.now();
    const response = await fetch(worker.url + PRICED, { headers: { authorization: `Bearer ${sold.key}` } });
    const remaining = response.headers.get('x-credits-remaining');
    if (response.status !== 200 || remaining !== String(left)) {
      throw new Error(`call ${sold.credits - left} was answered ${response.status} with ${remaining} credits left, not 200 with ${left}`);
    }
    line(`call ${sold.credits - left}`, `200, ${remaining} left, ${Math.round(performance.now() - started)} ms, nothing on chain`);
  }
  const refused = await fetch(worker.url + PRICED, { headers: { authorization: `Bearer ${sold.key}` } });
  const { balance, required, topUpUrl } = await refused.json();
  if (refused.status !== 402 || balance !== 0) throw new Error(`a spent key was answered ${refused.status}`);
  line('call 6', `402: ${balance} credits left, ${required} needed; top up at ${topUpUrl}`);
  stack.dashboard = sold.dashboardUrl;
  say(`\nFive calls for one payment. The dashboard: ${sold.dashboardUrl}`);
}

/** Lines to try, one of them with a payment signed beforehand. */
async function invite({ processes, chain, worker, dashboard }) {
  const { challenge, header, payloadV2, now } = await import('../tests/e2e/stack/client.mjs');
  const url = worker.url + PRICED;
  const { required } = await challenge(url);
  const halfADay = String(now() + 12 * 60 * 60);
  const payload = await payloadV2(required, chain.accounts.buyer, { overrides: { validBefore: halfADay } });
  const file = join(processes.runDirectory(), 'payment');
  writeFileSync(file, `PAYMENT-SIGNATURE: ${header(payload)}\n`, { mode: 0o600 });
  const { generatePrivateKey, privateKeyToAccount } = await import('viem/accounts');
  const wallet = generatePrivateKey();
  await chain.mint(privateKeyToAccount(wallet).address, 1_000_000n);
  const purse = join(processes.runDirectory(), 'wallet');
  writeFileSync(purse, `${wallet}\n`, { mode: 0o600 });

  say(bold('\nIt stays up until Ctrl-C. To try:'));
  say(`  curl -i ${url}`);
  say('      no payment: the 402, for v2 clients in its header and for v1 clients in its body');
  say(`  curl -i -H @${relative(process.cwd(), file)} ${url}`);
  say('      a payment signed beforehand: the weather and a receipt, once; then a 409');
  say(`  PRIVATE_KEY=$(cat ${relative(process.cwd(), purse)}) npm run --silent pay -- ${url}`);
  say('      the reference signer, with a wallet of its own that holds a dollar of this chain');
  say(`  ${url}`);
  say('      in a browser: the page that a person gets');
  say(`  curl ${worker.url}/llms.txt`);
  say('      what an agent finds; its tools are at /mcp');
  say(`  ${dashboard}`);
  say('      what the key has left, in a browser');
  say(`  curl -i ${worker.url}/`);
  say('      a path without a price: straight to the origin');
}

/** Says every few seconds that it still waits, so that a slow machine does not look like a hang. */
async function waiting(what, promise) {
  const started = Date.now();
  const timer = setInterval(() => {
    line('', `waiting for ${what}, ${Math.round((Date.now() - started) / 1000)} s`);
  }, 5000);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

function money(atomic) {
  const digits = String(atomic).padStart(7, '0');
  const cents = digits.slice(-6).replace(/0+$/, '');
  return `$${digits.slice(0, -6)}${cents ? `.${cents}` : ''} (${atomic} atomic units)`;
}

function cureFor(error) {
  if (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND') {
    return `npm's packages are missing: run \`npm ci\`, or \`make demo\`, which does (${error.message.split('\n')[0]})`;
  }
  return error.cause ? `${error.message} (${error.cause.message ?? error.cause})` : error.message;
}
