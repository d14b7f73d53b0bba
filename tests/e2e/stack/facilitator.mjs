// The official facilitator, `@x402/core` with `@x402/evm`'s exact scheme, over HTTP: both protocol versions.

import { x402Facilitator } from '@x402/core/facilitator';
import { toFacilitatorEvmSigner } from '@x402/evm';
import { ExactEvmScheme } from '@x402/evm/exact/facilitator';
import { ExactEvmSchemeV1 } from '@x402/evm/exact/v1/facilitator';
import { createWalletClient, http, publicActions } from 'viem';
import { readBody, sendJson, serve } from './http.mjs';

const V1_NAMES = { 8453: 'base', 84532: 'base-sepolia' };

/** @returns {Promise<{url: string, stop: () => Promise<void>}>} */
export async function startFacilitator({ chain, port = 0 }) {
  const signer = signerOn(chain);
  const facilitator = new x402Facilitator();
  facilitator.register(`eip155:${chain.chain.id}`, new ExactEvmScheme(signer));
  const v1Name = V1_NAMES[chain.chain.id];
  if (v1Name) facilitator.registerV1(v1Name, new ExactEvmSchemeV1(signer));

  return serve(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://facilitator');
    if (request.method === 'GET' && pathname === '/supported') {
      return sendJson(response, 200, facilitator.getSupported());
    }
    if (request.method !== 'POST' || !['/verify', '/settle'].includes(pathname)) {
      return sendJson(response, 404, { error: 'not_found' });
    }
    // Statuses and shapes of the reference facilitator: a verdict is 200 whether it is yes or no.
    const no = (reason, errorMessage) => pathname === '/verify'
      ? { isValid: false, invalidReason: reason, invalidMessage: errorMessage }
      : { success: false, errorReason: reason, errorMessage, transaction: '', network: '' };
    let body;
    try {
      body = JSON.parse(await readBody(request));
    } catch {
      return sendJson(response, 400, no('invalid_json'));
    }
    const { paymentPayload, paymentRequirements } = body ?? {};
    if (!paymentPayload || !paymentRequirements) return sendJson(response, 400, no('missing_parameters'));
    try {
      const decide = pathname === '/verify' ? 'verify' : 'settle';
      sendJson(response, 200, await facilitator[decide](paymentPayload, paymentRequirements));
    } catch (error) {
      sendJson(response, 500, no('unexpected_error', error.message));
    }
  }, { port });
}

function signerOn(chain) {
  const client = createWalletClient({
    account: chain.accounts.facilitator,
    chain: chain.chain,
    transport: http(chain.rpcUrl),
    cacheTime: 0,
    pollingInterval: 20,
  }).extend(publicActions);
  // One transaction is handed to the chain at a time, and counted here: two at once would read the same count, and the
  // chain's own count lags behind what it has just been given.
  let sending = Promise.resolve();
  let next = 0;
  const inTurn = (send) => (sending = sending.catch(() => {}).then(async () => {
    const counted = await client.getTransactionCount({ address: client.account.address, blockTag: 'pending' });
    const nonce = Math.max(next, counted);
    const hash = await send(nonce);
    next = nonce + 1;
    return hash;
  }));
  return toFacilitatorEvmSigner({
    address: client.account.address,
    readContract: (call) => client.readContract(call),
    verifyTypedData: (data) => client.verifyTypedData(data),
    getCode: (at) => client.getCode(at),
    writeContract: (call) => inTurn((nonce) => client.writeContract({ ...call, nonce })),
    sendTransaction: (call) => inTurn((nonce) => client.sendTransaction({ ...call, nonce })),
    waitForTransactionReceipt: (wait) => client.waitForTransactionReceipt(wait),
  });
}
