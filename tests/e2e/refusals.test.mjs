// Every payment that is not one: its own status and code, at nobody's cost. All of the spoilt copies come from a few sound
// authorizations, which must still be good at the end: a refusal that burnt a nonce would rob its owner.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  assertAnswered, assertRefused, authorize, call, encode, NETWORK, now, spellings, startStack, THIEF, V1_NETWORK,
  withoutEffect,
} from './helpers.mjs';
import { highS, sign } from './stack/client.mjs';
import { startWorker } from './stack/worker.mjs';

const stack = await startStack();
const worker = await startWorker({
  vars: stack.vars({ ROUTES: { 'GET /weather/*': '$0.001', 'GET /weather/dear': '$0.002' } }),
});
after(async () => {
  await worker.stop();
  await stack.stop();
});

const PATH = '/weather/lisbon';
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const TOO_LARGE = (2n ** 256n).toString();
const buyer = await stack.buyer();
const sound = await authorize(worker.url, PATH, buyer);

const send = (headers, path = PATH) => call(worker.url, path, { headers });
const word = (number) => number.toString(16).padStart(64, '0');
const clone = (value) => structuredClone(value);

/** The sound payment with something changed, as v2 (or another dialect). */
const edited = (change, dialect = 'v2') => {
  const json = clone(sound.json[dialect]);
  change(json);
  return { [dialect === 'v2' ? 'PAYMENT-SIGNATURE' : 'X-PAYMENT']: encode(json) };
};
const accepted = (fields) => edited((json) => Object.assign(json.accepted, fields));
const authorization = (fields) => edited((json) => Object.assign(json.payload.authorization, fields));
const signature = (text) => edited((json) => (json.payload.signature = text));
const text = (replace) => ({ 'PAYMENT-SIGNATURE': encode(replace(JSON.stringify(sound.json.v2))) });
const v2 = (raw) => ({ 'PAYMENT-SIGNATURE': raw });
/** Soundly signed, over other fields than asked for. */
const signed = (fields) => sign(sound.requirement, buyer, fields).then((made) => spellings(sound.requirement, made).v2);

/** Runs a table of [name, headers, status, code or codes]. */
function refused(title, rows) {
  test(title, async (t) => {
    for (const [name, headers, status, code] of rows) {
      await t.test(name, async () => {
        const response = await withoutEffect(stack, async () => send(await headers));
        assertRefused(response, status, code);
      });
    }
  });
}

