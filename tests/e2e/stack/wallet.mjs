// A wallet as a browser's extension would inject it: the key stays in Node, the page sees an EIP-1193 provider.

let wallets = 0;

/**
 * Injects a wallet into a page that is not open yet.
 * @param {import('playwright-core').Page} page
 * @param {object} options
 * @param {object} options.account a viem account: whose it is
 * @param {{rpcUrl: string}} options.chain what it reads
 * @param {string} [options.name] as it announces itself
 * @param {boolean} [options.announces] by EIP-6963; else it is `window.ethereum` alone
 * @param {number} [options.chainId] where it is
 * @param {number[]} [options.knows] where it can switch to
 * @returns {Promise<{calls: Array<{method: string, params: any[]}>, count: (method: string) => number,
 *   fail: (method: string, error?: {code: number, message: string}) => void, allow: (method: string) => void,
 *   hold: undefined | ((method: string) => Promise<void> | undefined), chainId: number}>}
 */
export async function injectWallet(page, { account, chain, name = 'Test Wallet', announces = true, chainId = 84532, knows = [84532] }) {
  const failures = new Map();
  const known = new Set([chainId, ...knows]);
  const wallet = {
    calls: [],
    chainId,
    hold: undefined,
    count: (method) => wallet.calls.filter((call) => call.method === method).length,
    fail: (method, error = { code: 4001, message: 'User rejected the request.' }) => void failures.set(method, error),
    allow: (method) => void failures.delete(method),
  };
  const unknown = { code: 4902, message: 'Unrecognized chain ID.' };
  const methods = {
    eth_requestAccounts: () => [account.address.toLowerCase()],
    eth_chainId: () => `0x${wallet.chainId.toString(16)}`,
    wallet_switchEthereumChain: ([{ chainId: wanted }]) => {
      if (!known.has(Number(wanted))) throw unknown;
      wallet.chainId = Number(wanted);
      return null;
    },
    wallet_addEthereumChain: ([{ chainId: wanted }]) => {
      known.add(Number(wanted));
      wallet.chainId = Number(wanted);
      return null;
    },
    eth_call: (params) => rpc(chain.rpcUrl, 'eth_call', params),
    eth_signTypedData_v4: ([from, typed]) => {
      const { domain, types: { EIP712Domain, ...types }, primaryType, message } = JSON.parse(typed);
      if (from.toLowerCase() !== account.address.toLowerCase()) throw { code: 4100, message: 'not this account' };
      // As wallets do: what is signed is for the network that one is on.
      if (Number(domain.chainId) !== wallet.chainId || !EIP712Domain) throw { code: -32602, message: 'another chain' };
      return account.signTypedData({ domain, types, primaryType, message });
    },
  };
  const bridge = `__wallet${(wallets += 1)}`;
  await page.exposeFunction(bridge, async (method, params) => {
    wallet.calls.push({ method, params });
    try {
      await wallet.hold?.(method);
      if (failures.has(method)) throw failures.get(method);
      if (!methods[method]) throw { code: 4200, message: `${method} is not supported` };
      return { result: await methods[method](params) };
    } catch ({ code = -32603, message }) {
      return { error: { code, message } };
    }
  });
  const icon = 'data:image/svg+xml,%3Csvg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"%3E%3Crect width="1" height="1" fill="teal"/%3E%3C/svg%3E';
  await page.addInitScript(({ bridge, info, announces }) => {
    const provider = {
      request: async ({ method, params }) => {
        const { result, error } = await window[bridge](method, params ?? []);
        if (error) throw Object.assign(new Error(error.message), error);
        return result;
      },
    };
    if (!announces) return void (window.ethereum = provider);
    const announce = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
    addEventListener('eip6963:requestProvider', announce);
    announce();
  }, { bridge, info: { uuid: `350670db-19fa-4704-a166-${String(wallets).padStart(12, '0')}`, name, icon, rdns: 'example.wallet' }, announces });
  return wallet;
}

async function rpc(url, method, params) {
  const response = await fetch(url, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error) throw error;
  return result;
}
