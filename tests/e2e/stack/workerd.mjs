// workerd itself, with one Worker, from a configuration in its own language: it starts in a tenth of the time that
// Miniflare takes in front of it, and is the same runtime.

import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { freshDirectory, startProcess, waitForOutput } from './processes.mjs';

/**
 * @param {object} worker what `readWrangler` has read, with `bindings`, `persistPath`, `port` and `service`
 * @returns {Promise<{host: object, url: string}>} the running process and where it listens
 */
export async function startWorkerd(worker) {
  const folder = freshDirectory('worker');
  const config = join(folder, 'config.capnp');
  writeFileSync(config, configuration(worker, folder), { mode: 0o600 });
  const host = startProcess({
    name: 'worker',
    command: binary(),
    // What it listens on is told on the standard output, as one of the log's lines.
    args: ['serve', '--experimental', '--control-fd=1', config],
  });
  try {
    const [, port] = await waitForOutput(host, /^\{"event":"listen","socket":"http","port":(\d+)\}$/m);
    return { host, url: `http://127.0.0.1:${port}` };
  } finally {
    // It holds the Worker's secrets.
    rmSync(config);
  }
}

/** The workerd of the Miniflare of this wrangler. */
function binary() {
  let require = createRequire(import.meta.url);
  for (const name of ['wrangler', 'miniflare']) require = createRequire(require.resolve(`${name}/package.json`));
  return require('workerd').default;
}

function configuration({ compatibilityDate, compatibilityFlags, durableObjects, modulesRoot, modules, bindings, persistPath, port, service }, folder) {
  const embedded = ({ type, path }) =>
    `(name = ${text(relative(modulesRoot, path))}, ${type === 'CompiledWasm' ? 'wasm' : 'esModule'} = embed ${text(relative(folder, path))})`;
  const bound = [
    ...Object.entries(bindings).filter(([, value]) => value !== undefined).map(([name, value]) =>
      `(name = ${text(name)}, ${typeof value === 'string' ? `text = ${text(value)}` : `json = ${text(JSON.stringify(value))}`})`),
    ...Object.entries(durableObjects).map(([name, { className }]) => `(name = ${text(name)}, durableObjectNamespace = ${text(className)})`),
    ...(service ? ['(name = "ORIGIN_SERVICE", service = "origin")'] : []),
  ];
  const objects = Object.values(durableObjects).map(({ className }) =>
    `(className = ${text(className)}, uniqueKey = ${text(`edge402-${className}`)}, enableSql = true)`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
    (name = "objects", disk = (path = ${text(persistPath)}, writable = true)),
    ${service ? `(name = "origin", external = (address = ${text(new URL(service).host)}, http = ())),` : ''}
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = [${compatibilityFlags.map(text).join(', ')}],
  modules = [${modules.map(embedded).join(', ')}],
  bindings = [${bound.join(', ')}],
  durableObjectNamespaces = [${objects.join(', ')}],
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

/** A string in Cap'n Proto's spelling, which has C's escapes and not JSON's. */
function text(value) {
  const escaped = value.replace(/["\\]/g, '\\$&').replace(/[\x00-\x1f\x7f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return `"${escaped}"`;
}