const inBase64 = sound.v2['PAYMENT-SIGNATURE'];
// Bytes whose base64 has both characters that the two alphabets write differently.
const twoAlphabets = Buffer.from(JSON.stringify({ ...sound.json.v2, extensions: { note: '>>>???ÿÿÿ~~~' } }));
refused('encoding', [
  ['not base64 at all', v2('!!!!'), 400, 'payment_not_base64'],
  ['JSON as it is', v2(JSON.stringify(sound.json.v2)), 400, 'payment_not_base64'],
  ['base64url', v2(twoAlphabets.toString('base64').replaceAll('+', '-').replaceAll('/', '_')), 400, 'payment_not_base64'],
  ['base64 with a space inside', v2(`${inBase64.slice(0, 40)} ${inBase64.slice(40)}`), 400, 'payment_not_base64'],
  ['base64 cut off within a group', v2(`${inBase64.replace(/=+$/, '').slice(0, 401)}`), 400, 'payment_not_base64'],
  ['padding left out', v2(encode('{}').replace('=', '')), 400, 'payment_not_base64'],
  ['padding twice over', v2(`${encode('{}  ')}====`), 400, 'payment_not_base64'],
  ['padding in the middle', v2(`${encode('{}')}${encode('{}')}`), 400, ['payment_not_base64', 'payment_not_json']],
  ['the header twice, joined by a comma', { 'PAYMENT-SIGNATURE': `${inBase64}, ${inBase64}` }, 400, ['payment_not_base64', 'several_credentials']],
  ['the header twice, on two lines', { 'PAYMENT-SIGNATURE': [inBase64, inBase64] }, 400, ['payment_not_base64', 'several_credentials']],
  ['X-PAYMENT twice, v1 and third dialect', { 'X-PAYMENT': [sound.v1['X-PAYMENT'], sound.third['X-PAYMENT']] },
    400, ['payment_not_base64', 'several_credentials']],
  ['broken JSON', text((json) => json.slice(0, -1)), 400, 'payment_not_json'],
  ['two objects in one', text((json) => json + json), 400, 'payment_not_json'],
  ['a comma too many', text((json) => json.replace(/}$/, ',}')), 400, 'payment_not_json'],
  ['not UTF-8', v2(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64')), 400, 'payment_not_json'],
  ['UTF-16', v2(Buffer.from(JSON.stringify(sound.json.v2), 'utf16le').toString('base64')), 400, 'payment_not_json'],
  ['an array', v2(encode([sound.json.v2])), 400, 'payment_not_json'],
  ['a string', v2(encode('"pay"')), 400, 'payment_not_json'],
  ['null', v2(encode('null')), 400, 'payment_not_json'],
  // Deep enough to overflow the stack of a recursive reader.
  ['six thousand open brackets', v2(encode('['.repeat(6000))), 400, ['payment_not_json', 'payment_malformed']],
  ['two thousand nested objects', v2(encode(`${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`)),
    400, ['payment_not_json', 'payment_malformed', 'unsupported_version']],
]);

test('a header of 16,385 bytes is too large, one of 16,384 is not', async () => {
  const padded = (length) => {
    // Spaces after the JSON, then one more base64 character for the byte too many.
    const json = JSON.stringify(sound.json.v2).padEnd((16_384 / 4) * 3, ' ');
    return Buffer.from(json).toString('base64').padEnd(length, '=');
  };
  for (const name of ['PAYMENT-SIGNATURE', 'X-PAYMENT']) {
    const large = await withoutEffect(stack, () => send({ [name]: padded(16_385) }));
    assertRefused(large, 400, 'payment_too_large');
  }
  const fits = await authorize(worker.url, PATH, buyer);
  const json = JSON.stringify(fits.json.v2).padEnd((16_384 / 4) * 3, ' ');
  const header = Buffer.from(json).toString('base64');
  assert.equal(header.length, 16_384);
  assertAnswered(await send(v2(header)));
});

const twice = (key, first) => text((json) => json.replace(`"${key}":`, `"${key}":${JSON.stringify(first)},"${key}":`));
refused('duplicate keys', [
  ['at the top', twice('x402Version', 2), 400, 'payment_duplicate_key'],
  ['the whole payload', twice('payload', {}), 400, 'payment_duplicate_key'],
  ['in accepted', twice('payTo', THIEF), 400, 'payment_duplicate_key'],
  ['in accepted.extra', twice('name', 'USDC'), 400, 'payment_duplicate_key'],
  ['in payload', twice('signature', '0x'), 400, 'payment_duplicate_key'],
  ['in payload.authorization', twice('from', THIEF), 400, 'payment_duplicate_key'],
  ['the nonce, same value twice', twice('nonce', sound.nonce), 400, 'payment_duplicate_key'],
  ['behind an escape', text((json) => json.replace('"value":', '"v\\u0061lue":"1","value":')), 400, 'payment_duplicate_key'],
  ['in a part that we never read', text((json) => json.replace(/}$/, ',"extensions":{"x":{"info":{"a":1,"a":2}}}}')), 400, 'payment_duplicate_key'],
  ['inside an array', text((json) => json.replace(/}$/, ',"extensions":[[{"a":1,"a":2}]]}')), 400, 'payment_duplicate_key'],
]);

refused('versions', [
  ['0', edited((json) => (json.x402Version = 0)), 400, 'unsupported_version'],
  ['3', edited((json) => (json.x402Version = 3)), 400, 'unsupported_version'],
  ['-2', edited((json) => (json.x402Version = -2)), 400, ['unsupported_version', 'payment_malformed']],
  ['2^32 + 2', edited((json) => (json.x402Version = 2 ** 32 + 2)), 400, ['unsupported_version', 'payment_malformed']],
  ['"2" as a string', edited((json) => (json.x402Version = '2')), 400, ['unsupported_version', 'payment_malformed']],
  ['none', edited((json) => delete json.x402Version), 400, ['unsupported_version', 'payment_malformed']],
  ['1 in PAYMENT-SIGNATURE', v2(encode(sound.json.v1)), 400, 'unsupported_version'],
  ['3 in X-PAYMENT', edited((json) => (json.x402Version = 3), 'v1'), 400, 'unsupported_version'],
]);

