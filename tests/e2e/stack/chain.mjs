// A local chain: anvil under Base Sepolia's id, with an EIP-3009 token where Base Sepolia has USDC.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createTestClient, createWalletClient, defineChain, http, pad, parseAbi, publicActions } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { contracts } from './contracts.mjs';
import { startProcess, waitForOutput } from './processes.mjs';

export const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e';
const MULTICALL3 = '0xcA11bde05977b3631167028862bE2a173976CA11';
// anvil's first well-known account, which it endows with ether for gas.
const RICH_KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
const EVENTS = parseAbi([
  'event Transfer(address indexed from, address indexed to, uint256 value)',
  'event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)',
]);

/** anvil itself, not npm's wrapper script around it: one process less to start and to end. */
function anvilBinary() {
  const require = createRequire(import.meta.url);
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  try {
    const packaged = require.resolve(`@foundry-rs/anvil-${process.platform}-${arch}/package.json`);
    const binary = join(dirname(packaged), 'bin/anvil');
    if (existsSync(binary)) return binary;
  } catch {
    // Reported below.
  }
  throw new Error(`npm's @foundry-rs/anvil has no binary for ${process.platform} ${process.arch} here: run \`npm ci\``);
}

/**
 * Starts the chain. The buyer begins with $1,000; the seller with nothing.
 * @returns {Promise<{
 *   rpcUrl: string, port: number, chain: import('viem').Chain, client: object,
 *   accounts: {seller: object, buyer: object, facilitator: object},
 *   balanceOf: (address: string) => Promise<bigint>,
 *   mint: (address: string, amount: bigint | number) => Promise<void>,
 *   transfers: (filter?: {from?: string, to?: string}) => Promise<Array<{from, to, value, transactionHash, blockNumber}>>,
 *   authorizationState: (from: string, nonce: string) => Promise<boolean>,
 *   smartWallet: (owner: string) => Promise<`0x${string}`>,
 *   setTokenCode: (code?: `0x${string}`) => Promise<void>,
 *   stop: () => Promise<void>}>}
 */
export async function startChain({ port = 0, chainId = 84532 } = {}) {
  const compiled = contracts();
  // A block a second besides one for each transaction, as a real chain has: `eth_call` takes its time from the last
  // block, and an authorization valid from a moment ago would be refused by a chain that stands still.
  const anvil = startProcess({
    name: 'anvil',
    command: anvilBinary(),
    args: ['--host', '127.0.0.1', '--port', port, '--chain-id', chainId, '--block-time', '1', '--mixed-mining',
      // Old states are dropped, but not the last ones: a read of "latest" may be overtaken by a block.
      '--prune-history', '256', '--color', 'never'].map(String),
  });
  const [, listening] = await waitForOutput(anvil, /Listening on 127\.0\.0\.1:(\d+)/);
  const rpcUrl = `http://127.0.0.1:${listening}`;

  const chain = defineChain({
    id: chainId,
    name: 'local',
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [rpcUrl] } },
  });
  const transport = http(rpcUrl);
  const client = createTestClient({ mode: 'anvil', chain, transport, cacheTime: 0, pollingInterval: 20 })
    .extend(publicActions);
  const accounts = {
    seller: privateKeyToAccount(generatePrivateKey()),
    buyer: privateKeyToAccount(generatePrivateKey()),
    facilitator: privateKeyToAccount(RICH_KEY),
  };

  // Money for tests comes from another account than the facilitator's, whose transaction count is its own.
  const minter = createWalletClient({ chain, transport, account: privateKeyToAccount(generatePrivateKey()) });
  let minting = Promise.resolve();
  const mintNow = async (address, amount) => {
    const hash = await minter.writeContract({
      address: USDC, abi: compiled.Usdc.abi, functionName: 'mint', args: [address, BigInt(amount)],
    });
    await client.waitForTransactionReceipt({ hash });
  };
  const read = (functionName, args) =>
    client.readContract({ address: USDC, abi: compiled.Usdc.abi, functionName, args });
  const setTokenCode = (code = compiled.Usdc.code) => client.setCode({ address: USDC, bytecode: code });

  const local = {
    rpcUrl,
    port: Number(listening),
    chain,
    client,
    accounts,
    balanceOf: (address) => read('balanceOf', [address]),
    authorizationState: (from, nonce) => read('authorizationState', [from, nonce]),
    mint: (address, amount) => (minting = minting.catch(() => {}).then(() => mintNow(address, amount))),
    transfers: async ({ from, to } = {}) => {
      const logs = await client.getLogs({
        address: USDC, event: EVENTS[0], args: { from, to }, fromBlock: 0n, toBlock: 'latest',
      });
      return logs.map(({ args, transactionHash, blockNumber }) => ({ ...args, transactionHash, blockNumber }));
    },
    /** Puts an ERC-1271 wallet of `owner`'s on the chain and returns its address. */
    smartWallet: async (owner) => {
      const { address } = privateKeyToAccount(generatePrivateKey());
      await client.setCode({ address, bytecode: compiled.SmartWallet.code });
      await client.setStorageAt({ address, index: 0, value: pad(owner) });
      return address;
    },
    /** Replaces the token's code ("0x" takes it away); without an argument puts it back. */
    setTokenCode,
    stop: () => anvil.stop(),
  };
  await Promise.all([
    setTokenCode(),
    client.setCode({ address: MULTICALL3, bytecode: compiled.Multicall.code }),
    client.setBalance({ address: minter.account.address, value: 10n ** 21n }),
  ]);
  await local.mint(accounts.buyer.address, 1_000_000_000n);
  return local;
}
