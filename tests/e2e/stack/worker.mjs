// The built Worker in workerd, a process of its own, so that it can be killed like a machine.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freshDirectory, memoryOf, processesOf, ROOT, sleep, startProcess, waitForOutput } from './processes.mjs';
import { startWorkerd } from './workerd.mjs';

const HOST = join(dirname(fileURLToPath(import.meta.url)), 'worker-host.mjs');
const MODULE_TYPES = { '.js': 'ESModule', '.mjs': 'ESModule', '.wasm': 'CompiledWasm' };

/**
 * Starts the Worker that `wrangler.toml` describes, with `vars` instead of its `[vars]`: strings as text, all else as
 * JSON, as wrangler hands them over. Requests reach it straight from the socket.
 * @param {object} options
 * @param {Record<string, any>} options.vars
 * @param {Record<string, string>} [options.secrets]
 * @param {string} [options.persist] folder for Durable Objects, to start again on the state of an earlier Worker
 * @param {number} [options.port] 0, the default, takes a free one
 * @param {string} [options.config] another wrangler.toml
 * @param {string} [options.service] URL of an HTTP server to bind as ORIGIN_SERVICE
 * @param {{persist?: string, entries?: Record<string, any>}} [options.kv] binds CACHE: on an earlier Worker's `kvPath` or
 *   a new folder, with these entries written before the first request (strings as text, all else as JSON)
 * @returns {Promise<{url: string, pid: number, persistPath: string, kvPath?: string, logs: () => string,
 *   memory: () => number | undefined, freeze: () => Promise<void>, thaw: () => void, kill: () => Promise<void>,
 *   stop: () => Promise<void>}>} `memory`: workerd's resident bytes; `freeze`: workerd does nothing more, until `thaw`;
 *   `kill`: SIGKILL to all of it at once.
 */
export async function startWorker({ vars, secrets = {}, persist, port = 0, config = join(ROOT, 'wrangler.toml'), service, kv }) {
  const persistPath = persist ?? freshDirectory('objects');
  const kvPath = kv && (kv.persist ?? freshDirectory('kv'));
  const options = {
    ...readWrangler(config), bindings: { ...vars, ...secrets }, persistPath, port, service,
    kv: kv && { path: kvPath, entries: kv.entries ?? {} },
  };
  const { host, url } = kv ? await startMiniflare(options) : await startWorkerd(options);
  const kill = async () => {
    host.kill();
    await host.exited;
  };
  return {
    url,
    pid: host.pid,
    persistPath,
    kvPath,
    logs: host.log,
    memory: () => memoryOf(host.pid, 'workerd'),
    freeze: async () => {
      const workerd = () => processesOf(host.pid, 'workerd');
      if (!workerd().length) throw new Error('there is no workerd to be found');
      for (const { pid } of workerd()) process.kill(pid, 'SIGSTOP');
      for (let patience = 5000; !workerd().every(({ states }) => states.every((state) => state === 'T')); patience--) {
        if (!patience) throw new Error(`workerd does not stand still: ${JSON.stringify(workerd())}`);
        await sleep(1);
      }
    },
    thaw: () => {
      for (const { pid } of processesOf(host.pid, 'workerd')) process.kill(pid, 'SIGCONT');
    },
    kill,
    // As Miniflare ends it: workerd itself would wait for open connections.
    stop: kill,
  };
}

/** Where there is a KV namespace: workerd has none of its own, and Miniflare brings one. */
async function startMiniflare(options) {
  const optionsFile = join(freshDirectory('worker'), 'options.json');
  writeFileSync(optionsFile, JSON.stringify(options), { mode: 0o600 });
  const host = startProcess({ name: 'worker', command: process.execPath, args: [HOST, optionsFile] });
  const [, url] = await waitForOutput(host, /^worker ready on (\S+)$/m);
  return { host, url };
}

/**
 * The few lines of wrangler.toml that matter here; wrangler's own reader takes a second to load. Throws, with the cure,
 * when there is no build.
 */
export function readWrangler(path) {
  if (!existsSync(path)) throw new Error(`${path} is missing`);
  const text = readFileSync(path, 'utf8').replace(/^\s*#.*$/gm, '');
  const string = (key) => text.match(new RegExp(`^\\s*${key}\\s*=\\s*"([^"]*)"`, 'm'))?.[1];
  const main = string('main');
  const compatibilityDate = string('compatibility_date');
  if (!main || !compatibilityDate) throw new Error(`${path} names no main or no compatibility_date`);
  const script = resolve(dirname(path), main);
  if (!existsSync(script)) throw new Error(`${script} is missing: run \`make build\` first`);

  const flags = text.match(/^\s*compatibility_flags\s*=\s*\[([^\]]*)\]/m)?.[1] ?? '';
  const objects = text.matchAll(/\bname\s*=\s*"(\w+)"\s*,?\s*class_name\s*=\s*"(\w+)"/g);
  return {
    compatibilityDate,
    compatibilityFlags: [...flags.matchAll(/"([^"]+)"/g)].map(([, flag]) => flag),
    durableObjects: Object.fromEntries([...objects].map(([, name, className]) => [name, { className, useSQLite: true }])),
    modulesRoot: dirname(script),
    modules: modulesBeside(script),
  };
}

/** All modules in the script's folder and below, the script itself first. */
function modulesBeside(script) {
  const folder = dirname(script);
  const found = readdirSync(folder, { recursive: true }).map((name) => join(folder, name));
  return [script, ...found.filter((path) => path !== script)].flatMap((path) => {
    const type = MODULE_TYPES[path.slice(path.lastIndexOf('.'))];
    return type ? [{ type, path }] : [];
  });
}