const notNumbers = {
  'a plus sign': '+1000', hex: '0x3e8', 'a leading zero': '01000', 'a fraction': '1000.0', 'an exponent': '1e3',
  'a JSON number': 1000, nothing: '', 'a leading space': ' 1000', 'a trailing newline': '1000\n', 'a minus sign': '-1000',
  'an underscore': '1_000', 'full-width digits': '１０００', null: null, true: true, 'an array': ['1000'],
  'more than 256 bits': TOO_LARGE, 'a thousand digits': '1'.repeat(1000),
};
for (const field of ['value', 'validAfter', 'validBefore']) {
  refused(`${field} is not a decimal integer`, Object.entries(notNumbers).map(([name, value]) =>
    [name, authorization({ [field]: value }), 400, 'payment_malformed']));
}

const hex = (text) => text.slice(2);
refused('malformed fields', [
  ['nonce of 31 bytes', authorization({ nonce: sound.nonce.slice(0, -2) }), 400, 'payment_malformed'],
  ['nonce of 33 bytes', authorization({ nonce: `${sound.nonce}00` }), 400, 'payment_malformed'],
  ['nonce with leading zeros added', authorization({ nonce: `0x00${hex(sound.nonce)}` }), 400, 'payment_malformed'],
  ['nonce of odd length', authorization({ nonce: sound.nonce.slice(0, -1) }), 400, 'payment_malformed'],
  ['nonce without 0x', authorization({ nonce: hex(sound.nonce) }), 400, 'payment_malformed'],
  ['nonce of other letters', authorization({ nonce: `0x${'z'.repeat(64)}` }), 400, 'payment_malformed'],
  ['nonce with a space', authorization({ nonce: `${sound.nonce} ` }), 400, 'payment_malformed'],
  ['nonce missing', edited((json) => delete json.payload.authorization.nonce), 400, 'payment_malformed'],
  ['from of 19 bytes', authorization({ from: buyer.address.slice(0, -2) }), 400, 'payment_malformed'],
  ['from without 0x', authorization({ from: hex(buyer.address) }), 400, 'payment_malformed'],
  ['from missing', edited((json) => delete json.payload.authorization.from), 400, 'payment_malformed'],
  ['to of 32 bytes', authorization({ to: `0x${hex(stack.seller).padStart(64, '0')}` }), 400, 'payment_malformed'],
  ['signature of odd length', signature(sound.signed.signature.slice(0, -1)), 400, 'payment_malformed'],
  ['signature without 0x', signature(hex(sound.signed.signature)), 400, 'payment_malformed'],
  ['signature of other letters', signature(`0x${'g'.repeat(130)}`), 400, 'payment_malformed'],
  ['signature as a number', signature(1), 400, 'payment_malformed'],
  ['signature missing', edited((json) => delete json.payload.signature), 400, 'payment_malformed'],
  ['payload missing', edited((json) => delete json.payload), 400, 'payment_malformed'],
  ['payload an array', edited((json) => (json.payload = [json.payload])), 400, 'payment_malformed'],
  ['payload in a string', edited((json) => (json.payload = JSON.stringify(json.payload))), 400, 'payment_malformed'],
  ['authorization missing', edited((json) => delete json.payload.authorization), 400, 'payment_malformed'],
  ['accepted null', edited((json) => (json.accepted = null)), 400, 'payment_malformed'],
  ['accepted a list', edited((json) => (json.accepted = [json.accepted])), 400, 'payment_malformed'],
  ['a Permit2 payload', edited((json) => (json.payload = { signature: json.payload.signature, permit2Authorization: {} })), 400, 'payment_malformed'],
  ['v1 without a network', edited((json) => delete json.network, 'v1'), 400, 'payment_malformed'],
  ['v1 without a scheme', edited((json) => delete json.scheme, 'v1'), 400, 'payment_malformed'],
  ['v1 with a value in hex', edited((json) => (json.payload.authorization.value = '0x3e8'), 'v1'), 400, 'payment_malformed'],
  ['third dialect without a network', edited((json) => delete json.network, 'third'), 400, 'payment_malformed'],
]);

