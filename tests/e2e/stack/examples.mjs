// Runs a program as its user would, and stands between it and the Worker.

import { spawn } from 'node:child_process';
import { readBody, serve } from './http.mjs';
import { rawRequest } from './client.mjs';
import { ROOT } from './processes.mjs';

/** Longer than any of them waits for anything; what goes on for so long would hold up the whole suite. */
const LONGEST = 180_000;

/**
 * @param {[string, ...string[]]} command
 * @param {Record<string, string>} [env] beside PATH and HOME: nothing of ours leaks into the program
 * @param {number} [longest] milliseconds
 * @returns {Promise<{status: number | string, out: string, err: string}> & {interrupt: () => boolean}}
 */
export function run([command, ...args], env = {}, longest = LONGEST) {
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, {
    cwd: ROOT, env: { PATH, HOME, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: longest,
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  const ended = new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', (code, signal) => done({ status: code ?? signal, ...said }));
  });
  return Object.assign(ended, { interrupt: () => child.kill('SIGINT') });
}

/**
 * Stands before a Worker and remembers the payments that pass. The next `lose` answers to one are not delivered
 * or, the last of them and every other before it, break off in their middle;
 * `instead(request)` may answer by itself: a function of the response, or undefined to let the request through.
 */
export async function startFront({ target }) {
  const front = { payments: [], requests: [], lose: 0, instead: undefined };
  const server = await serve(async (request, response) => {
    const { method, url, headers } = request;
    const body = await readBody(request);
    const payment = headers['payment-signature'];
    front.requests.push({ method, url, headers, body });
    if (payment) front.payments.push(payment);
    const own = front.instead?.({ method, url, headers, body });
    if (own) return own(response);
    const { 'accept-encoding': _, ...asked } = headers;
    const answer = await rawRequest(target, url, { method, headers: asked, body });
    if (payment && front.lose > 0) {
      front.lose -= 1;
      if (front.lose % 2) return void request.socket.destroy();
      response.writeHead(answer.status, { 'content-length': answer.text.length });
      return void response.write(answer.text.slice(0, -1), () => request.socket.destroy());
    }
    const { 'transfer-encoding': __, 'content-length': ___, connection: ____, ...told } = answer.headers;
    response.writeHead(answer.status, told);
    response.end(answer.text);
  });
  return Object.assign(front, {
    url: server.url,
    stop: server.stop,
    reset: () => Object.assign(front, { payments: [], requests: [], lose: 0, instead: undefined }),
  });
}
