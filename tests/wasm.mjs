// Cargo's runner for the tests in wasm: `node tests/wasm.mjs TESTS.wasm`. A panic ends the module, so the first failure is
// the last that is known.

import { readFileSync } from 'node:fs';

const told = [];
const tell = (text, length) => {
  const line = Buffer.from(instance.exports.memory.buffer, text, length).toString('utf8');
  told.push(line);
  console.log(`test ${line}`);
};
const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const instance = new WebAssembly.Instance(module, { host: { tell } });
let status = 0;
try {
  status = instance.exports.main(0, 0);
} catch (error) {
  console.error(error.stack);
  status = 101;
}
const passed = told.filter((line) => line.startsWith('ok ')).length;
if (!passed && !status) {
  console.error('no test ran');
  status = 1;
}
console.log(`\ntest result: ${status ? 'FAILED' : 'ok'}. ${passed} passed in wasm`);
process.exit(status);
