/** JSON files as Python writes them, and as nobody should: every outcome is a value or a typed error. */

import { mkdirSync, symlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { Config, parseJson } from '../../../lib/json';
import { errorOf, expectError } from '../../binding/support/errors';
import { emptyFolder, folderOf, removeFolders } from '../support/folders';

afterAll(removeFolders);

const config = (values: Record<string, unknown>) => new Config('f.json', values);
const read = async (content: string | Uint8Array) =>
  await Config.read(await folderOf({ 'f.json': content }), 'f.json');

describe('files', () => {
  test('with a byte order mark, and with names that objects have', async () => {
    expect((await read('\uFEFF{"a": 1}')).get('a')).toBe(1);
    const { values } = await read('{"__proto__": {"b": 2}, "x": NaN}');
    expect(Object.keys(values)).toEqual(['__proto__', 'x']);
    expect(config({}).get('constructor')).toBeUndefined();
  });

  test.each(['', '{', 'null', '[]', '7', '"x"', "{'a': 1}", '{"a": 1,}', '{NaN: 1}', '-NaN'])(
    'of %j are no JSON object',
    async (text) => {
      const error = await errorOf(() => read(text));
      expect(error.code).toBe('INVALID_ARGUMENT');
      expect(error.details.where).toContain('f.json');
    },
  );

  test('that are not UTF-8', async () => {
    const latin = Buffer.from('{"a": "é"}', 'latin1');
    await expectError(() => read(latin), 'INVALID_ARGUMENT', 'not UTF-8');
  });

  test('that are huge are not read', async () => {
    const folder = await folderOf({ 'f.json': '{}' });
    truncateSync(join(folder, 'f.json'), 2 ** 33);
    await expectError(() => Config.read(folder, 'f.json'), 'INVALID_ARGUMENT', '8589934592 bytes');
  });

  test('that are absent', async () => {
    const folder = await emptyFolder();
    await expectError(() => Config.read(folder, 'f.json'), 'FILE_ERROR', 'no such file');
    expect((await Config.readIfPresent(folder, 'f.json')).values).toEqual({});
  });

  test('that are there and cannot be read are not absent', async () => {
    const folder = await emptyFolder();
    mkdirSync(join(folder, 'folder.json'));
    symlinkSync(join(folder, 'gone'), join(folder, 'link.json'));
    for (const name of ['folder.json', 'link.json']) {
      expect((await errorOf(() => Config.readIfPresent(folder, name))).code).toBe('FILE_ERROR');
    }
  });
});

describe("Python's numbers", () => {
  test('are numbers outside of strings', () => {
    const text = '{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN, \\"Infinity","d":"\\\\"}';
    expect(parseJson('x', text)).toEqual({
      a: Number.NaN,
      b: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
      c: 'NaN, "Infinity',
      d: '\\',
    });
  });

  test('do not turn a string into a number', async () => {
    const text = '{"a": NaN, "b": "\\u0000n\\u0075mber:7"}';
    expect((await errorOf(() => parseJson('x', text))).code).toBe('INVALID_ARGUMENT');
  });

  test('in any JSON', () => {
    const plain = fc.jsonValue();
    fc.assert(
      fc.property(plain, plain, (a, b) => {
        const text = `[${JSON.stringify(a)}, NaN ,${JSON.stringify(b)}]`;
        if (!text.includes('\\u0000')) {
          // -0 is written as 0.
          const again = (value: unknown) => JSON.parse(JSON.stringify(value));
          expect(parseJson('x', text)).toEqual([again(a), Number.NaN, again(b)]);
        }
      }),
      { seed: 5 },
    );
  });

  // A pattern that starts anew at each quote would take hours for the first, and one that remembers each character
  // overflows on the second.
  test.each([
    ['many escaped quotes', `"${'\\"'.repeat(2e6)}`],
    ['a long string', `["${'x'.repeat(3e7)}", NaN`],
    ['many escapes', `["${'\\n'.repeat(8e6)}", NaN`],
    ['deep lists', `${'['.repeat(2e5)}NaN${']'.repeat(2e5)}`],
  ])('in a malformed text of %s', async (_, text) => {
    expect((await errorOf(() => parseJson('x', text))).code).toBe('INVALID_ARGUMENT');
  });
});

describe('keys', () => {
  test('have values, or others where they are absent or null', () => {
    const values = config({ n: 3, x: 0.5, t: true, s: 'a', none: null });
    expect(values.integer('n', 1, 5)).toBe(3);
    expect(values.integer('none', 1, 5, 4)).toBe(4);
    expect(values.number('x', 0)).toBe(0.5);
    expect(values.boolean('t', false)).toBe(true);
    expect(values.boolean('gone', false)).toBe(false);
    expect(values.string('s')).toBe('a');
    expect(values.literal('s', ['a', 'b'])).toBe('a');
    expect([values.has('n'), values.has('none'), values.has('gone')]).toEqual([true, false, false]);
    expect(() => values.mustBe('s', ['a'])).not.toThrow();
    expect(() => values.mustBe('none', ['a'])).not.toThrow();
  });

  test.each<[string, (values: Config) => unknown]>([
    ['n: 3, expected an integer from 4 to 5', (c) => c.integer('n', 4, 5)],
    ['x: 0.5, expected an integer', (c) => c.integer('x', 0, 5)],
    ['gone: undefined, expected an integer', (c) => c.integer('gone', 0, 5)],
    ['nan: NaN, expected a finite number', (c) => c.number('nan', 0)],
    ['n: 3, expected a finite number of at least 4', (c) => c.number('n', 4)],
    ['n: 3, expected true or false', (c) => c.boolean('n', true)],
    ['n: 3, expected a string', (c) => c.string('n')],
    ["s: \"a\", expected 'b' or 'c'", (c) => c.literal('s', ['b', 'c'])],
  ])('%s', async (message, f) => {
    const values = config({ n: 3, x: 0.5, nan: Number.NaN, s: 'a' });
    await expectError(() => f(values), 'INVALID_ARGUMENT', `f.json: ${message}`);
  });

  test('with values that are not implemented', async () => {
    const f = () => config({ s: 'a' }).mustBe('s', ['b', null]);
    await expectError(f, 'UNSUPPORTED', 'f.json: s: "a" is not supported, expected "b" or null');
  });
});
