// A stand-in for `withX402Client` of Cloudflare's `agents` 0.32.0, written after its source (dist/mcp/client/x402.js): the package
// is not installed here, since it brings hundreds of files for this one. What is on the wire is the same:
//   - it looks for the price in `_meta["x402/error"]` of a result with `isError`, and nowhere else;
//   - of that it takes `x402Version`, `resource`, `accepts` and `extensions`;
//   - it pays with `btoa(JSON.stringify(payment))`, a string, in `_meta["x402/payment"]`.

import { x402Client } from '@x402/core/client';
import { registerExactEvmScheme } from '@x402/evm/exact/client';

/** @returns an object whose `callTool(params)` pays once, and whose `sent` has the payments as they were written */
export function agentsClient(client, account) {
  const payer = new x402Client();
  registerExactEvmScheme(payer, { signer: account });
  const sent = [];
  const callTool = async (params) => {
    const first = await client.callTool(params);
    const price = first._meta?.['x402/error'];
    if (!first.isError || !Array.isArray(price?.accepts) || price.accepts.length === 0) return first;
    const { x402Version = 2, resource = { url: '', description: '', mimeType: 'application/json' }, accepts, extensions } = price;
    const payment = await payer.createPaymentPayload({ x402Version, resource, accepts: structuredClone(accepts), extensions });
    const token = btoa(JSON.stringify(payment));
    sent.push(token);
    return client.callTool({ ...params, _meta: { ...params._meta, 'x402/payment': token } });
  };
  return { callTool, sent };
}
