// Tools that cost money, for the tests of MCP: a message as it is written, what a tool asks for, and what it answers.

import assert from 'node:assert/strict';
import { call, prepare, spellings } from './helpers.mjs';
import { sign } from './stack/client.mjs';

export const PAYMENT = 'x402/payment';
export const RECEIPT = 'x402/payment-response';
export const CREDITS = 'edge402/credits';
const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
let ids = 0;

export const request = (method, params, id = ++ids) => ({ jsonrpc: '2.0', id, method, ...(params && { params }) });

/** A call of a tool; `payment` goes into its `_meta`, beside whatever else is given. */
export function toolCall(name, args, { payment, meta, id } = {}) {
  const _meta = { ...meta, ...(payment !== undefined && { [PAYMENT]: payment }) };
  return request('tools/call', { name, arguments: args, ...(Object.keys(_meta).length && { _meta }) }, id);
}

const asBody = (message) => (typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
const asRequest = (message, { headers, method = 'POST' } = {}) => ({ method, headers: { ...HEADERS, ...headers }, body: asBody(message) });

/** A message, POSTed as it is written; the response with the JSON-RPC message in it as `message`, where there is one. */
export async function post(base, message, { target = '/mcp', ...options } = {}) {
  return read(await call(base, target, asRequest(message, options)));
}

/** The same, not yet released. */
export const prepared = (base, message, { target = '/mcp', ...options } = {}) => prepare(base, target, asRequest(message, options));

export function read(response) {
  response.message = /^text\/event-stream/.test(response.headers['content-type'] ?? '') ? lastEvent(response.text) : parsed(response.text);
  return response;
}

function lastEvent(text) {
  const events = text.split(/\r?\n\r?\n/).map((block) => block.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('\n'));
  return events.map(parsed).filter((message) => message && 'id' in message && !message.method).at(-1);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The answer to a call is a result; returns it. */
export function resultOf(response) {
  assert.equal(response.status, 200, response.text);
  assert.ok(response.message?.result, response.text);
  return response.message.result;
}

/** A JSON-RPC error with this code, and nothing of an answer. */
export function assertError(response, code) {
  assert.equal(response.message?.error?.code, code, `${response.status} ${response.text}`);
  assert.equal(response.message.result, undefined);
  assertNothingSaid(response);
}

/** Not a word of what a tool said. */
export function assertNothingSaid({ text }) {
  assert.doesNotMatch(text, /celsius/, 'the answer got out');
}

/** A result that says it failed, whose structure and text are the same; returns the structure. */
export function assertFailed(result) {
  assert.equal(result.isError, true, JSON.stringify(result));
  assert.equal(result.content[0].type, 'text');
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return result.structuredContent;
}

/** The price of a tool, as `PaymentRequired`; `amount` in atoms. */
export function assertPrice(result, { tool, amount, network } = {}) {
  const required = assertFailed(result);
  assert.equal(required.x402Version, 2, JSON.stringify(required));
  assert.equal(typeof required.error, 'string');
  assert.ok(required.accepts.length > 0);
  if (tool) assert.equal(required.resource.url, `mcp://tool/${tool}`);
  if (amount) assert.equal(required.accepts[0].amount, amount);
  if (network) assert.equal(required.accepts[0].network, network);
  assertNothingSaid({ text: JSON.stringify(result) });
  assert.equal(result._meta?.[RECEIPT]?.success ?? false, false);
  return required;
}

/** A refusal that is no invitation to pay: this stable code, and no price. */
export function assertRefusal(response, code) {
  const problem = assertFailed(resultOf(response));
  const codes = [code].flat();
  assert.ok(codes.includes(problem.code), `code ${problem.code} is not ${codes.join(' or ')}: ${response.text}`);
  assert.equal(problem.accepts, undefined, response.text);
  assertNothingSaid(response);
  return problem;
}

/** The tool's own answer; returns the result. */
export function assertSaid(response, pattern = /celsius/) {
  const result = resultOf(response);
  assert.ok(!result.isError, response.text);
  assert.match(JSON.stringify(result), pattern);
  return result;
}

/** The receipt of a paid result: this payer, a success, a transaction. */
export function assertReceipt(result, payer) {
  const receipt = result._meta?.[RECEIPT];
  assert.equal(receipt?.success, true, JSON.stringify(result));
  assert.equal(receipt.payer.toLowerCase(), payer.toLowerCase());
  assert.match(receipt.transaction, /^0x[0-9a-f]{64}$/);
  return receipt;
}

/** One signed payment for a tool, in its spellings (`json`), and with an identifier (`named(id)`). */
export async function payFor(base, name, args, account, { fields, target } = {}) {
  const required = assertPrice(resultOf(await post(base, toolCall(name, args), { target })), { tool: name });
  const [requirement] = required.accepts;
  const signed = await sign(requirement, account, fields);
  const made = spellings(requirement, signed);
  return {
    required, requirement, signed, nonce: signed.authorization.nonce, ...made,
    payment: made.json.v2,
    named: (id) => ({ ...made.json.v2, extensions: { 'payment-identifier': { info: { required: false, id } } } }),
  };
}
