// The Pythons that programs run in: a venv in the cache for each list of versions.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './processes.mjs';

const CACHE = process.env.EDGE402_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'edge402');
const run = promisify(execFile);

/** The venv's interpreter; `make` fills the venv where there is none yet. */
async function pythonWith(requirements, make) {
  const pinned = join(ROOT, requirements);
  const venv = join(CACHE, `python-${createHash('sha256').update(readFileSync(pinned)).digest('hex').slice(0, 16)}`);
  if (!existsSync(join(venv, '.complete'))) await make(venv, pinned);
  return join(venv, 'bin/python');
}

/** That of the example, as `scripts/setup python` makes it once a machine; the Python facilitator needs no more. */
export const pythonOfTheExample = () => pythonWith('examples/python/requirements.txt', () => run(join(ROOT, 'scripts/setup'), ['python']));

/** That of stack/mcp-client.py, which pays for tools with PyPI's mcp and x402. */
export const pythonOfTheMcpClient = () => pythonWith('tests/e2e/requirements-mcp.txt', async (venv, pinned) => {
  await run('python3', ['-m', 'venv', '--clear', venv]);
  await run(join(venv, 'bin/python'), ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '-r', pinned]);
  writeFileSync(join(venv, '.complete'), '');
});
