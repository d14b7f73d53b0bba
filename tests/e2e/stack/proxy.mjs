// Stands in front of the real facilitator: counts what it is asked, and spoils an answer when a test wants that.

import { readBody, serve } from './http.mjs';
import { sleep } from './processes.mjs';

/**
 * @typedef {object} Fault
 * @property {boolean} [forward] Ask the real facilitator first: what it does on chain happens, only its answer is spoilt.
 * @property {number} [delay]    Milliseconds before the answer (after the forwarded call, if any).
 * @property {boolean} [hang]    Never answer.
 * @property {boolean} [reset]   Close the connection without an answer.
 * @property {number} [status]   Of the answer, 200 if not given.
 * @property {object} [headers]  Beside the content type.
 * @property {object | ((answer: any) => object)} [body]   Sent as JSON; a function makes it of the real answer.
 * @property {string | ((text: string) => string)} [raw]   Sent as it is, under a JSON content type; or made of the same.
 * @property {'first' | 'second'} [twice]  The call is delivered a second time once it is answered; which answer is told.
 * @property {(socket: import('node:net').Socket) => void} [sent] Called when the whole answer is in the kernel's hands.
 */

/**
 * `fault` may be assigned at any time: `(path, body) => Fault | undefined`, also async; undefined lets the call through.
 * A fault with neither `hang`, `reset`, `status`, `body` nor `raw` leaves the real answer as it is.
 * @returns {Promise<{url: string, calls: Array<{path: string, body: any, headers: object, at: number, answer?: any}>,
 *   fault: undefined | ((path: string, body: any) => Fault | undefined | Promise<Fault | undefined>),
 *   count: (path: string) => number, reset: () => void, stop: () => Promise<void>}>}
 */
export async function startFacilitatorProxy({ target, port = 0 }) {
  const proxy = { calls: [], fault: undefined };
  const server = await serve(async (request, response) => {
    const path = request.url;
    const text = await readBody(request);
    const call = { path, body: parsed(text), headers: request.headers, at: Date.now() };
    proxy.calls.push(call);
    const fault = await proxy.fault?.(path, call.body);
    const spoilt = fault && ['hang', 'reset', 'status', 'body', 'raw'].some((way) => fault[way] !== undefined);

    let answer = { status: 200, text: '{}' };
    if (!spoilt || fault.forward) {
      answer = await forward(target + path, request, text);
      if (fault?.twice) {
        const second = await forward(target + path, request, text);
        if (fault.twice === 'second') answer = second;
      }
      call.answer = parsed(answer.text);
    }
    if (fault?.delay) await sleep(fault.delay);
    if (fault?.hang) return;
    if (fault?.reset) return void request.socket.destroy();
    if (spoilt) {
      const of = (made, real) => (typeof made === 'function' ? made(real) : made);
      const body = of(fault.raw, answer.text) ?? JSON.stringify(of(fault.body, call.answer));
      answer = { status: fault.status ?? 200, text: body ?? '' };
    }
    response.writeHead(answer.status, { 'content-type': 'application/json', ...fault?.headers });
    response.end(answer.text, () => fault?.sent?.(request.socket));
  }, { port });

  return Object.assign(proxy, {
    url: server.url,
    count: (path) => proxy.calls.filter((call) => call.path === path).length,
    reset: () => {
      proxy.calls.length = 0;
      proxy.fault = undefined;
    },
    stop: server.stop,
  });
}

async function forward(url, request, text) {
  const real = await fetch(url, {
    method: request.method,
    headers: { 'content-type': request.headers['content-type'] ?? 'application/json' },
    body: request.method === 'GET' ? undefined : text,
  });
  return { status: real.status, text: await real.text() };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