const at = (second) => String(second);
refused('not what was asked for', [
  ['another scheme', accepted({ scheme: 'upto' }), 402, 'unsupported_scheme'],
  ['another scheme, v1', edited((json) => (json.scheme = 'upto'), 'v1'), 402, 'unsupported_scheme'],
  ['another scheme, third dialect', edited((json) => (json.scheme = 'deferred'), 'third'), 402, 'unsupported_scheme'],
  ['another network', accepted({ network: 'eip155:8453' }), 402, 'wrong_network'],
  ['a network that is none', accepted({ network: 'eip155:084532' }), 402, 'wrong_network'],
  ['another network, v1', edited((json) => (json.network = 'base'), 'v1'), 402, 'wrong_network'],
  ['another network, third dialect', edited((json) => (json.network = 'eip155:1'), 'third'), 402, 'wrong_network'],
  ['another asset', accepted({ asset: THIEF }), 402, 'wrong_asset'],
  ['another payTo', accepted({ payTo: THIEF }), 402, 'wrong_recipient'],
  ['signed for another recipient', signed({ to: THIEF }), 402, 'wrong_recipient'],
  ['signed for another recipient, accepted edited to match', sign(sound.requirement, buyer, { to: THIEF }).then((made) =>
    spellings({ ...sound.requirement, payTo: THIEF }, made).v2), 402, 'wrong_recipient'],
  ['recipient edited after signing', authorization({ to: THIEF }), 402, 'wrong_recipient'],
  ['signed one atom too low', signed({ value: '999' }), 402, 'wrong_amount'],
  ['signed one atom too high', signed({ value: '1001' }), 402, 'wrong_amount'],
  ['signed for nothing', signed({ value: '0' }), 402, 'wrong_amount'],
  ['signed for 2^256 - 1', signed({ value: (2n ** 256n - 1n).toString() }), 402, 'wrong_amount'],
  // The low 64 and 128 bits are the price: an integer that wraps would take it.
  ['signed for 2^64 more', signed({ value: (2n ** 64n + 1000n).toString() }), 402, 'wrong_amount'],
  ['signed for 2^128 more', signed({ value: (2n ** 128n + 1000n).toString() }), 402, 'wrong_amount'],
  ['a cheaper amount in accepted', accepted({ amount: '1' }), 402, 'wrong_amount'],
  ['cheaper in accepted and in the authorization', sign(sound.requirement, buyer, { value: '1' }).then((made) =>
    spellings({ ...sound.requirement, amount: '1' }, made).v2), 402, 'wrong_amount'],
  ['cheaper, v1', sign(sound.requirement, buyer, { value: '999' }).then((made) => spellings(sound.requirement, made).v1), 402, 'wrong_amount'],
  ['cheaper, third dialect', sign(sound.requirement, buyer, { value: '999' }).then((made) => spellings(sound.requirement, made).third), 402, 'wrong_amount'],
  ['amount as a number', accepted({ amount: 1000 }), 400, 'payment_malformed'],
  ['accepted with a key more', accepted({ discount: '100%' }), 402, 'accepted_mismatch'],
  ['accepted with maxAmountRequired beside amount', accepted({ maxAmountRequired: '1' }), 402, 'accepted_mismatch'],
  ['another maxTimeoutSeconds', accepted({ maxTimeoutSeconds: 86_400 }), 402, 'accepted_mismatch'],
  ['another token name', accepted({ extra: { ...sound.requirement.extra, name: 'USD Coin' } }), 402, 'accepted_mismatch'],
  ['another token version', accepted({ extra: { ...sound.requirement.extra, version: '1' } }), 402, 'accepted_mismatch'],
  ['extra left out', edited((json) => delete json.accepted.extra), 402, 'accepted_mismatch'],
]);

