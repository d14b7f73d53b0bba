// The Python that the example runs in: a venv with its requirements.txt, which `scripts/setup python` makes once a machine.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './processes.mjs';

const CACHE = process.env.EDGE402_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'edge402');

/** The interpreter's path; the venv is made where there is none yet. */
export async function pythonOfTheExample() {
  const pinned = readFileSync(join(ROOT, 'examples/python/requirements.txt'));
  const venv = join(CACHE, `python-${createHash('sha256').update(pinned).digest('hex').slice(0, 16)}`);
  if (!existsSync(join(venv, '.complete'))) await promisify(execFile)(join(ROOT, 'scripts/setup'), ['python']);
  return join(venv, 'bin/python');
}
