// Pays for one HTTP request by x402: version 2, scheme "exact", EIP-3009. It uses viem for the signature and no x402
// library, so that the protocol can be read here:
//
//   1. Ask. A 402 carries PAYMENT-REQUIRED: base64 of {accepts: [who wants how much of which token on which network]}.
//   2. Choose an entry, hold it against what the user allows, and sign it: EIP-712, no transaction and no gas.
//   3. Ask again with PAYMENT-SIGNATURE: base64 of {accepted, payload: {signature, authorization}}.
//   4. While the outcome is not known, send the very same again. A second signature could pay a second time.

import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { getAddress } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const USAGE = `PRIVATE_KEY=0x… npm run --silent pay -- URL [options]

  --method POST           GET, or POST where there is --data
  --data JSON             the body
  --header 'Name: value'  may be given several times
  --max '$0.10'           the most that is ever signed for
  --network eip155:84532  pay on this network only
  --key e402_…            spend prepaid credits; on a package's URL: top this key up
  --id pay_…              the payment-identifier, 16 to 128 of A-Z a-z 0-9 _ -; made up if not given
  --dry-run               show the price and stop; needs no PRIVATE_KEY
  --print-header          sign, print the value of PAYMENT-SIGNATURE and send nothing
  --again VALUE           send this PAYMENT-SIGNATURE and sign nothing
  --patience 120          seconds to go on asking with the same payment while its outcome is unknown
  --any-asset             also pay in tokens other than USDC on Base and Base Sepolia, up to
  --max-atomic N          so many of the token's smallest units

The answer goes to stdout, all else to stderr. Exit status:
  0  answered     2  used wrongly     3  too dear, nothing signed
  4  no answer: refused, failed or not reached; the receipt, if there is one, says what was paid
  5  the outcome is unknown: it says how to ask again with the same payment`;

const NO_KEY = `no PRIVATE_KEY in the environment. Make one for this alone, and put some dollars of USDC on its address:
  export PRIVATE_KEY=0x$(openssl rand -hex 32)
It is read from the environment only: what stands on a command line is seen by everybody on the machine.`;

