// Compiles token/*.sol, once per change of their text: loading solc alone takes seconds.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), 'token');
const CACHE = process.env.EDGE402_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'edge402');
const require = createRequire(import.meta.url);

/** @returns {Record<string, {abi: object[], code: `0x${string}`}>} by contract name; `code` is the runtime code. */
export function contracts() {
  const sources = {};
  for (const file of readdirSync(SOURCES).filter((name) => name.endsWith('.sol')).sort()) {
    sources[file] = { content: readFileSync(join(SOURCES, file), 'utf8') };
  }
  const input = JSON.stringify({
    language: 'Solidity',
    sources,
    settings: {
      optimizer: { enabled: true },
      evmVersion: 'shanghai',
      outputSelection: { '*': { '*': ['abi', 'evm.deployedBytecode.object'] } },
    },
  });
  const solcVersion = require('solc/package.json').version;
  const key = createHash('sha256').update(solcVersion).update(input).digest('hex').slice(0, 16);
  const cached = join(CACHE, `contracts-${key}.json`);
  try {
    return JSON.parse(readFileSync(cached, 'utf8'));
  } catch {
    const compiled = compile(input);
    mkdirSync(CACHE, { recursive: true });
    // Test files run in parallel: none may read the half of another's file.
    const part = `${cached}.${process.pid}`;
    writeFileSync(part, JSON.stringify(compiled));
    renameSync(part, cached);
    return compiled;
  }
}

function compile(input) {
  const output = JSON.parse(require('solc').compile(input));
  const errors = (output.errors ?? []).filter((error) => error.severity === 'error');
  if (errors.length) throw new Error(errors.map((error) => error.formattedMessage).join('\n'));
  const found = {};
  for (const file of Object.values(output.contracts)) {
    for (const [name, contract] of Object.entries(file)) {
      found[name] = { abi: contract.abi, code: `0x${contract.evm.deployedBytecode.object}` };
    }
  }
  return found;
}
