// The closed list of error codes stands twice, in native/base/error.h and lib/errors.ts: same codes, same
// order, same meanings; and each is raised somewhere, so that the list does not outgrow the code.
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { filesUnder } from './process.mjs';

const NATIVE = 'native/base/error.h';
const TYPED = 'lib/errors.ts';

/** Codes for which nothing here can fail yet: there is no device but the CPU. */
const NOT_YET_RAISED = ['DEVICE_FAILED'];

/** @param {string} base the repository @returns {string[]} the problems */
export function findErrorDrift(base) {
  const native = nativeCodes(readFileSync(join(base, NATIVE), 'utf8'));
  const typed = typedCodes(readFileSync(join(base, TYPED), 'utf8'));
  if (native.length === 0) return [`${NATIVE}: no code found`];
  return [...differences(native, typed), ...misnamed(native), ...unused(base, native)];
}

/** `kName,  // CODE: meaning` */
function nativeCodes(text) {
  const rows = text.matchAll(/^\s*k(\w+),\s*\/\/ ([A-Z_]+): (.+)$/gm);
  return [...rows].map(([, enumerator, code, meaning]) => ({ enumerator, code, meaning }));
}

/** `CODE: 'meaning',` with either quote, in ERROR_CODES. */
function typedCodes(text) {
  const body = /ERROR_CODES = \{([\s\S]*?)\} as const/.exec(text)?.[1] ?? '';
  const rows = body.matchAll(/^\s*([A-Z_]+):\s*(['"])(.*)\2,$/gm);
  return [...rows].map(([, code, , meaning]) => ({ code, meaning }));
}

function differences(native, typed) {
  const problems = [];
  for (let row = 0; row < Math.max(native.length, typed.length); row += 1) {
    const here = native[row] ? `${native[row].code}: ${native[row].meaning}` : 'nothing';
    const there = typed[row] ? `${typed[row].code}: ${typed[row].meaning}` : 'nothing';
    if (here !== there) {
      problems.push(`error code ${row + 1}: "${here}" in ${NATIVE}, "${there}" in ${TYPED}`);
    }
  }
  return problems;
}

function misnamed(native) {
  return native
    .filter(({ enumerator, code }) => enumerator !== camelCase(code))
    .map(({ enumerator, code }) => `${NATIVE}: k${enumerator} is spelled ${code}`);
}

function camelCase(code) {
  return code.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter) => letter.toUpperCase());
}

function unused(base, native) {
  const files = filesUnder(['native', 'lib'], { base })
    .filter((file) => /\.(cc|h|ts)$/.test(file))
    .filter((file) => ![NATIVE, 'native/base/error.cc', TYPED].includes(relative(base, file)));
  const text = files.map((file) => readFileSync(file, 'utf8')).join('\n');
  return native.flatMap(({ enumerator, code }) => {
    const raised = text.includes(`'${code}'`) || uses(text, enumerator);
    if (raised === !NOT_YET_RAISED.includes(code)) return [];
    return [
      raised
        ? `${code}: raised, so no longer NOT_YET_RAISED`
        : `${code}: raised nowhere in native or lib`,
    ];
  });
}

function uses(text, enumerator) {
  return new RegExp(`ErrorCode::k${enumerator}\\b`).test(text);
}
