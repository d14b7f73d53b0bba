// `node tests/e2e/run.mjs [FILES]`: the test files, several at a time, each in a process of its own whose output is shown
// whole when it has ended. The longest begin first, by what they took the last time on this machine: the end is then not
// spent waiting for one file. TEST_FILES_AT_ONCE=1 for one after another.

import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const REMEMBERED = join(process.env.CARGO_TARGET_DIR ?? join(HERE, '../../target'), 'e2e-seconds.json');
// No more than can compute: several tests give a facilitator six seconds, and more files at once take those away from it.
const atOnce = Number(process.env.TEST_FILES_AT_ONCE) || availableParallelism();

const given = process.argv.slice(2);
const files = given.length ? given : readdirSync(HERE).filter((name) => name.endsWith('.test.mjs')).map((name) => join(HERE, name));
const seconds = remembered();
// A file that has not run here yet: by its size, which says a little.
const weight = (file) => seconds[basename(file)] ?? statSync(file).size / 1000;
const waiting = [...files].sort((a, b) => weight(b) - weight(a));
const running = new Set();
const sums = {};
const failed = [];
const began = Date.now();
let ended = 0;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    waiting.length = 0;
    failed.push(signal);
    for (const child of running) child.kill(signal);
  });
}
await Promise.all(Array.from({ length: atOnce }, async () => {
  for (let file; (file = waiting.shift()); ) await one(file);
}));

mkdirSync(dirname(REMEMBERED), { recursive: true });
writeFileSync(REMEMBERED, JSON.stringify(seconds, null, 1));
const slowest = files.map((file) => [basename(file), seconds[basename(file)]])
  .filter(([, took]) => took !== undefined).sort((a, b) => b[1] - a[1]).slice(0, 10);
console.log(`\nthe longest of ${files.length} files, in seconds: ${slowest.map(([name, took]) => `${name} ${took}`).join(', ')}`);
for (const name of ['tests', 'pass', 'fail', 'cancelled', 'skipped', 'todo']) console.log(`ℹ ${name} ${sums[name] ?? 0}`);
console.log(`ℹ duration_s ${Math.round((Date.now() - began) / 1000)}`);
if (failed.length) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

async function one(file) {
  const started = Date.now();
  const child = spawn(process.execPath, ['--test-reporter=spec', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const parts = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => parts.push(part));
  const status = await new Promise((done) => {
    child.once('error', (error) => done(error.message));
    child.once('close', (code, signal) => done(code ?? signal));
  });
  running.delete(child);
  const took = Math.round((Date.now() - started) / 100) / 10;
  const output = Buffer.concat(parts).toString('utf8');
  // The counts of each file are summed up at the end.
  const counted = /^ℹ (\w+) ([\d.]+)\n/gm;
  for (const [, name, count] of output.matchAll(counted)) sums[name] = (sums[name] ?? 0) + Number(count);
  const ok = status === 0 && /^ℹ tests [1-9]/m.test(output);
  if (ok) seconds[basename(file)] = took;
  else failed.push(basename(file));
  console.log(`\n${basename(file)} (${(ended += 1)} of ${files.length}, ${took} s)${ok ? '' : `: FAILED (${status})`}\n${output.replace(counted, '').trimEnd()}`);
}

function remembered() {
  try {
    return JSON.parse(readFileSync(REMEMBERED, 'utf8'));
  } catch {
    return {};
  }
}
