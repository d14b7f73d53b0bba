// An agent that knows a host and a task. It reads what is sold there, picks by words and price, fills in the arguments
// by their schema, pays with @x402/fetch within a budget, and buys a package of credits where that is cheaper for the
// calls that it plans.
//
//   PRIVATE_KEY=0x… node examples/agent/agent.mjs HOST 'weather in a city' --with city=lisbon
//                                                 [--calls 6] [--budget '$0.10']
//
// The answers go to stdout, a line each; what it thinks and spends to stderr. Exit status: 0 done, 2 used wrongly (as with
// an argument that the call does not take, or without one that it must have), 3 not within the budget, 1 anything else.
//
// Whatever a host says of itself is a stranger's text. It is shown and compared and nothing more; no URL of it leads to
// another origin; and a price that was listed is a limit: where the 402 asks for more, nothing is signed.

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';

const TRIES = 12;
const LARGEST_DOCUMENT = 1 << 20;

class Stop extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const plain = (text) => String(text ?? '').replace(/\p{C}/gu, ' ').slice(0, 200);
const say = (text) => console.error(text);
/** What a refusal says. */
async function refusal(response) {
  const text = await response.text();
  try {
    const { code, detail } = JSON.parse(text);
    return plain(`${response.status} ${code ?? text}: ${detail ?? ''}`);
  } catch {
    return plain(`${response.status} ${text}`);
  }
}
/** How a body is written, by its type. */
const WRITTEN = {
  'application/json': JSON.stringify,
  'application/x-www-form-urlencoded': (body) => new URLSearchParams(body).toString(),
  'text/plain': String,
};
const OWN_HEADER = /^(authorization|cookie|host|content-.*|.*payment.*|sign-in-with-.*)$/i;
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const identifier = 'payment-identifier';

/** Dollars as USDC's smallest units; undefined for what is no price. */
function atoms(text) {
  const [, whole, cents = ''] = /^\$?(\d{1,9})(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  return whole === undefined ? undefined : BigInt(whole + cents.padEnd(6, '0'));
}
function dollars(value) {
  return `$${value / 1_000_000n}.${String(value % 1_000_000n).padStart(6, '0')}`.replace(/\.?0+$/, '');
}

// What is sold

async function read(origin, path) {
  const response = await fetch(new URL(path, origin), { redirect: 'error', signal: AbortSignal.timeout(30_000) });
  if (!response.ok) return undefined;
  const text = await response.text();
  if (text.length > LARGEST_DOCUMENT) throw new Stop(1, `${path} is too long`);
  return JSON.parse(text);
}

/** Resources and packages, by the manifest or else by OpenAPI, without those whose price cannot be read. */
async function discover(origin) {
  const manifest = await read(origin, '/.well-known/x402-manifest.json');
  const { resources = [], packages = [] } = manifest ?? fromOpenApi(await read(origin, '/openapi.json'));
  const priceOf = ({ price }) => (price?.currency === 'USD' ? atoms(price.amount) : undefined);
  const priced = (entry) => ({ ...entry, price: priceOf(entry) });
  return {
    resources: resources.map(priced).filter(({ price, path }) => price !== undefined && typeof path === 'string'),
    packages: packages.map(priced).filter(({ price, credits }) => price !== undefined && Number.isSafeInteger(credits)),
  };
}

/** Its operations as the manifest has them. */
function fromOpenApi(document) {
  if (!document) throw new Stop(1, 'neither /.well-known/x402-manifest.json nor /openapi.json is there');
  const followed = (value) => {
    const steps = /^#\/(.+)$/.exec(value?.$ref)?.[1].split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    return steps ? steps.reduce((found, step) => found?.[step], document) ?? {} : value;
  };
  const resources = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item).filter(([, one]) => one?.['x-payment-info']).map(([method, operation]) => {
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(followed);
      const body = followed(operation.requestBody);
      const [bodyType] = Object.keys(WRITTEN).filter((type) => body?.content?.[type]);
      const schema = bodyType && followed(body.content[bodyType].schema);
      const named = parameters.map(({ name, schema: of, example }) => [name, { example, ...followed(of) }]);
      const required = parameters.filter((parameter) => parameter.required).map(({ name }) => name);
      if (body?.required) required.push('body');
      const [server] = operation.servers ?? item.servers ?? document.servers ?? [];
      return {
        id: operation.operationId, method: method.toUpperCase(), path, server, price: operation['x-payment-info'].price,
        description: operation.description ?? operation.summary,
        input: { properties: { ...Object.fromEntries(named), ...(schema && { body: schema }) }, required },
        in: { ...Object.fromEntries(parameters.map((one) => [one.name, one.in])), ...(schema && { body: 'body' }) },
        bodyType,
      };
    }));
  return { resources };
}

