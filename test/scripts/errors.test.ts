import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { call, folderWith, root } from './call';

const header = readFileSync(join(root, 'native/base/error.h'), 'utf8');
const typed = readFileSync(join(root, 'lib/errors.ts'), 'utf8');
const codes = [...header.matchAll(/^\s*k\w+,\s*\/\/ ([A-Z_]+):/gm)].map(
  ([, code]) => code as string,
);
const used = codes
  .filter((code) => code !== 'DEVICE_FAILED')
  .map((code) => `throw '${code}';`)
  .join('\n');

function drift(changes: Readonly<Record<string, string>>): Promise<string[]> {
  const files = { 'native/base/error.h': header, 'lib/errors.ts': typed, 'lib/use.ts': used };
  return call('check-errors', 'findErrorDrift', folderWith({ ...files, ...changes }));
}

test('two equal lists, every code used, are fine', async () => {
  expect(codes).toHaveLength(14);
  expect(await drift({})).toEqual([]);
});

test.each([
  ['another meaning', typed.replace("the caller's signal fired", "the caller's signal was fired")],
  ['a code left out', typed.replace(/ {2}ABORTED: .*\n/, '')],
  ['another order', typed.replace(/( {2}DISPOSED: .*\n)( {2}ABORTED: .*\n)/, '$2$1')],
  ['a code too many', typed.replace('} as const', "  LATE: 'too late',\n} as const")],
])('%s in errors.ts is found', async (_, text) => {
  expect(text).not.toBe(typed);
  expect(await drift({ 'lib/errors.ts': text })).not.toEqual([]);
});

test('an enumerator that is not its code is found', async () => {
  const text = header.replace('kAborted,', 'kStopped,');
  expect(await drift({ 'native/base/error.h': text })).toContain(
    'native/base/error.h: kStopped is spelled ABORTED',
  );
});

test('a code that nothing raises is found, and so is one that is raised against the list', async () => {
  expect(await drift({ 'lib/use.ts': used.replace("throw 'ABORTED';", '') })).toEqual([
    'ABORTED: raised nowhere in native or lib',
  ]);
  const raising = 'throw Error(ErrorCode::kDeviceFailed, "", "");';
  expect(await drift({ 'native/use.cc': raising })).toEqual([
    'DEVICE_FAILED: raised, so no longer NOT_YET_RAISED',
  ]);
});

test('an unreadable list is no pass', async () => {
  expect(await drift({ 'native/base/error.h': '' })).toEqual([
    'native/base/error.h: no code found',
  ]);
});
