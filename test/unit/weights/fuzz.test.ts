/** Valid files with some bytes changed: refused with a typed error, or rows that lie in the file. */

import fc from 'fast-check';
import { MultiheadError } from '../../../lib/errors';
import { duplicateKey } from '../../../lib/weights/duplicate-keys';
import { parseHeader } from '../../../lib/weights/safetensors';
import type { TensorRow } from '../../../lib/weights/table';
import { validFile } from '../support/safetensors';

const SEED = 20_240_607;

const FILES = [
  validFile({ a: { dtype: 'F32', shape: [2, 2], bytes: Buffer.alloc(16) } }),
  validFile(
    {
      'layer.0.weight': { dtype: 'F16', shape: [3, 1], bytes: Buffer.alloc(6) },
      'layer.0.bias': { dtype: 'BF16', shape: [], bytes: Buffer.alloc(2) },
      empty: { dtype: 'F32', shape: [0], bytes: Buffer.alloc(0) },
      'layer.1.weight': { dtype: 'U8', shape: [11], bytes: Buffer.alloc(11) },
    },
    { format: 'pt', '"': '\\' },
  ),
];

/** What readSafetensors does with a whole file in memory. */
function parse(file: Buffer): TensorRow[] | undefined {
  if (file.length < 8) return undefined;
  const length = file.readBigUInt64LE(0);
  if (length > BigInt(file.length - 8)) return undefined;
  return parseHeader('x', file.subarray(8, 8 + Number(length)), file.length);
}

function expectInside(rows: readonly TensorRow[], file: Buffer): void {
  let end = 8 + Number(file.readBigUInt64LE(0));
  for (const { offset, byteLength, shape } of rows) {
    // Without holes, hence without overlap.
    expect(offset).toBe(end);
    expect(byteLength).toBeGreaterThanOrEqual(0);
    expect(shape.every((size) => Number.isSafeInteger(size) && size >= 0)).toBe(true);
    end += byteLength;
  }
  expect(end).toBe(file.length);
  expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
}

/** Bytes that mean something in a header are likelier than others. */
const byte = fc.oneof(
  fc.constantFrom(...Buffer.from('{}[]",:0123456789-+.eE\\u tfnaN')),
  fc.integer({ min: 0, max: 255 }),
);
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), byte }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), byte }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), byte }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), byte }),
);

test('mutated files are refused or have their rows inside', () => {
  const seen = { refused: 0, parsed: 0 };
  const property = fc.property(
    fc.constantFrom(...FILES),
    fc.array(mutation, { minLength: 1, maxLength: 4 }),
    // Otherwise most inserted bytes break only the length, and nothing behind that check is reached.
    fc.boolean(),
    (original, mutations, repairsLength) => {
      const lengthOf = (file: Buffer) => Number(file.readBigUInt64LE(0));
      const bytes = [...original];
      let header = lengthOf(original);
      for (const { kind, at, byte: value } of mutations) {
        const i = repairsLength ? 8 + (at % (header + 1)) : at % (bytes.length + 1);
        if (kind === 'set' && i < bytes.length) bytes[i] = value;
        else if (kind === 'insert') header += bytes.splice(i, 0, value).length + 1;
        else if (kind === 'remove') header -= bytes.splice(i, 1).length;
        else if (kind === 'cut' && !repairsLength) bytes.length = i;
      }
      const file = Buffer.from(bytes);
      if (repairsLength) file.writeBigUInt64LE(BigInt(Math.max(0, header)));
      let rows: TensorRow[] | undefined;
      try {
        rows = parse(file);
      } catch (error) {
        if (!(error instanceof MultiheadError)) throw error;
        expect(error.code).toBe('WEIGHT_INVALID');
      }
      seen[rows ? 'parsed' : 'refused'] += 1;
      if (rows) expectInside(rows, file);
    },
  );
  fc.assert(property, { seed: SEED, numRuns: 6000 });
  // Neither side is empty: the mutations are neither all harmless nor all fatal.
  expect(seen.parsed).toBeGreaterThan(300);
  expect(seen.refused).toBeGreaterThan(3000);
});

test('a repeated key is found in any JSON, however its name is spelt', () => {
  const escaped = (text: string) =>
    `"${[...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`;
  const key = fc.string({ maxLength: 4, unit: fc.constantFrom('a', '"', '\\', '{', ':', '}') });
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { minLength: 1 }),
      fc.nat(),
      fc.jsonValue(),
      (keys, n, rest) => {
        const pairs = keys.map((name) => `${JSON.stringify(name)}:${JSON.stringify(rest)}`);
        const repeated = keys[n % keys.length] as string;
        expect(duplicateKey(`[{${pairs.join(' , ')}}]`)).toBeUndefined();
        expect(duplicateKey(`[{${pairs.join(',')},${escaped(repeated)} : 1}]`)).toBe(repeated);
      },
    ),
    { seed: SEED },
  );
});

test('the same key in two objects is not repeated', () => {
  expect(duplicateKey('{"a":{"a":1},"b":[{"a":1},{"a":"a"}],"c":["c","c"]}')).toBeUndefined();
});