/** Of what has most of the task's words the cheapest. */
function pick(resources, task) {
  const words = task.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? [];
  const scored = resources.map((resource) => {
    const text = `${resource.id} ${resource.path} ${resource.description}`.toLowerCase();
    return { resource, score: words.filter((word) => text.includes(word)).length };
  });
  const [best] = scored.sort((a, b) => b.score - a.score || Number(a.resource.price - b.resource.price));
  if (!best?.score) throw new Stop(1, 'nothing that is sold there has a word of the task');
  return best.resource;
}

// Its arguments

/** What the user said with `--with`, and which of it the call has a place for. */
function said(pairs) {
  const values = new Map();
  for (const pair of pairs) {
    const [name, value] = pair.split(/=(.*)/s);
    if (value === undefined) throw new Stop(2, `--with ${plain(pair)} has no value: --with ${plain(pair)}=…`);
    values.set(name, value);
  }
  return { values, taken: new Set() };
}

/** A value for a schema: what the user gave, or else the one that the schema itself names. Never its example: that is
    somebody else's call, and this one is paid for. */
function fill(name, schema = {}, given, required) {
  if (given.values.has(name)) {
    given.taken.add(name);
    const value = given.values.get(name);
    const isNumber = ['number', 'integer'].includes(schema.type);
    if (isNumber && !(value.trim() && Number.isFinite(Number(value)))) throw new Stop(2, `${plain(name)} wants a number, and ${plain(value)} is none`);
    return isNumber ? Number(value) : schema.type === 'boolean' ? value === 'true' : value;
  }
  if (!required) return undefined;
  const proposed = [schema.const, schema.default, schema.enum?.[0]].find((value) => value !== undefined);
  if (proposed !== undefined) {
    say(`${plain(name)} is ${plain(JSON.stringify(proposed))}, as nothing else was said`);
    return proposed;
  }
  if (schema.type === 'object' || schema.properties) return fillAll(schema, given);
  const meaning = schema.description ?? schema.type ?? 'a value';
  throw new Stop(2, `it wants ${plain(name)} (${plain(meaning)}): --with ${plain(name)}=…`);
}

function fillAll({ properties = {}, required = [] }, given) {
  const names = Object.keys(properties);
  const filled = names.map((name) => [name, fill(name, properties[name], given, required.includes(name))]);
  return Object.fromEntries(filled.filter(([, value]) => value !== undefined));
}

/** What the path of a server puts before every path of its; its variables have their defaults. */
function prefixOf({ url = '/', variables = {} } = {}, origin) {
  const filled = url.replace(/\{(\w+)\}/g, (written, name) => variables[name]?.default ?? written);
  const server = new URL(filled, origin);
  if (server.origin !== origin) throw new Stop(1, `${plain(filled)} is another origin`);
  return server.pathname.replace(/\/$/, '');
}

