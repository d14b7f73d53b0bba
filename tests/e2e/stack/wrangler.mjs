// The built Worker under `wrangler dev`, on a committed wrangler.toml as it stands but for a few variables.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { freshDirectory, ROOT, startProcess, waitForOutput } from './processes.mjs';
import { readWrangler } from './worker.mjs';

/**
 * @param {object} options
 * @param {Record<string, any>} options.vars override `[vars]`; what is not a string is handed over as JSON text
 * @param {number} [options.port] 0 takes a free one
 * @param {number} [options.seconds] how long wrangler may take to listen
 * @returns {Promise<{url: string, pid: number, logFile: string, logs: () => string, ended: () => boolean,
 *   exited: Promise<number | string>, stop: () => Promise<void>}>}
 */
export async function startWrangler({ vars, port = 0, config = join(ROOT, 'wrangler.toml'), seconds = 120 }) {
  // Without a build wrangler would start, and complain in its log only.
  readWrangler(config);
  const home = freshDirectory('wrangler');
  const child = startProcess({
    name: 'wrangler',
    command: process.execPath,
    args: [
      wranglerScript(), 'dev', '--config', config, '--local', '--ip', '127.0.0.1', '--port', String(port),
      '--inspector-port', '0', '--persist-to', join(home, 'state'), '--show-interactive-dev-session=false',
      ...Object.entries(vars).flatMap(([name, value]) =>
        ['--var', `${name}:${typeof value === 'string' ? value : JSON.stringify(value)}`]),
    ],
    cwd: dirname(config),
    env: {
      // It asks nothing, reports nothing, looks nothing up, and writes nothing into the user's home.
      CI: '1',
      NO_COLOR: '1',
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_SEND_ERROR_REPORTS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      XDG_CONFIG_HOME: join(home, 'config'),
      WRANGLER_LOG_PATH: join(home, 'logs'),
      WRANGLER_REGISTRY_PATH: join(home, 'registry'),
      WRANGLER_CACHE_DIR: join(home, 'cache'),
    },
  });
  const [, url] = await waitForOutput(child, /Ready on (http:\/\/[\w.:]+)/, { seconds });
  return {
    url,
    pid: child.pid,
    logFile: child.logFile,
    logs: child.log,
    ended: child.ended,
    exited: child.exited,
    stop: child.stop,
  };
}

function wranglerScript() {
  try {
    const require = createRequire(import.meta.url);
    return join(dirname(require.resolve('wrangler/package.json')), 'bin/wrangler.js');
  } catch {
    throw new Error('wrangler is not installed: run `npm ci` first');
  }
}
