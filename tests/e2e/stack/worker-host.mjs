// Run by worker.mjs in its own process group where there is a KV namespace: Miniflare with one Worker, until SIGTERM.

import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [, , optionsFile] = process.argv;
const { bindings, persistPath, port, service, kv, ...worker } = JSON.parse(readFileSync(optionsFile, 'utf8'));
// It holds the Worker's secrets.
rmSync(optionsFile);

// Miniflare is wrangler's dependency, not ours: take the one that this wrangler runs.
const fromWrangler = createRequire(createRequire(import.meta.url).resolve('wrangler/package.json'));
const { Log, LogLevel, Miniflare } = await import(pathToFileURL(fromWrangler.resolve('miniflare')));

const miniflare = new Miniflare({
  ...worker,
  name: 'edge402',
  bindings,
  host: '127.0.0.1',
  cf: false,
  serviceBindings: service ? { ORIGIN_SERVICE: { external: { address: new URL(service).host, http: {} } } } : {},
  log: new Log(LogLevel.INFO),
  durableObjectsPersist: persistPath,
  ...(kv ? { kvNamespaces: ['CACHE'], kvPersist: kv.path } : {}),
  unsafeDirectSockets: [{ host: '127.0.0.1', port }],
});

process.on('SIGTERM', async () => {
  await miniflare.dispose();
  process.exit(0);
});
await miniflare.ready;
if (kv) {
  const cache = await miniflare.getKVNamespace('CACHE');
  for (const [key, value] of Object.entries(kv.entries)) await cache.put(key, typeof value === 'string' ? value : JSON.stringify(value));
}
const url = await miniflare.unsafeGetDirectURL('edge402');
console.log(`worker ready on ${url.origin}`);
