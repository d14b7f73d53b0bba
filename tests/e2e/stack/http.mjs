// What the servers of the stack have in common.

import { createServer } from 'node:http';
import { onStop } from './processes.mjs';

/**
 * Serves `handler` on a loopback port.
 * @returns {Promise<{url: string, port: number, stop: () => Promise<void>}>}
 */
export async function serve(handler, { port = 0 } = {}) {
  // An idle connection stays open: with Node's five seconds, workerd would now and then send a request into one that is
  // being closed, which a test then takes for a fault that nobody injected.
  const server = createServer({ maxHeaderSize: 256 * 1024, keepAliveTimeout: 300_000 }, (request, response) => {
    Promise.resolve(handler(request, response)).catch((error) => {
      if (response.headersSent) response.destroy(error);
      else sendJson(response, 500, { error: String(error?.message ?? error) });
    });
  });
  await new Promise((done, failed) => {
    server.once('error', failed);
    server.listen(port, '127.0.0.1', done);
  });
  const stop = async () => {
    forget();
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await closed;
  };
  const forget = onStop(stop);
  return { url: `http://127.0.0.1:${server.address().port}`, port: server.address().port, stop };
}

export async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

export function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
