// Paths beyond ASCII that a tolerant origin takes for a priced one. The origin here is Python, and as tolerant as Python makes
// it easy to be: it compares without regard to case, normalises and trims. It is asked itself first: what it takes for /secret
// must not come out unpaid.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { assertAnswered, assertRefused, authorize, call, startStack, withoutEffect } from './helpers.mjs';
import { freePort, startProcess, stopEverything, waitForUrl } from './stack/processes.mjs';
import { startWorker } from './stack/worker.mjs';

const TOLERANT = `
import re, sys, unicodedata
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import unquote

def is_secret(path):
    path = unquote(path.split('?')[0])
    readings = {path, path.strip(), '/'.join(part.strip() for part in path.split('/')), path.casefold(), unicodedata.normalize('NFKC', path).casefold().strip(' .\\u200b\\ufeff')}
    marks = ''.join(c for c in unicodedata.normalize('NFKD', path) if not unicodedata.combining(c) and unicodedata.category(c) != 'Cf')
    readings.add(marks.casefold().strip())
    return any(re.fullmatch('(/any)?/secret', reading, re.IGNORECASE) for reading in readings)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'celsius' if is_secret(self.path) else b'nothing'
        self.send_response(200)
        self.send_header('content-type', 'text/plain')
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
`;

const stack = await startStack();
after(stopEverything);
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
startProcess({ name: 'tolerant-origin', command: 'python3', args: ['-c', TOLERANT, String(port)] });
await waitForUrl(url);
const routes = { '/secret': '$1', '/any/secret': '$1', '/any/:other': '$0.001' };
const open = await startWorker({ vars: stack.vars({ ORIGIN: url, ROUTES: routes }) });
const shut = await startWorker({ vars: stack.vars({ ORIGIN: url, ROUTES: routes, DEFAULT: 'deny' }) });

const SPELLINGS = [
  'ſecret', 'ｓecret', 'secrｅt', 'sécret', 'se\u0301cret', 'secret\u00a0', 'secret\u3000', '\u3000secret',
  'secret\u200b', '\ufeffsecret', 'secret\u2028', 'secret\u0085', 'se\u00adcret', 'ⓢecret', '𝓼ecret', 'secret．', 'se\u200dcret',
];

test('what a tolerant origin takes for a priced path is refused, or costs as much', async (t) => {
  for (const spelling of SPELLINGS) {
    await t.test(JSON.stringify(spelling), async () => {
      const target = `/${encodeURIComponent(spelling)}`;
      if (spelling !== 'secret．') assert.equal((await call(url, target)).text, 'celsius', 'the origin is not as tolerant as this test says');
      for (const worker of [open, shut]) {
        for (const path of [target, `/any${target}`]) {
          assertRefused(await withoutEffect(stack, () => call(worker.url, path)), 400, 'path_not_canonical');
        }
      }
    });
  }
});

test('a thief with the cheap route’s payment gets nothing under the dear one’s other name', async () => {
  const { v2 } = await authorize(open.url, '/any/thing', await stack.buyer());
  const response = await withoutEffect(stack, () => call(open.url, '/any/%C5%BFecret', { headers: v2 }));
  assertRefused(response, 400, 'path_not_canonical');
  assert.equal((await call(open.url, '/any/thing', { headers: v2 })).text, 'nothing', 'the payment is still good for what it was signed for');
});

test('names beyond ASCII that are no other’s pass, and cost what they cost', async () => {
  for (const name of ['東京', 'straße', 'отчёт', 'naïve', '½', 'a：b']) {
    assert.equal((await call(open.url, `/${encodeURIComponent(name)}`)).text, 'nothing', name);
    assertRefused(await call(open.url, `/any/${encodeURIComponent(name)}`), 402, 'payment_required');
  }
});

test('the secret itself is sold', async () => {
  const { v2 } = await authorize(open.url, '/secret', await stack.buyer(2_000_000n));
  assertAnswered(await call(open.url, '/secret', { headers: v2 }));
});
