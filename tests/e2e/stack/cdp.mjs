// CDP's door: whoever calls without a token of their own for this very call is turned away with a 401.

import { generateKeyPairSync } from 'node:crypto';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { readBody, sendJson, serve } from './http.mjs';

/** Where CDP keeps its facilitator. */
export const CDP_PATH = '/platform/v2/x402';
/** A name from before a move: it redirects, but wants a token as well. */
export const OLD_PATH = '/platform/v1/x402';

/**
 * A key as CDP's portal gives it out.
 * @param {'Ed25519' | 'ES256'} kind
 * @returns {{kind: string, alg: string, id: string, secret: string, publicKey: import('node:crypto').KeyObject,
 *   privateKey: import('node:crypto').KeyObject, secrets: Record<string, string>}} `secrets`: as the Worker is given it
 */
export function cdpKey(kind, id = `organizations/6c1f/apiKeys/${kind.toLowerCase()}`) {
  const { publicKey, privateKey } = kind === 'Ed25519'
    ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = privateKey.export({ format: 'jwk' });
  const secret = kind === 'Ed25519'
    ? Buffer.concat([Buffer.from(jwk.d, 'base64url'), Buffer.from(jwk.x, 'base64url')]).toString('base64')
    : privateKey.export({ type: 'pkcs8', format: 'pem' });
  return {
    kind, alg: kind === 'Ed25519' ? 'EdDSA' : 'ES256', id, secret, publicKey, privateKey,
    secrets: { CDP_API_KEY_ID: id, CDP_API_KEY_SECRET: secret },
  };
}

/**
 * Serves `CDP_PATH` before `target` for the holder of `key`.
 * @returns {Promise<{url: string, host: string, stop: () => Promise<void>, reset: () => void,
 *   calls: Array<{path: string, token?: string, header?: object, claims?: object, refused?: string}>}>}
 */
export async function startCdp({ key, target }) {
  const calls = [];
  const seen = new Set();
  const server = await serve(async (request, response) => {
    const body = await readBody(request);
    const call = { path: request.url };
    calls.push(call);
    try {
      await admit(request, call);
    } catch (error) {
      call.refused = error.message;
      return sendJson(response, 401, { errorType: 'unauthorized', errorMessage: error.message });
    }
    if (request.url.startsWith(OLD_PATH)) {
      return void response.writeHead(308, { location: request.url.replace(OLD_PATH, CDP_PATH) }).end();
    }
    if (!request.url.startsWith(CDP_PATH)) return sendJson(response, 404, { errorType: 'not_found' });
    let real;
    try {
      real = await fetch(target + request.url.slice(CDP_PATH.length), {
        method: request.method, headers: { 'content-type': 'application/json' }, body,
      });
    } catch {
      // What broke behind the door breaks before it.
      return void request.socket.destroy();
    }
    response.writeHead(real.status, { 'content-type': 'application/json' });
    response.end(await real.text());
  });
  const { host } = new URL(server.url);

  async function admit(request, call) {
    call.token = request.headers.authorization?.match(/^Bearer (\S+)$/)?.[1];
    if (!call.token) throw new Error('no token');
    call.header = decodeProtectedHeader(call.token);
    const { payload } = await jwtVerify(call.token, key.publicKey, {
      algorithms: [key.alg], issuer: 'cdp', subject: key.id, typ: 'JWT', requiredClaims: ['exp', 'nbf', 'iat', 'uris'],
    });
    call.claims = payload;
    if (call.header.kid !== key.id) throw new Error('another key id');
    if (payload.exp - payload.nbf > 120) throw new Error('good for too long');
    const { pathname } = new URL(request.url, server.url);
    if (JSON.stringify(payload.uris) !== JSON.stringify([`${request.method} ${host}${pathname}`])) {
      throw new Error(`for ${payload.uris}`);
    }
    if (!/^[0-9a-f]{32}$/.test(call.header.nonce)) throw new Error('no nonce');
    if (seen.has(call.header.nonce)) throw new Error('used before');
    seen.add(call.header.nonce);
  }

  return { url: server.url, host, calls, reset: () => void (calls.length = 0), stop: server.stop };
}