refused('out of its time', [
  ['expired', signed({ validBefore: at(now() - 10) }), 402, 'authorization_expired'],
  ['expired in 1970', signed({ validBefore: '0' }), 402, 'authorization_expired'],
  ['not yet valid', signed({ validAfter: at(now() + 600), validBefore: at(now() + 900) }), 402, 'authorization_not_yet_valid'],
  ['valid after the end of time', signed({ validAfter: (2n ** 256n - 1n).toString() }), 402, 'authorization_not_yet_valid'],
  // The margin is the origin's 30 s and 30 s more: what is signed for less could expire while the origin works.
  ['under the margin', signed({ validBefore: at(now() + 50) }), 402, 'authorization_expires_too_soon'],
  ['valid for two days', signed({ validBefore: at(now() + 48 * 3600) }), 402, 'authorization_valid_too_long'],
  ['valid for ever', signed({ validBefore: (2n ** 256n - 1n).toString() }), 402, 'authorization_valid_too_long'],
  ['valid for ever, in 64 bits a moment ago', signed({ validBefore: (2n ** 64n + BigInt(now()) + 200n).toString() }), 402, 'authorization_valid_too_long'],
]);

const r = hex(sound.signed.signature).slice(0, 64);
const s = hex(sound.signed.signature).slice(64, 128);
const v = hex(sound.signed.signature).slice(128);
const yParity = v === '1b' ? '00' : '01';
refused('signatures that the token would not take', [
  ['the high-s twin', signature(highS(sound.signed.signature)), 402, 'invalid_signature'],
  ['high s under the first v', signature(highS(sound.signed.signature).slice(0, -2) + v), 402, 'invalid_signature'],
  ['v as parity', signature(`0x${r}${s}${yParity}`), 402, 'invalid_signature'],
  ['v of 29', signature(`0x${r}${s}1d`), 402, 'invalid_signature'],
  ['v of EIP-155', signature(`0x${r}${s}25`), 402, 'invalid_signature'],
  ['r of zero', signature(`0x${word(0n)}${s}${v}`), 402, 'invalid_signature'],
  ['s of zero', signature(`0x${r}${word(0n)}${v}`), 402, 'invalid_signature'],
  ['all zero but v', signature(`0x${word(0n)}${word(0n)}1b`), 402, 'invalid_signature'],
  ['r of the order', signature(`0x${word(ORDER)}${s}${v}`), 402, 'invalid_signature'],
  ['s of the order', signature(`0x${r}${word(ORDER)}${v}`), 402, 'invalid_signature'],
  ['r beyond the order', signature(`0x${'f'.repeat(64)}${s}${v}`), 402, 'invalid_signature'],
]);

const credentials = {
  'PAYMENT-SIGNATURE': sound.v2['PAYMENT-SIGNATURE'],
  'X-PAYMENT': sound.v1['X-PAYMENT'],
  'SIGN-IN-WITH-X': encode({ address: buyer.address }),
  Authorization: 'Bearer e402_live_0123456789abcdef',
};
const names = Object.keys(credentials);
refused('two credentials at once', names.flatMap((one, i) => names.slice(i + 1).map((other) =>
  [`${one} and ${other}`, { [one]: credentials[one], [other]: credentials[other] }, 400, 'several_credentials'])));
refused('credentials and none', [
  ['all four', credentials, 400, 'several_credentials'],
  ['garbage beside a sound payment', { ...sound.v2, 'X-PAYMENT': 'x' }, 400, 'several_credentials'],
  ['SIGN-IN-WITH-X alone', { 'SIGN-IN-WITH-X': credentials['SIGN-IN-WITH-X'] }, 400, 'credential_not_supported'],
  ['our key alone', { Authorization: credentials.Authorization }, 400, 'credential_not_supported'],
  ['none', {}, 402, 'payment_required'],
  ["somebody else's bearer", { Authorization: 'Bearer sk_live_x' }, 402, 'payment_required'],
  ['a receipt instead of a payment', { 'PAYMENT-RESPONSE': sound.v2['PAYMENT-SIGNATURE'] }, 402, 'payment_required'],
  ['the challenge sent back', { 'PAYMENT-REQUIRED': encode({ x402Version: 2 }) }, 402, 'payment_required'],
  ['a cookie of ours', { Cookie: `edge402=${inBase64}` }, 402, 'payment_required'],
  ['headers that only we may set', {
    'X-Edge402-Payer': buyer.address, 'X-Edge402-Secret': 'x', 'Settlement-Overrides': '{"amount":"0"}',
  }, 402, 'payment_required'],
]);

