// The official Python facilitator, on the same chain as the TypeScript one and with a wallet of its own.

import { join } from 'node:path';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { ROOT, startProcess, waitForOutput } from './processes.mjs';
import { pythonOfTheExample } from './python.mjs';

/**
 * @param {object} options
 * @param {boolean} [options.simulates] whether it simulates the transfer in settle, as in verify. By default the package
 *   does not: what then fails, fails on the chain.
 * @returns {Promise<{url: string, account: object, stop: () => Promise<void>}>}
 */
export async function startPythonFacilitator({ chain, simulates = false, confirmationSeconds = 30 }) {
  const key = generatePrivateKey();
  const account = privateKeyToAccount(key);
  await chain.client.setBalance({ address: account.address, value: 10n ** 21n });
  const started = startProcess({
    name: 'python-facilitator',
    // The example's packages are all that it takes.
    command: await pythonOfTheExample(),
    args: [join(ROOT, 'tests/e2e/stack/facilitator.py')],
    env: {
      FACILITATOR_KEY: key,
      FACILITATOR_RPC: chain.rpcUrl,
      FACILITATOR_NETWORK: `eip155:${chain.chain.id}`,
      FACILITATOR_SIMULATES: simulates ? '1' : '0',
      FACILITATOR_CONFIRMATION_SECONDS: String(confirmationSeconds),
    },
  });
  const [, url] = await waitForOutput(started, /facilitator ready on (\S+)/);
  return { url, account, stop: () => started.stop() };
}
