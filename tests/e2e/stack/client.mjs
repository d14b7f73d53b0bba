// Buyers: the two official clients, and the parts to build a payment by hand, sound or spoilt.

import { request as httpRequest } from 'node:http';
import { randomBytes } from 'node:crypto';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { getAddress } from 'viem';

const CHAIN_IDS = { base: 8453, 'base-sepolia': 84532 };
const V1_NAMES = { 'eip155:8453': 'base', 'eip155:84532': 'base-sepolia' };
const TYPES = {
  TransferWithAuthorization: [
    { name: 'from', type: 'address' }, { name: 'to', type: 'address' }, { name: 'value', type: 'uint256' },
    { name: 'validAfter', type: 'uint256' }, { name: 'validBefore', type: 'uint256' }, { name: 'nonce', type: 'bytes32' },
  ],
};

/**
 * Calls and, on a 402, pays with `@x402/fetch`. The response carries the decoded receipt as `receipt`, and what was
 * signed as `paid` ({paymentRequired, paymentPayload}), both undefined where there was none.
 * @param {string} url
 * @param {object} account a viem account
 * @param {{init?: RequestInit, spend?: string | false}} [options] `spend`: the client's own limit per payment, as "$20"
 */
export async function payV2(url, account, { init, spend } = {}) {
  let paid;
  const client = x402Client.fromConfig({
    schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(account) }],
    ...(spend === undefined ? {} : { spendControls: spend === false ? false : { maxAmountPerPayment: spend } }),
  });
  client.onAfterPaymentCreation(async (context) => {
    paid = context;
  });
  const response = await wrapFetchWithPayment(fetch, client)(url, init);
  return Object.assign(response, { receipt: receipt(response), paid });
}

/** The same with the legacy `x402-fetch`; `spend` is its limit in atomic units. */
export async function payV1(url, account, { init, spend = 10_000_000n } = {}) {
  // Loaded on demand: its dependencies take a second or two.
  const { wrapFetchWithPayment: wrapV1 } = await import('x402-fetch');
  const response = await wrapV1(fetch, account, spend)(url, init);
  return Object.assign(response, { receipt: receipt(response) });
}

/** The decoded receipt of a response, from PAYMENT-RESPONSE or else X-PAYMENT-RESPONSE. */
export function receipt(response) {
  const header = response.headers.get('payment-response') ?? response.headers.get('x-payment-response');
  return header ? decode(header) : undefined;
}

/**
 * Calls without paying.
 * @returns {Promise<{status: number, headers: Headers, required?: object, body?: any, text: string}>} `required`: the
 *   decoded PAYMENT-REQUIRED; `body`: the answer's JSON.
 */
export async function challenge(url, init = {}) {
  const response = await fetch(url, { redirect: 'manual', ...init });
  const text = await response.text();
  const header = response.headers.get('payment-required');
  return {
    status: response.status,
    headers: response.headers,
    required: header ? decode(header) : undefined,
    body: jsonOf(text),
    text,
  };
}

/**
 * Signs an EIP-3009 authorization that fits `requirement` (of either version), except for `overrides` of its fields.
 * `overrides.domain` changes the EIP-712 domain that is signed under.
 * @returns {Promise<{signature: `0x${string}`, authorization: object}>}
 */
export async function sign(requirement, account, { domain = {}, ...overrides } = {}) {
  const authorization = {
    from: account.address,
    to: getAddress(requirement.payTo),
    value: requirement.amount ?? requirement.maxAmountRequired,
    validAfter: '0',
    validBefore: String(now() + requirement.maxTimeoutSeconds),
    nonce: `0x${randomBytes(32).toString('hex')}`,
    ...overrides,
  };
  const signature = await account.signTypedData({
    domain: {
      name: requirement.extra.name,
      version: requirement.extra.version,
      chainId: chainIdOf(requirement.network),
      verifyingContract: getAddress(requirement.asset),
      ...domain,
    },
    types: TYPES,
    primaryType: 'TransferWithAuthorization',
    message: authorization,
  });
  return { signature, authorization };
}

/** A v2 payload for PAYMENT-SIGNATURE; `required` is the decoded PAYMENT-REQUIRED, `index` the entry to pay. */
export async function payloadV2(required, account, { index = 0, overrides } = {}) {
  const accepted = required.accepts[index];
  return { x402Version: 2, resource: required.resource, accepted, payload: await sign(accepted, account, overrides) };
}

/** A v1 payload for X-PAYMENT; `requirement` is an entry of the v1 body's `accepts`. */
export async function payloadV1(requirement, account, { overrides } = {}) {
  const { scheme, network } = requirement;
  return { x402Version: 1, scheme, network, payload: await sign(requirement, account, overrides) };
}

/**
 * The third dialect's payload for X-PAYMENT: version 2 with `scheme` and `network` on top and no `accepted`. `network`
 * defaults to the requirement's; "v1" writes it as the v1 name.
 */
export async function thirdDialect(requirement, account, { network = requirement.network, overrides } = {}) {
  return {
    x402Version: 2,
    scheme: requirement.scheme,
    network: network === 'v1' ? (V1_NAMES[requirement.network] ?? requirement.network) : network,
    payload: await sign(requirement, account, overrides),
  };
}

/** Any object as a payment header: standard base64 of its JSON. */
export const header = (payload) => Buffer.from(JSON.stringify(payload)).toString('base64');

/** The object in a base64 header. */
export const decode = (value) => JSON.parse(Buffer.from(value, 'base64').toString('utf8'));

/** The same signature in its high-s form, which recovers to the same signer. */
export function highS(signature) {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const s = order - BigInt(`0x${signature.slice(66, 130)}`);
  const v = signature.slice(130) === '1b' ? '1c' : '1b';
  return `${signature.slice(0, 66)}${s.toString(16).padStart(64, '0')}${v}`;
}

/**
 * A request whose path and headers go out exactly as given: `fetch` would tidy `//`, `..` and `\` away.
 * @returns {Promise<{status: number, headers: object, text: string, body?: any}>} `body`: the answer's JSON, if it is.
 */
export function rawRequest(base, path, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, port } = new URL(base);
  return new Promise((done, failed) => {
    const request = httpRequest({ hostname, port, path, method, headers, agent: false }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', failed);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        done({ status: response.statusCode, headers: response.headers, text, body: jsonOf(text) });
      });
    });
    request.on('error', failed);
    request.end(body);
  });
}

/** Seconds since 1970. */
export const now = () => Math.floor(Date.now() / 1000);

function chainIdOf(network) {
  const id = CHAIN_IDS[network] ?? Number(network.match(/^eip155:(\d+)$/)?.[1]);
  if (!id) throw new Error(`no chain id known for the network ${network}`);
  return id;
}

function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
