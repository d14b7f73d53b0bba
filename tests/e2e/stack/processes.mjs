// Child processes that cannot outlive us. Each child leads its own process group and writes to a file, never to our
// pipes: wrangler and Miniflare start `workerd` themselves, and only the group's id reaches those.

import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

const RUNS = join(ROOT, 'tests/e2e/.run');
const DAY = 24 * 60 * 60 * 1000;
const GRACE = 3000;
const INTERRUPTED = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

const running = new Set();
const cleanups = new Set();
let watching = false;
let interrupted = false;
let directory;
let names = 0;

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** This process's own folder for logs and state. Gone after a clean exit, kept after a failure. */
export function runDirectory() {
  if (directory) return directory;
  watch();
  mkdirSync(RUNS, { recursive: true });
  for (const name of readdirSync(RUNS)) {
    const old = join(RUNS, name);
    const changed = statSync(old, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - changed > DAY) rmSync(old, { recursive: true, force: true });
  }
  directory = join(RUNS, `${Date.now()}-${process.pid}`);
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** A new empty folder in the run directory. */
export function freshDirectory(name) {
  const path = join(runDirectory(), `${name}-${++names}`);
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * Starts `command` as the leader of a new process group.
 * @returns {{name: string, pid: number, logFile: string, log: () => string, exited: Promise<number|string>,
 *            ended: () => boolean, kill: () => void, stop: () => Promise<void>}}
 */
export function startProcess({ name, command, args = [], env = {}, cwd = ROOT }) {
  watch();
  const logFile = join(runDirectory(), `${name}-${++names}.log`);
  const out = openSync(logFile, 'a');
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', out, out],
  });
  closeSync(out);
  const leash = child.pid ? leashFor(child.pid) : undefined;

  let status;
  const handle = {
    name,
    pid: child.pid,
    logFile,
    log: () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : ''),
    ended: () => status !== undefined,
    exited: new Promise((done) => {
      const end = (reason) => {
        status ??= reason;
        // The leader is gone, what it started may not be.
        signalGroup(child.pid, 'SIGKILL');
        running.delete(handle);
        leash?.kill('SIGKILL');
        done(status);
      };
      child.once('error', (error) => end(error.message));
      child.once('exit', (code, signal) => end(code ?? signal));
    }),
    /** Kills the whole group at once, as a crash would. */
    kill: () => signalGroup(child.pid, 'SIGKILL'),
    /** SIGTERM to the leader, which knows best how to end its own; SIGKILL to the group then, or after a grace. */
    stop: async () => {
      if (handle.ended()) return;
      child.kill('SIGTERM');
      const patience = setTimeout(handle.kill, GRACE);
      await handle.exited;
      clearTimeout(patience);
    },
  };
  running.add(handle);
  return handle;
}

/**
 * A shell that holds a pipe to us and kills the group when the pipe ends: no handler of ours runs when we are ourselves
 * killed with SIGKILL or run out of memory.
 */
function leashFor(group) {
  const leash = spawn('sh', ['-c', `read _; kill -s KILL -- -${group}`], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  leash.once('error', () => {});
  leash.stdin.once('error', () => {});
  leash.unref();
  leash.stdin.unref?.();
  return leash;
}

function signalGroup(group, signal) {
  if (!group) return;
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Has `stop` called by {@link stopEverything}; returns a function that forgets it again. */
export function onStop(stop) {
  watch();
  cleanups.add(stop);
  return () => cleanups.delete(stop);
}

/** Ends all that was started here. */
export async function stopEverything() {
  const servers = [...cleanups];
  cleanups.clear();
  await Promise.allSettled(servers.map((stop) => stop()));
  await Promise.allSettled([...running].map((child) => child.stop()));
}

/** Whether a signal is ending us: what fails from then on fails because its servers go away. */
export const isInterrupted = () => interrupted;

function watch() {
  if (watching) return;
  watching = true;
  // Also reached after an uncaught exception; only synchronous work is possible here.
  process.on('exit', (code) => {
    for (const child of running) child.kill();
    if (code === 0 && directory && !process.env.KEEP_RUN) rmSync(directory, { recursive: true, force: true });
  });
  for (const [signal, status] of Object.entries(INTERRUPTED)) {
    process.on(signal, async () => {
      const first = !interrupted;
      interrupted = true;
      if (first) await stopEverything();
      // Whoever set an exit code before the signal has finished its work: the signal then is the ordinary end.
      process.exit(process.exitCode ?? status);
    });
  }
}

/** Waits for `pattern` in the child's output and returns the match; throws the log's end when the child dies first. */
export async function waitForOutput(child, pattern, { seconds = 30 } = {}) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const ended = child.ended();
    const log = child.log();
    const match = log.match(pattern);
    if (match) return match;
    if (ended || Date.now() > deadline) {
      const what = ended ? `ended (${await child.exited})` : `said nothing of ${pattern} in ${seconds} s`;
      throw new Error(`${child.name} ${what}; the end of its log, ${child.logFile}:\n${withoutColours(log).slice(-3000)}`);
    }
    await sleep(25);
  }
}

const withoutColours = (text) => text.replace(/\x1b\[[0-9;]*m/g, '');

/** Waits until `url` answers anything over HTTP. */
export async function waitForUrl(url, { seconds = 30 } = {}) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    try {
      const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(2000) });
      await response.body?.cancel();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${url} did not answer in ${seconds} s`, { cause: error });
    }
    await sleep(50);
  }
}

/** Waits until something accepts connections on a loopback port. */
export async function waitForPort(port, { seconds = 30 } = {}) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const open = await new Promise((done) => {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.once('connect', () => (socket.destroy(), done(true)));
      socket.once('error', () => done(false));
    });
    if (open) return;
    if (Date.now() > deadline) throw new Error(`nothing listens on 127.0.0.1:${port} after ${seconds} s`);
    await sleep(25);
  }
}

/** `preferred` if nobody has it, else a port that is free now. */
export async function freePort(preferred = 0) {
  const probe = createServer();
  const port = await new Promise((done) => {
    probe.once('error', () => done(undefined));
    probe.listen(preferred, '127.0.0.1', () => done(probe.address().port));
  });
  if (port === undefined) return freePort();
  await new Promise((done) => probe.close(done));
  return port;
}

/** The named program's processes within a process group, from /proc; none elsewhere. `states`: of its threads, "S", "T", … */
export function processesOf(group, program) {
  if (!existsSync('/proc')) return [];
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const [, comm, rest] = readFileSync(`/proc/${pid}/stat`, 'utf8').match(/\((.*)\) (.*)/s);
      if (Number(rest.split(' ')[2]) !== group || comm !== program) return [];
      const threads = readdirSync(`/proc/${pid}/task`);
      const stateOf = (thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8').match(/\(.*\) (\S)/s)[1];
      return [{ pid: Number(pid), states: threads.map(stateOf) }];
    } catch {
      // It ended while we looked.
      return [];
    }
  });
}

/** Resident memory, in bytes, of the named program within a process group, from /proc; undefined elsewhere. */
export function memoryOf(group, program) {
  if (!existsSync('/proc')) return undefined;
  return processesOf(group, program).reduce((bytes, { pid }) => {
    try {
      return bytes + Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)?.[1] ?? 0) * 1024;
    } catch {
      return bytes;
    }
  }, 0);
}
