// A real browser: Chromium, as the system has it, driven by playwright-core. Run by itself it says where Chromium is.

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onStop } from './processes.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
const ELSEWHERE = ['/Applications/Chromium.app/Contents/MacOS/Chromium', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'];

/** Chromium's path; throws, with the cure, where there is none. */
export function findChromium() {
  const named = process.env.EDGE402_CHROMIUM;
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const candidates = named ? [named] : [...NAMES.flatMap((name) => folders.map((folder) => join(folder, name))), ...ELSEWHERE];
  const found = candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (found) return found;
  throw new Error(named
    ? `EDGE402_CHROMIUM is ${named}, which cannot be run`
    : 'no Chromium is to be found: run `make setup`, or `apt-get install chromium` as root, or name one in EDGE402_CHROMIUM');
}

/** A headless Chromium, closed with everything else. */
export async function startBrowser() {
  const executablePath = findChromium();
  const { chromium } = await import('playwright-core');
  // Ended by us, in order: playwright's own handlers would race with those of processes.mjs.
  const ours = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  const browser = await chromium.launch({ executablePath, headless: true, args: ['--disable-dev-shm-usage'], ...ours });
  onStop(() => browser.close());
  return browser;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) console.log(findChromium());
