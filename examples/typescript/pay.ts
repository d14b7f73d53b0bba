// Pays for one request with the official client, @x402/fetch.
//
//   npm install @x402/fetch @x402/evm @x402/extensions viem
//   PRIVATE_KEY=0x… node pay.ts https://host/path                       Node 22.18 or newer runs TypeScript as it is
//   PRIVATE_KEY=0x… node --input-type=module -e "$(npx esbuild pay.ts)" https://host/path             any older one
//
// MAX_PRICE is the most that one payment may be, '$0.10' if it is not set. The answer goes to stdout, the receipt to
// stderr.

import { decodePaymentResponseHeader, wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { appendPaymentIdentifierToExtensions } from '@x402/extensions/payment-identifier';
import { privateKeyToAccount } from 'viem/accounts';

const TRIES = 12;
const url = process.argv.at(-1) ?? '';
const key = process.env.PRIVATE_KEY as `0x${string}` | undefined;
if (!/^0x[0-9a-f]{64}$/i.test(key ?? '')) {
  console.error('no PRIVATE_KEY in the environment. Make one: export PRIVATE_KEY=0x$(openssl rand -hex 32)');
  process.exit(2);
}

/** With all of its body: an answer that breaks off in its middle is a lost one. */
async function whole(response: Response): Promise<Response> {
  const body = await response.arrayBuffer();
  return new Response(body.byteLength ? body : null, response);
}

/** The client signs anew for every call. So it is here that one payment is sent again while its outcome is unknown. */
async function patiently(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  // A redirect is an answer; a payment follows none.
  const request = new Request(input, { ...init, redirect: 'manual' });
  if (!request.headers.has('payment-signature')) return fetch(request);
  for (let left = TRIES; left > 0; left -= 1) {
    const response = await fetch(request.clone()).then(whole).catch(() => undefined);
    const wait = response?.headers.get('retry-after');
    if (response && response.status !== 503 && !wait) return response;
    console.error('asking again with the same payment');
    await new Promise((done) => setTimeout(done, Math.min(Number(wait) || 2, 60) * 1000));
  }
  throw new Error('the outcome is unknown, and the money may have moved: do not sign again');
}

const client = x402Client.fromConfig({
  schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(privateKeyToAccount(key!)) }],
  // Without this line the client's own limit is $1.
  spendControls: { maxAmountPerPayment: process.env.MAX_PRICE ?? '$0.10' },
});
// Who shows the identifier gets an answer again that was lost on its way.
client.registerExtension({
  key: 'payment-identifier',
  enrichPaymentPayload: async (payment) => {
    appendPaymentIdentifierToExtensions((payment.extensions ??= {}));
    return payment;
  },
});

try {
  const response = await wrapFetchWithPayment(patiently, client)(url);
  const receipt = response.headers.get('payment-response');
  if (receipt) console.error('receipt ', JSON.stringify(decodePaymentResponseHeader(receipt)));
  const text = await response.text();
  if (response.status >= 400) throw new Error(`${response.status}: ${text}`);
  console.log(text);
} catch (error) {
  const { message, cause } = error as Error & { cause?: { code?: string } };
  console.error(cause?.code ? `${message}: ${cause.code}` : message);
  process.exitCode = 1;
}