// Where a signature moves real dollars or test money, nothing that a server says is taken for the token's identity.
const TOKENS = {
  'eip155:8453': { asset: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913', name: 'USD Coin', version: '2' },
  'eip155:84532': { asset: '0x036CbD53842c5426634e7929541eC2318f3dCF7e', name: 'USDC', version: '2' },
};
const DECIMALS = 6;
const LONGEST_VALIDITY = 3600;
const LONGEST_ANSWER = 120_000;
const TYPES = {
  TransferWithAuthorization: [
    { name: 'from', type: 'address' }, { name: 'to', type: 'address' }, { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' }, { name: 'validBefore', type: 'uint256' },
    { name: 'nonce', type: 'bytes32' },
  ],
};

class Stop extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64');
const decode = (header) => JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
/** A server's words, without what a terminal would take for commands. */
const plain = (text) => String(text ?? '').replace(/\p{C}/gu, ' ').slice(0, 500);
const say = (name, text) => console.error(`${name.padEnd(8)} ${text}`);

function dollars(text, option) {
  const [, whole, cents = ''] = /^\$?(\d{1,12})(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  if (whole === undefined) throw new Stop(2, `${option} is not an amount in dollars, such as '$0.10'`);
  return BigInt(whole + cents.padEnd(DECIMALS, '0'));
}

function shown(atoms) {
  const digits = String(atoms).padStart(DECIMALS + 1, '0');
  const cents = digits.slice(-DECIMALS).replace(/0+$/, '');
  return `$${digits.slice(0, -DECIMALS)}${cents && `.${cents}`}`;
}

/** Without `--` npm takes the options for its own, and what was to be a dry run pays. What it leaves of them shows it. */
function refuseWhatNpmTook(env, options) {
  if (!env.npm_lifecycle_event) return;
  // It reads --max as its own maxsockets.
  const taken = [...Object.keys(options), 'maxsockets'].filter((name) => env[`npm_config_${name.replaceAll('-', '_')}`] !== undefined);
  if (taken.length === 0) return;
  const names = taken.map((name) => `--${name === 'maxsockets' ? 'max' : name}`).join(', ');
  throw new Stop(2, `npm has taken ${names} for its own: write -- before the URL (npm run pay -- URL --max '$0.10'). Nothing was asked or signed`);
}

function readArguments(args) {
  if (args.some((arg) => /^(--private-?key\b.*|(0x)?[0-9a-f]{64})$/i.test(arg))) {
    const why = 'it is in your shell\'s history now, and everybody on the machine may have seen it';
    throw new Stop(2, `a private key does not belong on the command line: ${why}. Make another, and use PRIVATE_KEY`);
  }
  const text = { type: 'string' };
  const flag = { type: 'boolean' };
  const options = {
    method: text, data: text, header: { ...text, multiple: true }, max: { ...text, default: '$0.10' }, network: text,
    key: text, id: text, again: text, patience: { ...text, default: '120' }, 'max-atomic': text,
    'dry-run': flag, 'print-header': flag, 'any-asset': flag, help: flag,
  };
  refuseWhatNpmTook(process.env, options);
  let parsed;
  try {
    parsed = parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new Stop(2, `${error.message}\n\n${USAGE}`);
  }
  const { values, positionals } = parsed;
  if (values.help) throw new Stop(0, USAGE);
  const url = URL.canParse(positionals[0]) && new URL(positionals[0]);
  if (positionals.length !== 1 || !url) throw new Stop(2, USAGE);
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
    throw new Stop(2, 'a payment goes over https: on its way over http it could be taken and used by somebody else');
  }
  const fits = /^[A-Za-z0-9_-]{16,128}$/;
  if (values.id && !fits.test(values.id)) throw new Stop(2, '--id wants 16 to 128 of A-Z a-z 0-9 _ -');
  const sendsNothing = values['dry-run'] || values['print-header'];
  if (values.again && sendsNothing) throw new Stop(2, '--again sends, and nothing else');
  if (Boolean(values['any-asset']) !== /^\d+$/.test(values['max-atomic'] ?? '')) {
    throw new Stop(2, '--any-asset and --max-atomic N go together: nobody knows what such a token is in dollars');
  }
  const patience = Number(values.patience);
  if (!(patience >= 0)) throw new Stop(2, '--patience wants seconds');

  const headers = new Headers();
  if (values.data !== undefined) headers.set('content-type', 'application/json');
  for (const line of values.header ?? []) {
    const [, name, value] = /^([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (!name) throw new Stop(2, '--header wants \'Name: value\'');
    headers.set(name, value);
  }
  if (values.key) headers.set('authorization', `Bearer ${values.key}`);
  const method = (values.method ?? (values.data === undefined ? 'GET' : 'POST')).toUpperCase();
  const bodyless = ['GET', 'HEAD'].includes(method);
  if (values.data !== undefined && bodyless) throw new Stop(2, `--data does not go with ${method}`);
  const limits = {
    max: dollars(values.max, '--max'), maxAtomic: BigInt(values['max-atomic'] ?? 0),
    network: values.network, anyAsset: values['any-asset'],
  };
  // A redirect is an answer; a payment follows none.
  return { ...values, url, patience, limits, request: { method, headers, body: values.data, redirect: 'manual' } };
}

function readWallet() {
  const key = process.env.PRIVATE_KEY;
  if (!key) throw new Stop(2, NO_KEY);
  try {
    if (!/^0x[0-9a-f]{64}$/i.test(key)) throw new Error('not its form');
    return privateKeyToAccount(key);
  } catch {
    // The library's own error might quote what it was given.
    throw new Stop(2, 'PRIVATE_KEY is no private key: it is 0x and 64 hexadecimal digits');
  }
}

/** One request and all of its answer: an answer that breaks off in its middle is a lost one. */
async function ask(url, request) {
  const response = await fetch(url, { ...request, signal: AbortSignal.timeout(LONGEST_ANSWER) });
  return { response, status: response.status, body: Buffer.from(await response.arrayBuffer()) };
}

/** Why an offer is not one that we sign; undefined where it is. */
function objection(offer, { network, anyAsset }) {
  const { scheme, amount, extra = {} } = offer;
  const { assetTransferMethod: method = 'eip3009', paymentFlow: flow = 'authorization' } = extra;
  const known = TOKENS[offer.network];
  if (scheme !== 'exact') return `the scheme ${plain(scheme)} is not spoken here`;
  if (!/^eip155:[1-9]\d{0,14}$/.test(offer.network)) return `nothing is known here of ${plain(offer.network)}`;
  if (network && offer.network !== network) return `it is on ${offer.network}, not on ${plain(network)}`;
  if (method !== 'eip3009') return `${plain(method)} is not spoken here`;
  if (!['authorization', 'upfront'].includes(flow)) return `the flow ${plain(flow)} is not known`;
  if (!/^\d{1,78}$/.test(amount) || !(offer.maxTimeoutSeconds > 0)) return 'it has no amount or no time';
  if (known?.asset.toLowerCase() === String(offer.asset).toLowerCase()) {
    const same = extra.name === known.name && extra.version === known.version;
    return same ? undefined : `USDC is "${known.name}" ${known.version} there, not ${plain(JSON.stringify(extra))}`;
  }
  if (!anyAsset) return `${plain(offer.asset)} on ${offer.network} is not USDC as known here (--any-asset pays in it)`;
  const named = typeof extra.name === 'string' && typeof extra.version === 'string';
  return named ? undefined : 'it has no EIP-712 name and version';
}

/** The offer to pay: of those within the limits the first, and rather one that is settled after the answer. */
function choose({ accepts = [] }, limits) {
  const isKnown = (offer) => TOKENS[offer.network]?.asset.toLowerCase() === offer.asset.toLowerCase();
  const limitOf = (offer) => (isKnown(offer) ? limits.max : limits.maxAtomic);
  const priceOf = (offer) => {
    const { amount, network, asset } = offer;
    if (!isKnown(offer)) return `${amount} units of ${plain(asset)} on ${network}`;
    return `${shown(amount)} (${amount} atomic units) of USDC on ${network}`;
  };
  const objections = accepts.map((offer) => objection(offer, limits));
  const fit = accepts.filter((_, index) => !objections[index]);
  if (!fit.length) throw new Stop(4, ['nothing on offer that is signed here:', ...objections].join('\n  '));
  const affordable = fit.filter((offer) => BigInt(offer.amount) <= limitOf(offer));
  const isUpfront = ({ extra }) => extra.paymentFlow === 'upfront';
  const offer = affordable.find((one) => !isUpfront(one)) ?? affordable[0] ?? fit[0];
  say('price', priceOf(offer));
  say('pay to', plain(offer.payTo));
  if (affordable.length) return offer;
  const limit = isKnown(offer) ? shown(limits.max) : limits.maxAtomic;
  throw new Stop(3, `too dear: the limit is ${limit}. Nothing was signed`);
}

/** The value of PAYMENT-SIGNATURE. */
async function sign(required, accepted, wallet, id) {
  const seconds = Math.min(accepted.maxTimeoutSeconds, LONGEST_VALIDITY);
  const authorization = {
    from: wallet.address,
    to: getAddress(accepted.payTo),
    value: accepted.amount,
    validAfter: '0',
    validBefore: String(Math.floor(Date.now() / 1000) + seconds),
    nonce: `0x${randomBytes(32).toString('hex')}`,
  };
  const signature = await wallet.signTypedData({
    domain: {
      name: accepted.extra.name,
      version: accepted.extra.version,
      chainId: Number(accepted.network.slice('eip155:'.length)),
      verifyingContract: getAddress(accepted.asset),
    },
    types: TYPES,
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  });
  // Payment and signature lie on chain for everybody to see; the identifier does not. Who shows it gets a lost answer
  // again.
  const declared = required.extensions?.['payment-identifier'];
  const extensions = declared && { 'payment-identifier': { ...declared, info: { ...declared.info, id } } };
  if (declared) say('id', id);
  const payload = { signature, authorization };
  return encode({ x402Version: 2, resource: required.resource, accepted, payload, extensions });
}

/** Sends one payment until its outcome is known, or patience ends. */
async function pay({ url, request, patience }, payment) {
  const headers = new Headers(request.headers);
  headers.set('payment-signature', payment);
  const unknown = (why) => new Stop(5, `${why}
The money may have moved: do not sign again. Ask again with the same payment, by the same command with
  --again ${payment}`);
  process.once('SIGINT', () => end(unknown('interrupted.')));
  const deadline = Date.now() + patience * 1000;
  for (let lost = false, tries = 1; ; tries += 1) {
    let answer;
    let why;
    try {
      answer = await ask(url, { ...request, headers });
      const { status, response } = answer;
      const receipt = receiptOf(response);
      const pending = receipt?.errorReason === 'settlement_pending';
      const again = status === 503 || pending || response.headers.has('retry-after');
      if (status < 400 || receipt?.success) return answer;
      // A definite no. But that a payment was used before may mean: by the try whose answer was lost.
      if (!again && status < 500 && !(lost && status === 409)) return answer;
      why = `${status}: ${problem(answer)}`;
      // It failed and said nothing of trying again: that is left to a person.
      if (!again) throw unknown(why);
    } catch (error) {
      if (error instanceof Stop) throw error;
      lost = true;
      why = `the answer was lost: ${reason(error)}`;
    }
    const told = Number(answer?.response.headers.get('retry-after'));
    const wait = Math.min(told > 0 ? told : 2 ** Math.min(tries, 5), 60) * 1000;
    if (Date.now() + wait > deadline) throw unknown(why);
    say('again', `in ${wait / 1000} s with the same payment; ${why}`);
    await sleep(wait);
  }
}

/** Why a request failed, as the runtime has it. */
const reason = ({ cause, name }) => plain(cause?.code || cause?.message || name);

/** What a refusal says: the members of a problem document, or the text as it is. */
function problem({ body }) {
  const text = body.toString('utf8');
  try {
    const { code, detail, hint } = JSON.parse(text);
    return plain([code, detail, hint].filter(Boolean).join('. ') || text);
  } catch {
    return plain(text);
  }
}

function receiptOf({ headers }) {
  try {
    return decode(headers.get('payment-response'));
  } catch {
    return undefined;
  }
}

/** The answer to stdout, the receipt to stderr; a refusal is an error. */
function show({ response, status, body }) {
  const receipt = receiptOf(response);
  if (receipt?.success) {
    const { transaction, network, payer } = receipt;
    say('paid', `transaction ${plain(transaction || 'not known')} on ${plain(network)} by ${plain(payer)}`);
  }
  const charged = response.headers.get('x-credits-charged');
  if (charged) say('credits', `${plain(charged)} charged, ${plain(response.headers.get('x-credits-remaining'))} left`);
  const unpaid = receipt?.success ? '' : '\nThere is no receipt for a payment';
  if (status >= 400) throw new Stop(4, `${status}: ${problem({ body })}${unpaid}`);
  say('status', status);
  process.stdout.write(body);
  if (process.stdout.isTTY) console.log();
}

async function main() {
  const options = readArguments(process.argv.slice(2));
  const { url, request } = options;
  if (options.again) return show(await pay(options, options.again));
  const wallet = options['dry-run'] || options.key ? undefined : readWallet();

  let asked;
  try {
    asked = await ask(url, request);
  } catch (error) {
    throw new Stop(4, `${url.host} cannot be reached: ${reason(error)}. Nothing was signed`);
  }
  if (asked.status !== 402) return show(asked);
  const header = asked.response.headers.get('payment-required');
  if (!header) throw new Stop(4, 'this 402 has no PAYMENT-REQUIRED: it is not x402 version 2');
  if (options.key && /"topUpUrl"/.test(asked.body)) throw new Stop(4, `402: ${problem(asked)}`);
  const required = decode(header);
  const offer = choose(required, options.limits);
  if (options['dry-run']) return;
  const id = options.id ?? `pay_${randomBytes(16).toString('hex')}`;
  const payment = await sign(required, offer, wallet ?? readWallet(), id);
  if (options['print-header']) return void console.log(payment);
  show(await pay(options, payment));
}

function end(error) {
  console.error(error instanceof Stop ? error.message : `no sense can be made of this: ${plain(error.message)}`);
  process.exit(error.status ?? 4);
}

await main().catch(end);
