import { call } from './call';

interface Count {
  name: string;
  passed: number;
  failed: number;
  skipped?: number;
}
const report = (results: readonly Count[]) =>
  call<{ lines: string[]; code: number }>('test-report', 'report', results);

test('the last line is the sum, alone on its line', async () => {
  const results = [
    { name: 'native', passed: 3, failed: 0 },
    { name: 'unit', passed: 4, failed: 0, skipped: 1 },
  ];
  const { lines, code } = await report(results);
  expect(lines.at(-1)).toBe('7 passed, 0 failed');
  expect(code).toBe(0);
});

test.each<[string, Count[], string]>([
  ['a failure', [{ name: 'unit', passed: 9, failed: 2 }], '9 passed, 2 failed'],
  [
    'a suite that ran nothing',
    [
      { name: 'native', passed: 0, failed: 0 },
      { name: 'unit', passed: 9, failed: 0 },
    ],
    '9 passed, 1 failed',
  ],
  [
    'a suite whose tests were all skipped',
    [{ name: 'unit', passed: 0, failed: 0, skipped: 3 }],
    '0 passed, 1 failed',
  ],
  ['no suite', [], '0 passed, 0 failed'],
])('%s is no success', async (_, results, last) => {
  const { lines, code } = await report(results);
  expect(lines.at(-1)).toBe(last);
  expect(code).toBe(1);
});

describe('counts from a jest report', () => {
  const file = (name: string, status: string, statuses: readonly string[]) => ({
    name,
    status,
    assertionResults: statuses.map((each) => ({ status: each })),
  });
  const count = (testResults: readonly object[], suites: readonly string[]) =>
    call<Count[]>('test-jest', 'countBySuite', { testResults }, suites, '/r');

  test('are summed by folder', async () => {
    const files = [
      file('/r/test/unit/a.test.ts', 'passed', ['passed', 'pending']),
      file('/r/test/unit/deep/b.test.ts', 'failed', ['passed', 'failed']),
    ];
    expect(await count(files, ['unit', 'binding'])).toEqual([
      { name: 'unit', passed: 2, failed: 1, skipped: 1 },
      { name: 'binding', passed: 0, failed: 0, skipped: 0 },
    ]);
  });

  test('a file that could not run is a failure', async () => {
    const files = [file('/r/test/unit/a.test.ts', 'failed', [])];
    expect(await count(files, ['unit'])).toEqual([
      { name: 'unit', passed: 0, failed: 1, skipped: 0 },
    ]);
  });
});

test.each([
  ['a line\n12 passed, 3 failed\n', { passed: 12, failed: 3 }],
  ['12 passed, 3 failed\nSegmentation fault\n', undefined],
  ['', undefined],
])('a native program that printed %j', async (output, counts) => {
  expect(await call('test-native', 'readCounts', output)).toEqual(counts);
});