test('nothing is a payment but what is in its header', async () => {
  for (const query of [`?X-PAYMENT=${encodeURIComponent(inBase64)}`, `?PAYMENT-SIGNATURE=${encodeURIComponent(inBase64)}`]) {
    assertRefused(await withoutEffect(stack, () => send({}, `${PATH}${query}`)), 402, 'payment_required');
  }
  const empty = await withoutEffect(stack, () => send({ 'PAYMENT-SIGNATURE': '' }));
  assert.ok([400, 402].includes(empty.status), empty.text);
});

test('a payment on a path that costs nothing is not taken, and not handed to the origin', async () => {
  const before = stack.origin.calls.length;
  const response = await send({ ...sound.v2 }, '/status/200');
  assert.equal(response.status, 200);
  const [seen] = stack.origin.calls.slice(before);
  for (const name of ['payment-signature', 'x-payment', 'sign-in-with-x']) assert.equal(seen.headers[name], undefined, name);
  assert.equal(await stack.chain.authorizationState(buyer.address, sound.nonce), false);
});

test('the price of another route does not do', async () => {
  assertRefused(await withoutEffect(stack, () => send(sound.v2, '/weather/dear')), 402, 'wrong_amount');
  assertRefused(await withoutEffect(stack, () => send(sound.v1, '/weather/dear')), 402, 'wrong_amount');
  assertRefused(await withoutEffect(stack, () => send(sound.third, '/weather/dear')), 402, 'wrong_amount');
});

test('a refusal says so in both places that clients read', async () => {
  const response = await send(accepted({ payTo: THIEF }));
  const body = assertRefused(response, 402, 'wrong_recipient');
  assert.equal(body.error, 'wrong_recipient');
  const required = JSON.parse(Buffer.from(response.headers['payment-required'], 'base64'));
  assert.equal(required.error, 'wrong_recipient');
  assert.equal(required.accepts[0].payTo, stack.seller);
  assert.equal(required.accepts[0].network, NETWORK);
  assert.equal(body.accepts[0].network, V1_NETWORK);
});

test('with smart wallets off, what does not recover to its payer is refused here', async () => {
  const strict = await startWorker({ vars: stack.vars({ ROUTES: { 'GET /weather/*': '$0.001' }, SMART_WALLETS: false }) });
  try {
    const other = await stack.buyer();
    const forged = await authorize(strict.url, PATH, other, { fields: { from: buyer.address } });
    const cases = {
      "a stranger's": forged.v2,
      'of 64 bytes': signature(`0x${r}${s}`),
      'of 66 bytes': signature(`${sound.signed.signature}00`),
      'of an ERC-6492 wrapper': signature(`${sound.signed.signature}${'6492'.repeat(16)}`),
      'under another chain': sign(sound.requirement, buyer, { domain: { chainId: 8453 } }).then((made) => spellings(sound.requirement, made).v2),
      'under another token': sign(sound.requirement, buyer, { domain: { verifyingContract: THIEF } }).then((made) => spellings(sound.requirement, made).v2),
      'over another nonce': authorization({ nonce: `0x${'11'.repeat(32)}` }),
      'over another end': authorization({ validBefore: at(now() + 250) }),
    };
    for (const [name, headers] of Object.entries(cases)) {
      const response = await withoutEffect(stack, async () => call(strict.url, PATH, { headers: await headers }));
      assert.equal(response.json().code, 'invalid_signature', `a signature ${name}`);
      assertRefused(response, 402, 'invalid_signature');
    }
  } finally {
    await strict.stop();
  }
});

test('after all of that the sound payment is still good, once', async () => {
  const before = await stack.chain.balanceOf(buyer.address);
  assertAnswered(await send(sound.v2));
  assert.equal(before - (await stack.chain.balanceOf(buyer.address)), 1000n);
  assertRefused(await withoutEffect(stack, () => send(sound.v2)), 409, 'payment_already_used');
});