/** The call itself, at the origin that was named and at no other: each argument where the document says that it goes. */
function callOf({ method = 'GET', path, server, input = {}, in: places = {}, bodyType = 'application/json' }, given, origin) {
  const names = [...path.matchAll(/\{([\w-]+)\}/g)].map(([, name]) => name);
  const placeOf = (name) => (names.includes(name) ? 'path' : (places[name] ?? (name === 'body' ? 'body' : 'query')));
  const required = [...names, ...(input.required ?? [])];
  const properties = { ...Object.fromEntries(names.map((name) => [name, {}])), ...input.properties };
  // What pays, and what is a secret, is nobody's argument.
  for (const name of Object.keys(properties)) if (placeOf(name) === 'header' && OWN_HEADER.test(name)) delete properties[name];
  const bodied = placeOf('body') === 'body' ? properties.body : undefined;
  if (bodied) delete properties.body;
  const body = bodied && (bodied.properties ? fillAll(bodied, given) : fill('body', bodied, given, required.includes('body')));
  const values = fillAll({ properties, required }, given);
  // Left out it would be another call that is paid for, and not the one that was meant.
  const unknown = [...given.values.keys()].filter((name) => !given.taken.has(name));
  if (unknown.length) {
    const names = Object.keys({ ...properties, ...(bodied?.properties ?? (bodied && { body: bodied })) });
    throw new Stop(2, `it takes no ${plain(unknown.join(' and no '))}, but ${plain(names.join(', ') || 'nothing')}. Nothing was signed`);
  }
  const filled = path.replace(/\{([\w-]+)\}/g, (_, name) => encodeURIComponent(values[name]));
  const url = new URL(prefixOf(server, origin) + filled, origin);
  if (url.origin !== origin) throw new Stop(1, `${plain(path)} leads to another origin`);
  const headers = new Headers();
  for (const [name, value] of Object.entries(values)) {
    const place = placeOf(name);
    if (place === 'query') for (const one of [value].flat()) url.searchParams.append(name, one);
    else if (place === 'header') headers.set(name, value);
    else if (place !== 'path') throw new Stop(1, `${plain(name)} would go into the ${plain(place)}: not by this program`);
  }
  if (body === undefined) return { url, init: { method, headers } };
  if (!WRITTEN[bodyType]) throw new Stop(1, `its body is ${plain(bodyType)}: not by this program`);
  headers.set('content-type', bodyType);
  return { url, init: { method, headers, body: WRITTEN[bodyType](body) } };
}

// Its purse

/** Pays within a budget, and remembers on what. */
function openPurse(wallet, budget) {
  const entries = [];
  const spent = () => entries.reduce((sum, { amount }) => sum + amount, 0n);
  let signed = 0n;
  const client = x402Client.fromConfig({ schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(wallet) }] });
  client.onAfterPaymentCreation(async ({ paymentPayload }) => {
    signed += BigInt(paymentPayload.accepted.amount);
  });
  client.registerExtension({
    key: identifier,
    enrichPaymentPayload: async (payment, { extensions }) => {
      const declared = extensions?.[identifier];
      if (!declared) return payment;
      const named = { ...declared, info: { ...declared.info, id: `pay_${randomUUID()}` } };
      return { ...payment, extensions: { ...payment.extensions, [identifier]: named } };
    },
  });
  return {
    entries,
    spent,
    /** `listed`: the price that was read beforehand. The 402's may be lower, and may not be higher. */
    pay: async (what, listed, { url, init }) => {
      const left = budget - spent();
      if (listed > left) throw new Stop(3, `${what} costs ${dollars(listed)}; ${dollars(left)} of the budget is left`);
      client.setSpendControls({ maxAmountPerPayment: dollars(listed) });
      signed = 0n;
      const entry = { what, amount: 0n };
      entries.push(entry);
      try {
        const response = await wrapFetchWithPayment(patiently, client)(url, init);
        const header = response.headers.get('payment-response');
        const receipt = header && decodePaymentResponseHeader(header);
        // What was signed is what can be taken, whatever amount a receipt may name; and whatever the answer says. A host that
        // refuses can settle it all the same, as long as the signature is valid.
        const transaction = receipt?.success ? receipt.transaction : 'unknown';
        if (receipt?.success || signed > 0n) Object.assign(entry, { amount: signed, transaction });
        return response;
      } catch (error) {
        if (/spendControls/.test(error.message)) {
          const asked = `asks for more than the ${dollars(listed)} that is listed, or for another token`;
          throw new Stop(3, `the 402 of ${what} ${asked}: nothing was signed`);
        }
        // Signed and not answered counts as spent.
        if (signed > 0n) Object.assign(entry, { amount: signed, transaction: 'unknown' });
        throw error;
      }
    },
  };
}

/** With all of its body: an answer that breaks off in its middle is a lost one. */
async function whole(response) {
  const body = await response.arrayBuffer();
  return new Response(body.byteLength ? body : null, response);
}

