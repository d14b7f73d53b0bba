// The pages, done as they say. Every command of every `sh` block of docs/*.md and README.md, and of README.md's indented
// blocks, is run, and shows what the page shows. PATH holds nothing but what docs-shim.mjs has a rule for, and a few
// plain programs: a command without a rule is not found, and fails. What needs Cloudflare's account goes to a stand-in
// that says so; a test lists what has.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { assertAnswered, authorize, call, startStack, until } from './helpers.mjs';
import { freePort, freshDirectory, ROOT, startProcess, stopEverything, waitForPort } from './stack/processes.mjs';
import { pythonOfTheExample } from './stack/python.mjs';
import { startWorker } from './stack/worker.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const SHIMMED = ['cargo', 'curl', 'git', 'make', 'npm', 'npx'];
const PLAIN = ['node', 'openssl', 'python3', 'cat', 'cp', 'rm', 'mkdir', 'sed', 'grep', 'head', 'tail', 'base64'];
const ORIGIN_SECRET = '0123456789abcdef0123456789abcdef';
const ADMIN_TOKEN = 'the-token-of-the-documents-test';
const KEY_SECRET = ORIGIN_SECRET;

// The pages

/** A fenced block, or an indented one of README.md, which is a command. */
function blocksOf(page, text) {
  const blocks = [];
  let fence;
  let indented;
  text.split('\n').forEach((line, at) => {
    const mark = line.match(/^\s*```(.*)$/);
    if (mark && !fence) fence = { page, line: at + 2, language: mark[1].trim(), text: '' };
    else if (mark) {
      blocks.push(fence);
      fence = undefined;
    } else if (fence) fence.text += `${line}\n`;
    else if (page === 'README.md' && /^ {4}\S/.test(line)) {
      if (!indented) blocks.push(indented = { page, line: at + 1, language: 'sh', text: '' });
      indented.text += `${line.slice(4)}\n`;
    }
    if (!/^ {4}\S/.test(line)) indented = undefined;
  });
  return blocks;
}

const DOCS = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
const PAGES = ['README.md', ...DOCS];
const BLOCKS = PAGES.map((page) => blocksOf(page, readFileSync(join(ROOT, page), 'utf8')));
const all = (...languages) => BLOCKS.flat().filter(({ language }) => languages.includes(language));
const place = ({ page, line }) => `${page}:${line}`;
/** The block of a page that begins with a comment of this name, as a file. */
const file = (page, name) => {
  const found = BLOCKS.flat().find((block) => block.page === page && new RegExp(`^(//|#) ${name}\\n`).test(block.text));
  return found?.text ?? assert.fail(`${page} has no ${name}`);
};

// The world that they are run in: the page's own API behind a Worker that sells it

const stack = await startStack();
after(stopEverything);
const directory = freshDirectory('docs');
const buyer = generatePrivateKey();
await stack.chain.mint(privateKeyToAccount(buyer).address, 10_000_000n);

const api = await startApi();
const vars = stack.vars({
  ORIGIN: api.url,
  RPC: stack.chain.rpcUrl,
  ROUTES: {
    '/weather/*': { price: '$0.001', description: 'The weather in a city, now.', mime_type: 'application/json' },
    'POST /reports': { price: '$0.01', settle: 'before' },
  },
});
const worker = await startWorker({ vars, secrets: { ADMIN_TOKEN, ORIGIN_SECRET } });
const shop = await startShop();
const logs = await logsToShow();

/** The API of docs/existing-api.md, as its page has it for Node. */
async function startApi() {
  const folder = join(directory, 'api');
  mkdirSync(folder);
  for (const name of ['gate.mjs', 'server.mjs']) writeFileSync(join(folder, name), file('docs/existing-api.md', name));
  const port = await freePort();
  const env = { EDGE402_SECRET: ORIGIN_SECRET, PORT: String(port) };
  startProcess({ name: 'api', command: process.execPath, args: [join(folder, 'server.mjs')], env });
  await waitForPort(port);
  return { url: `http://127.0.0.1:${port}` };
}

/** What docs/clients.md buys from: its prices, and our own weather. */
function startShop() {
  return startWorker({
    vars: stack.vars({
      RPC: stack.chain.rpcUrl,
      ROUTES: {
        'GET /weather/:city': { price: '$0.01', description: 'The weather in a city, now.', name: 'weather', input: { path: { city: 'A city' } } },
        'POST /reports': { price: '$0.02', description: 'A report.' },
      },
      PACKAGES: { tiny: { price: '$0.05', credits: 10 } },
      CREDIT_VALUE: '$0.01',
    }),
    secrets: { KEY_SECRET },
  });
}

/** What a log holds that the pages speak of: a paid call, a gateway with a mistake. */
async function logsToShow() {
  const payment = await authorize(worker.url, '/weather/lisbon', privateKeyToAccount(buyer));
  assertAnswered(await call(worker.url, '/weather/lisbon', { headers: payment.v2 }));
  const { PAY_TO, ...broken } = vars;
  const other = await startWorker({ vars: broken });
  assert.equal((await call(other.url, '/weather/lisbon')).status, 503);
  const lines = () => `${worker.logs()}\n${other.logs()}`;
  await until('the log', () => ['"answered"', 'PAY_TO: is missing'].every((word) => lines().includes(word)));
  await other.stop();
  const path = join(directory, 'worker.log');
  writeFileSync(path, lines());
  return path;
}

/** What the pages name, and where it is here. */
const PLACES = [
  ['https://weather-gate.<your subdomain>.workers.dev', worker.url],
  ['https://weather-gate.example.workers.dev', worker.url],
  ['https://api.example.com', api.url],
  ['http://127.0.0.1:8402', shop.url],
  ['<this repository>', ROOT],
];
const here = (text) => PLACES.reduce((text, [name, where]) => text.replaceAll(name, where), text);

const [bin, cargoAlone] = ['bin', 'cargo'].map((name) => join(directory, name));
for (const folder of [bin, cargoAlone]) mkdirSync(folder);
const pathOf = (name) => spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
for (const path of [...SHIMMED.map((name) => join(bin, name)), join(cargoAlone, 'cargo')]) {
  const name = basename(path);
  const shim = join(HERE, 'docs-shim.mjs');
  writeFileSync(path, `#!/bin/sh\nexec ${process.execPath} ${shim} ${name} "$@"\n`, { mode: 0o755 });
}
for (const name of PLAIN.filter(pathOf)) {
  writeFileSync(join(bin, name), `#!/bin/sh\nPATH='${process.env.PATH}' exec ${pathOf(name)} "$@"\n`, { mode: 0o755 });
}

// The page's `python` has what the example's requirements.txt says.
writeFileSync(join(bin, 'python'), `#!/bin/sh\nexec ${await pythonOfTheExample()} "$@"\n`, { mode: 0o755 });

/** A clone as `make build` leaves it, without what no command looks at. */
function scratch(name) {
  const folder = join(directory, name.replace(/\W/g, '-'));
  mkdirSync(folder);
  const left = ['.git', '.wrangler', 'docs', 'fuzz', 'src', 'target', 'tests'];
  const linked = ['build', 'node_modules'];
  const filter = (path) => !['node_modules', 'target'].includes(basename(path));
  for (const entry of readdirSync(ROOT).filter((entry) => !left.includes(entry))) {
    if (linked.includes(entry)) symlinkSync(join(ROOT, entry), join(folder, entry));
    else cpSync(join(ROOT, entry), join(folder, entry), { recursive: true, filter });
  }
  return folder;
}

/** Runs a script as a reader of the page would, all of it in one shell. */
function run(script, cwd) {
  const env = {
    ...process.env,
    PATH: bin,
    DOCS_PATH: process.env.PATH,
    DOCS_BIN: bin,
    DOCS_CARGO: cargoAlone,
    DOCS_ROOT: ROOT,
    DOCS_STATE: directory,
    DOCS_LOG: logs,
    PRIVATE_KEY: buyer,
    ADMIN_TOKEN,
    KEY_SECRET,
    NO_COLOR: '1',
  };
  const options = ['--noprofile', '--norc', '-euo', 'pipefail'];
  // Both through one pipe, as on a terminal: through two, what was written first may be read last.
  const shell = spawn(pathOf('bash'), [...options, '-c', `exec 2>&1\n${script}`], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  shell.stdout.on('data', (bytes) => (output += bytes.toString('utf8')));
  return new Promise((done, failed) => {
    shell.once('error', failed);
    shell.once('close', (status) => done({ status, output }));
  });
}

const quoted = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Every line that the page shows is among those that came, in their order; `…` stands for anything. */
function assertShown(shown, output, where) {
  const plain = (text) => text.split('\n').map((line) => line.replace(/\s+/g, ' ').trim()).filter(Boolean);
  const came = plain(here(output));
  let next = 0;
  for (const line of plain(here(shown))) {
    const pattern = new RegExp(`^${line.split(/\s?…\s?/).map(quoted).join('.*')}$`, 'i');
    const found = came.findIndex((line, at) => at >= next && pattern.test(line));
    assert.ok(found >= 0, `${where} shows\n${line}\nand what came is\n${output}`);
    next = found + 1;
  }
}

// Commands

/** The next settlement is made, and nobody hears of it: what a page shows of a facilitator's answer that got lost. */
function loseOneSettlement() {
  stack.proxy.fault = (path) => {
    if (path !== '/settle') return undefined;
    stack.proxy.fault = undefined;
    return { forward: true, status: 500, raw: 'oops' };
  };
}

const standIns = [];
for (const [at, blocks] of BLOCKS.entries()) {
  const commands = blocks.filter(({ language }) => ['sh', 'bash', 'shell', 'console'].includes(language));
  if (!commands.length) continue;
  test(`${PAGES[at]}: every command`, async (t) => {
    const cwd = scratch(PAGES[at]);
    for (const block of commands) {
      await t.test(`${place(block)}: ${block.text.split('\n')[0]}`, async () => {
        assert.equal(block.language, 'sh', 'write it as ```sh');
        const script = here(block.text);
        assert.doesNotMatch(script, /<[a-z][^<>\n]*>/i, 'a placeholder that no rule fills');
        const shown = blocks[blocks.indexOf(block) + 1];
        if (shown?.text.includes('503: settlement_unknown')) loseOneSettlement();
        const { status, output } = await run(script, cwd);
        standIns.push(...output.split('\n').filter((line) => line.startsWith('stand-in')));
        assert.equal(status, 0, `${script}ended with ${status}:\n${output}`);
        // What `make check` says of the page's own configuration tests/docs.rs compares, to the letter.
        const compared = shown?.language === 'text' && !shown.text.startsWith('PATTERN') && isOutputOf(block, shown);
        if (compared) assertShown(shown.text, output, place(shown));
      });
    }
  });
}

/** Whether nothing but a word or two stands between a command and the output that is shown. */
function isOutputOf(command, shown) {
  const lines = readFileSync(join(ROOT, command.page), 'utf8').split('\n');
  const between = lines.slice(command.line - 1 + command.text.split('\n').length, shown.line - 2);
  return between.every((line) => line.trim() === '');
}

test('no command hides in a block that nobody runs', () => {
  const prompts = BLOCKS.flat().filter(({ text }) => /^\s*\$ \S/m.test(text));
  assert.deepEqual(prompts.map(place), [], 'write the command as ```sh, and below it what it says as ```text');
});

test('what has run through a stand-in', (t) => {
  assert.ok(standIns.length > 5, 'nothing needed an account, or the stand-ins are silent');
  for (const line of new Set(standIns)) t.diagnostic(line);
});

test('a command that no rule covers fails, and so does a slip in one that is covered', async () => {
  const cwd = scratch('slips');
  for (const slip of [
    'true && no-such-program', 'wget https://example.com', 'curl -s https://example.com/', 'git push', 'make', 'make biuld',
    'npm ci', 'npm run paay', 'npx cowsay hello', 'npx wrangler depoly', 'npx wrangler tail --fromat json',
    'npx wrangler rollback --dry-run', 'openssl rand -hex 4 | npx wrangler secret put ORIGIN_SECRET',
    'openssl rand -hex 16 | npx wrangler secret put ORIGIN_SECRETS',
  ]) {
    const { status, output } = await run(slip, cwd);
    assert.notEqual(status, 0, `${slip}\n${output}`);
  }
  assert.throws(() => assertShown('a\nb…d\n', 'b to d\na\n', 'here'));
  assertShown('a\nb…d\n', 'x\na\n\nb to d\ny', 'here');
});

// Programs

for (const block of all('js', 'javascript', 'mjs')) {
  const name = block.text.match(/^\/\/ ([\w-]+\.m?js)\n/)?.[1];
  test(`${place(block)}: ${name ?? 'the program runs'}`, async () => {
    const folder = freshDirectory('program');
    const path = join(folder, 'program.mjs');
    writeFileSync(path, here(block.text));
    // What has a name is a part of something, which has a test of its own.
    const { status, output } = await run(name ? `node --check ${path}` : `node ${path}`, folder);
    assert.equal(status, 0, output);
    assert.equal(output.trim() === '', name !== undefined, `it says ${output || 'nothing'}`);
  });
}

test('the back door: what the page has for Node', async () => {
  const asked = (headers) => call(api.url, '/weather/lisbon', { headers });
  for (const [headers, status] of [
    [{}, 403], [{ 'X-Edge402-Secret': '' }, 403], [{ 'X-Edge402-Secret': `${ORIGIN_SECRET}0` }, 403],
    [{ 'X-Edge402-Secret': [ORIGIN_SECRET, ORIGIN_SECRET] }, 403], [{ 'X-Edge402-Secret': ORIGIN_SECRET }, 200],
  ]) {
    assert.equal((await asked(headers)).status, status, JSON.stringify(headers));
  }
  const env = { ...process.env, EDGE402_SECRET: '' };
  const without = spawnSync(process.execPath, [join(directory, 'api', 'gate.mjs')], { encoding: 'utf8', env });
  assert.match(without.stderr, /EDGE402_SECRET is not set/);
  // Through the gateway, free and paid; and the client's own copy is no key.
  assert.equal((await call(worker.url, '/free', { headers: { 'X-Edge402-Secret': 'mine' } })).status, 200);
  const account = privateKeyToAccount(buyer);
  const { v2: headers } = await authorize(worker.url, '/weather/porto', account);
  const paid = await call(worker.url, '/weather/porto', { headers });
  assertAnswered(paid);
  assert.deepEqual(paid.json(), { payer: account.address });
});

const noPython = pathOf('python3') ? false : 'there is no python3 here';
test('the back door: what the page has for Python', { skip: noPython }, () => {
  const folder = freshDirectory('asgi');
  writeFileSync(join(folder, 'gate.py'), file('docs/existing-api.md', 'gate.py'));
  writeFileSync(join(folder, 'ask.py'), `
import asyncio, json, sys
from gate import OnlyThroughTheGate

async def app(scope, receive, send):
    await send({"type": "app", "scope": scope["type"]})

async def ask(kind, headers):
    sent = []
    async def send(message):
        sent.append(message)
    await OnlyThroughTheGate(app)({"type": kind, "headers": headers}, None, send)
    return [sent[0]["type"], sent[0].get("status", sent[0].get("code"))]

right, wrong = (b"x-edge402-secret", b"${ORIGIN_SECRET}"), (b"x-edge402-secret", b"wrong")
cases = [("http", [right]), ("http", []), ("http", [wrong]), ("http", [right, wrong]), ("http", [right, right]),
         ("websocket", [right]), ("websocket", []), ("lifespan", [])]
print(json.dumps([asyncio.run(ask(*case)) for case in cases]))
`);
  const env = { ...process.env, EDGE402_SECRET: ORIGIN_SECRET };
  const asked = spawnSync('python3', ['-B', 'ask.py'], { cwd: folder, encoding: 'utf8', env });
  assert.equal(asked.status, 0, asked.stderr);
  const no = ['http.response.start', 403];
  assert.deepEqual(JSON.parse(asked.stdout), [
    ['app', null], no, no, no, no, ['app', null], ['websocket.close', 1008], ['app', null],
  ]);
  const empty = { ...env, EDGE402_SECRET: '' };
  const without = spawnSync('python3', ['-B', 'ask.py'], { cwd: folder, encoding: 'utf8', env: empty });
  assert.match(without.stderr, /EDGE402_SECRET is empty/);
});

test('the back door: what the page has for nginx', (t) => {
  const [{ text }] = all('nginx');
  const count = (pattern) => text.match(pattern)?.length ?? 0;
  assert.equal(count(/\{/g), count(/\}/g));
  assert.match(text, /map \$http_x_edge402_secret \$through_the_gate \{\s+default\s+0;\s+"[0-9a-f]{32}"\s+1;\s+\}/);
  assert.match(text, /if \(\$through_the_gate = 0\) \{ return 403; \}/);
  if (!pathOf('nginx')) return t.diagnostic('there is no nginx here: the lines were looked at, not loaded');
  const folder = freshDirectory('nginx');
  const whole = `pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${text} }`;
  writeFileSync(join(folder, 'nginx.conf'), whole);
  const loaded = spawnSync('nginx', ['-t', '-p', folder, '-c', join(folder, 'nginx.conf')], { encoding: 'utf8' });
  assert.equal(loaded.status, 0, loaded.stderr);
});
