// Stands in PATH, under the names of programs, while docs.test.mjs runs the commands of the pages. What runs offline it
// hands on. Of what needs Cloudflare's account, or takes minutes, it checks all that can be checked here, and says so.
// Whatever it has no rule for is an error.

import { spawnSync } from 'node:child_process';
import { existsSync, fstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';

const { DOCS_ROOT, DOCS_STATE, DOCS_LOG, DOCS_PATH, DOCS_BIN, DOCS_CARGO } = process.env;
const [, , program, ...args] = process.argv;
const said = `${program} ${args.join(' ')}`;

const fail = (message) => {
  console.error(`docs: ${message}`);
  process.exit(97);
};
const standIn = (what) => console.log(`stand-in for \`${said}\`: ${what}`);

/** The real program, found without this one; its own children find those in `first` before all others. */
function real(command, commandArgs, { first, ...options } = {}) {
  const PATH = first ? first + delimiter + DOCS_PATH : DOCS_PATH;
  const inPath = () => DOCS_PATH.split(delimiter).map((folder) => join(folder, command)).find(existsSync);
  const found = command.includes('/') ? command : inPath();
  if (!found) fail(`there is no ${command} here`);
  return spawnSync(found, commandArgs, { stdio: 'inherit', ...options, env: { ...process.env, PATH } });
}
const end = ({ status, error }) => {
  if (error) fail(error.message);
  process.exit(status ?? 98);
};

const rules = {
  curl() {
    for (const url of args.filter((word) => /^https?:/.test(word))) {
      if (!['127.0.0.1', 'localhost'].includes(new URL(url).hostname)) fail(`no rule says where ${url} is`);
    }
    end(real('curl', ['--max-time', '60', ...args]));
  },

  git() {
    if (args[0] !== 'clone' || args.length !== 3) fail(`no rule for \`${said}\``);
    end(real('git', args));
  },

  /** `make check` is the real one, but for cargo: its program is built already. */
  cargo() {
    const given = args.slice(args.indexOf('--') + 1);
    if (args[0] !== 'run' || !args.includes('edge402-check')) fail(`no rule for \`${said}\``);
    if (process.env.EDGE402_CHECK) end(real(process.env.EDGE402_CHECK, given));
    const manifest = join(DOCS_ROOT, 'Cargo.toml');
    const program = ['run', '--quiet', '--locked', '--manifest-path', manifest, '--bin', 'edge402-check'];
    end(real('cargo', [...program, '--', ...given]));
  },

  make() {
    const LONG = {
      build: 'takes minutes; these tests run what it makes',
      test: 'is what runs these tests',
      native: 'is a part of `make test`',
      e2e: 'is what runs these tests',
      lint: 'is a part of `make test`',
      demo: 'starts what these tests start, and stays up',
    };
    const targets = args.filter((word) => !word.includes('='));
    if (targets.join() === 'check' || targets.join() === 'help') end(real('make', args, { first: DOCS_CARGO }));
    for (const target of targets) {
      if (!LONG[target]) fail(`no rule for \`make ${target}\``);
      // With every recipe shown and none run: the target is there, and its recipe can be read.
      const { status } = real('make', ['-n', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
      if (status !== 0) fail(`the Makefile has no ${target}`);
      standIn(`it ${LONG[target]}`);
    }
    process.exit(targets.length ? 0 : 97);
  },

  npm() {
    const { scripts = {}, devDependencies } = JSON.parse(readFileSync(join(DOCS_ROOT, 'package.json'), 'utf8'));
    const names = args.slice(1).filter((word) => !word.startsWith('-'));
    if (args[0] === 'run') {
      if (scripts[names[0]]) end(real('npm', args));
      fail(`package.json has no script ${names[0]}`);
    }
    const packages = names.map((name) => name.replace(/(?<=.)@[^/]*$/, ''));
    if (args[0] !== 'install' || !packages.length) fail(`no rule for \`${said}\``);
    for (const name of packages) if (!devDependencies[name]) fail(`nothing here is tested with ${name}`);
    standIn('these packages are installed here, in the versions of package-lock.json');
  },

  npx() {
    if (args[0] !== 'wrangler') fail(`no rule for \`${said}\``);
    wrangler(args.slice(1));
  },
};

/** What wants an account. */
const COMMANDS = [
  'login', 'whoami', 'deploy', 'tail', 'rollback', 'secret put', 'secret list', 'deployments list', 'versions list',
  'secret bulk', 'kv namespace create',
];

function runWrangler(words, options) {
  const home = join(DOCS_STATE, 'wrangler');
  mkdirSync(home, { recursive: true });
  Object.assign(process.env, {
    CI: '1',
    NO_COLOR: '1',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_SEND_ERROR_REPORTS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    XDG_CONFIG_HOME: join(home, 'config'),
    WRANGLER_LOG_PATH: join(home, 'logs'),
  });
  return real(process.execPath, [join(DOCS_ROOT, 'node_modules/wrangler/bin/wrangler.js'), ...words], options);
}

function wrangler(words) {
  const command = COMMANDS.find((known) => `${words.join(' ')} `.startsWith(`${known} `));
  if (!command) fail(`no rule for \`${said}\``);
  const kept = join(DOCS_STATE, `help-${command.replaceAll(' ', '-')}.txt`);
  if (!existsSync(kept)) {
    const heard = { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' };
    const { status, stdout } = runWrangler([...command.split(' '), '--help'], heard);
    if (status !== 0 || !stdout.includes(`wrangler ${command}`)) fail(`wrangler knows no ${command}`);
    writeFileSync(kept, stdout);
  }
  const help = readFileSync(kept, 'utf8');
  const rest = words.slice(command.split(' ').length);
  for (const option of rest.filter((word) => word.startsWith('-')).map((word) => word.split('=')[0])) {
    if (!new RegExp(`(^|[\\s,])${option}(?![\\w-])`, 'm').test(help)) fail(`wrangler ${command} has no ${option}`);
  }
  if (command === 'deploy') {
    if (rest.includes('--dry-run')) end(runWrangler(words, { first: DOCS_BIN }));
    const status = runWrangler([...words, '--dry-run'], { first: DOCS_BIN }).status ?? 98;
    if (status === 0) standIn('no account here, so the real `wrangler deploy --dry-run` ran');
    process.exit(status);
  }
  if (command === 'secret put') secret(rest);
  if (command === 'tail') {
    const search = rest.includes('--search') ? rest[rest.indexOf('--search') + 1] : '';
    console.log(readFileSync(DOCS_LOG, 'utf8').split('\n').filter((line) => line.includes(search)).join('\n'));
    return standIn('the log of the Worker that runs here is shown');
  }
  standIn('no account here; the real wrangler knows the command and its options');
}

function secret([name, more]) {
  const source = readFileSync(join(DOCS_ROOT, 'src/config/bindings.rs'), 'utf8');
  const known = [...source.match(/const KNOWN:[^=]*= &?\[([^\]]*)\]/)[1].matchAll(/"(\w+)"/g)].map(([, word]) => word);
  if (!known.includes(name) || more) fail(`${name} is no variable of edge402`);
  if (!fstatSync(0).isFIFO()) return;
  // As wrangler reads it: without white space at the end.
  const value = readFileSync(0, 'utf8').trimEnd();
  if (!/^[!-~]{16,}$/.test(value)) fail(`what is piped into ${name} is none: ${value.length} characters`);
}

if (!rules[basename(program)]) fail(`no rule for \`${said}\``);
rules[basename(program)]();