/** A payment is sent again while its outcome is unknown, and not signed again; a call by key is asked again likewise. */
async function patiently(input, init) {
  const request = new Request(input, { ...init, redirect: 'manual' });
  const promised = ['payment-signature', 'authorization'].some((name) => request.headers.has(name));
  for (let left = TRIES; left > 0; left -= 1) {
    const response = await fetch(request.clone()).then(whole).catch((error) => {
      if (!promised) throw error;
    });
    const wait = response?.headers.get('retry-after');
    if (response && ((response.status !== 503 && !wait) || !promised)) return response;
    await sleep(Math.min(Number(wait) || 2, 60) * 1000);
  }
  throw new Stop(1, 'the outcome is unknown, and the money may have moved');
}

async function main() {
  const text = (value) => ({ type: 'string', ...(value && { default: value }) });
  const options = { calls: text('1'), budget: text('$0.10'), with: { type: 'string', multiple: true, default: [] } };
  const { values, positionals: [host, task] } = parseArgs({ options, allowPositionals: true });
  const budget = atoms(values.budget);
  const calls = Number(values.calls);
  if (!host || !task || budget === undefined || !Number.isSafeInteger(calls) || calls < 1) {
    throw new Stop(2, "usage: PRIVATE_KEY=0x… agent.mjs HOST TASK [--with name=value] [--calls N] [--budget '$0.10']");
  }
  if (!/^0x[0-9a-f]{64}$/i.test(process.env.PRIVATE_KEY)) {
    throw new Stop(2, 'no PRIVATE_KEY in the environment. Make one: export PRIVATE_KEY=0x$(openssl rand -hex 32)');
  }
  const { origin } = new URL(host.includes('://') ? host : `https://${host}`);
  const given = said(values.with);

  const { resources, packages } = await discover(origin);
  const resource = pick(resources, task);
  const call = callOf(resource, given, origin);
  const { method, path, description, price } = resource;
  const choice = `${method} ${plain(path)} (${plain(description)}), ${dollars(price)} a call`;
  say(`${resources.length} resources; taking ${choice}`);

  const purse = openPurse(privateKeyToAccount(process.env.PRIVATE_KEY), budget);
  const direct = price * BigInt(calls);
  const needed = (resource.credits ?? Infinity) * calls;
  const cheaper = packages.filter((one) => one.credits >= needed && one.price < direct);
  const [bundle] = cheaper.sort((a, b) => Number(a.price - b.price));
  const planned = bundle?.price ?? direct;
  if (planned > budget) {
    throw new Stop(3, `${calls} calls cost ${dollars(planned)}, and the budget is ${dollars(budget)}. Nothing was signed`);
  }
  let key;
  let used = 0;
  try {
    if (bundle) {
      say(`${calls} calls are ${dollars(direct)}; ${bundle.credits} credits for ${dollars(bundle.price)} are cheaper`);
      const url = new URL(bundle.url, origin);
      if (url.origin !== origin) throw new Stop(1, 'the package is sold at another origin');
      const order = { url, init: { method: 'POST' } };
      const bought = await purse.pay(`package ${plain(bundle.name)}`, bundle.price, order);
      if (!bought.ok) throw new Stop(1, `no credits: ${await refusal(bought)}`);
      ({ key } = await bought.json());
    }
    for (let number = 1; number <= calls; number += 1) {
      const headers = new Headers(call.init.headers);
      headers.set('authorization', `Bearer ${key}`);
      const byKey = () => patiently(call.url, { ...call.init, headers });
      const response = await (key ? byKey() : purse.pay(`call ${number}`, price, call));
      used += Number(response.headers.get('x-credits-charged') ?? 0);
      if (response.status >= 400) throw new Stop(1, `call ${number}: ${await refusal(response)}`);
      console.log(await response.text());
    }
  } finally {
    say(`spent ${dollars(purse.spent())} of ${dollars(budget)}`);
    for (const { what, amount, transaction } of purse.entries) {
      if (transaction) say(`  ${dollars(amount).padEnd(10)} ${what}, transaction ${plain(transaction)}`);
    }
    // A key that is lost is no money lost: the wallet signs in and is told its keys (docs/credits.md).
    if (key) say(`  ${used} of ${bundle.credits} credits used`);
  }
}

await main().catch((error) => {
  const { message, cause } = error;
  say(error instanceof Stop ? message : plain(cause?.code || cause?.message || message));
  process.exit(error.status ?? 1);
});
