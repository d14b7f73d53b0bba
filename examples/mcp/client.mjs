// Calls one tool of an MCP server and pays for it: the standard client of @modelcontextprotocol/sdk, and a signature.
//
//   PRIVATE_KEY=0x… node examples/mcp/client.mjs https://host/mcp                                lists the tools
//   PRIVATE_KEY=0x… node examples/mcp/client.mjs https://host/mcp weather '{"city":"lisbon"}'    calls one
//
// MAX_PRICE is the most that one payment may be, '$0.10' if it is not set. The result goes to stdout, the receipt to
// stderr.
//
// An unpaid call is answered isError: true, with what is to be paid as structuredContent. The call is then made again
// with the signed payment, an object and not base64, in _meta["x402/payment"]; _meta["x402/payment-response"] is the
// receipt.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ErrorCode, McpError } from '@modelcontextprotocol/sdk/types.js';
import { ExactEvmScheme } from '@x402/evm/exact/client';
import { appendPaymentIdentifierToExtensions } from '@x402/extensions/payment-identifier';
import { x402Client } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';

const TRIES = 12;
const OPTIONS = { timeout: 120_000 };
const plain = (text) => String(text ?? '').replace(/\p{C}/gu, ' ').slice(0, 200);

const [url, name, given = '{}'] = process.argv.slice(2);
if (!url || !/^0x[0-9a-f]{64}$/i.test(process.env.PRIVATE_KEY)) {
  console.error('usage: PRIVATE_KEY=0x… node client.mjs URL [TOOL [ARGUMENTS as JSON]]');
  console.error('Make a key: export PRIVATE_KEY=0x$(openssl rand -hex 32)');
  process.exit(2);
}

const payer = x402Client.fromConfig({
  schemes: [{ network: 'eip155:*', client: new ExactEvmScheme(privateKeyToAccount(process.env.PRIVATE_KEY)) }],
  spendControls: { maxAmountPerPayment: process.env.MAX_PRICE ?? '$0.10' },
});
payer.onBeforePaymentCreation(async ({ selectedRequirements: { amount, network, payTo } }) => {
  console.error(`price    ${plain(amount)} atomic units on ${plain(network)} to ${plain(payTo)}`);
});
// Who shows the identifier gets an answer again that was lost on its way.
payer.registerExtension({
  key: 'payment-identifier',
  enrichPaymentPayload: async (payment) => {
    appendPaymentIdentifierToExtensions((payment.extensions ??= {}));
    return payment;
  },
});

function isChallenge({ isError, structuredContent: said }) {
  return isError && said?.x402Version === 2 && said.accepts?.length > 0;
}

/** The same payment again while its outcome is not known: another signature could pay twice. */
async function paid(call) {
  for (let left = TRIES; left > 0; left -= 1) {
    try {
      const result = await call();
      if (!(result.isError && result.structuredContent?.status === 503)) return result;
    } catch (error) {
      // A JSON-RPC error is an answer, with a receipt in `data` if it was paid for; only these two say that one was lost.
      const lost = [ErrorCode.ConnectionClosed, ErrorCode.RequestTimeout];
      if (error instanceof McpError && !lost.includes(error.code)) throw error;
    }
    console.error('calling again with the same payment');
    await new Promise((done) => setTimeout(done, 5000));
  }
  throw new Error('the outcome is unknown, and the money may have moved: do not sign again');
}

async function main() {
  const client = new Client({ name: 'edge402-example', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  if (!name) {
    const { tools } = await client.listTools();
    for (const tool of tools) console.log(`${plain(tool.name).padEnd(24)} ${plain(tool.description)}`);
    return client.close();
  }
  const asked = { name, arguments: JSON.parse(given) };
  const call = (_meta) => client.callTool({ ...asked, ...(_meta && { _meta }) }, undefined, OPTIONS);
  let result = await call();
  if (isChallenge(result)) {
    const payment = await payer.createPaymentPayload(result.structuredContent);
    result = await paid(() => call({ 'x402/payment': payment }));
  }
  const receipt = result._meta?.['x402/payment-response'];
  if (receipt) console.error('receipt ', JSON.stringify(receipt));
  const { isError, structuredContent, content } = result;
  if (isError) throw new Error(`refused: ${plain(structuredContent?.error ?? content?.[0]?.text)}`);
  console.log(JSON.stringify(structuredContent ?? content, undefined, 2));
  await client.close();
}

await main().catch((error) => {
  console.error(plain([error.message, error.cause?.code || error.cause?.message].filter(Boolean).join(': ')));
  process.exit(1);
});
