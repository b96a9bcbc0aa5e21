// The bench's arithmetic and tables, which must not be able to report good news that is not there.
const statistics = require('../../bench/statistics.cjs');
const report = require('../../bench/report.cjs');

interface Trial {
  round: number;
  case: string;
  threads: number;
  peer: string;
  medianMs?: number;
  difference?: number;
  cores?: number;
  firstVectorMs?: number;
  peakRssMiB?: number;
  error?: string;
}

function trial(peer: string, round: number, medianMs: number, rest: Partial<Trial> = {}): Trial {
  const base = { case: '8x128', threads: 1, difference: 1e-7, cores: 1 };
  return { ...base, peer, round, medianMs, firstVectorMs: 10 * medianMs, peakRssMiB: 100, ...rest };
}

const context = {
  ours: 'ours',
  work: { '8x128': { tokens: 1024, flops: 2e10 }, ragged: { tokens: 100, flops: 1e9 } },
  peaks: { 1: 100 },
};

describe('median and spread', () => {
  test('odd and even counts, in any order, without touching the values', () => {
    const values = [9, 1, 5];
    expect(statistics.median(values)).toBe(5);
    expect(values).toEqual([9, 1, 5]);
    expect(statistics.median([4, 1, 3, 2])).toBe(2.5);
    expect(statistics.median([10, 9, 2])).toBe(9); // by value, not as text
  });

  test('the spread is the range over the median', () => {
    expect(statistics.spread([90, 100, 110])).toBeCloseTo(0.2, 12);
    expect(statistics.spread([7, 7])).toBe(0);
  });

  test.each([[[]], [[1, Number.NaN]], [[Number.POSITIVE_INFINITY]], [[undefined]]])(
    'refuse %p',
    (values) => {
      expect(() => statistics.median(values)).toThrow();
      expect(() => statistics.spread(values)).toThrow();
    },
  );
});

describe('paired ratio', () => {
  test('pairs rounds, so a round that was slow for both changes nothing', () => {
    const ours = new Map([
      [0, 10],
      [1, 100],
      [2, 10],
    ]);
    const theirs = new Map([
      [0, 20],
      [1, 200],
      [2, 20],
    ]);
    const ratio = statistics.pairedRatio(theirs, ours);
    expect(ratio).toEqual({ median: 2, lowest: 2, highest: 2, rounds: 3 });
  });

  test('is above one when theirs takes longer', () => {
    const ratio = statistics.pairedRatio(new Map([[0, 30]]), new Map([[0, 10]]));
    expect(ratio.median).toBe(3);
  });

  test('is nothing, not one, when no round has both', () => {
    expect(statistics.pairedRatio(new Map([[0, 1]]), new Map([[1, 1]]))).toBeUndefined();
  });
});

describe('check of vectors', () => {
  const expected = Float32Array.from([0.6, 0.8, 1, 0]);
  const difference = (actual: number[]) =>
    statistics.maxAbsDifference(Float32Array.from(actual), expected, 2);

  test('finds the largest difference', () => {
    expect(difference([0.6, 0.8, 1, 0])).toBe(0);
    expect(difference([0.6, 0.8, 1, 0.25])).toBeCloseTo(0.25, 6);
    expect(difference([-0.6, 0.8, 1, 0])).toBeCloseTo(1.2, 6);
  });

  test('a row of another sentence does not pass', () => {
    expect(difference([1, 0, 0.6, 0.8])).toBeGreaterThan(report.TOLERANCE);
  });

  test.each([
    ['a NaN first', [Number.NaN, 0.8, 1, 0]],
    ['a NaN last', [0.6, 0.8, 1, Number.NaN]],
    ['a NaN before a larger number', [0.6, Number.NaN, 1, 5]],
    ['an infinity', [0.6, 0.8, Number.POSITIVE_INFINITY, 0]],
    ['a row of zeros', [0.6, 0.8, 0, 0]],
  ])('%s is infinitely wrong', (_, actual) => {
    expect(difference(actual)).toBe(Number.POSITIVE_INFINITY);
  });

  test('a NaN in the reference does not pass either', () => {
    const broken = Float32Array.from([0.6, Number.NaN]);
    const actual = Float32Array.from([0.6, 0.8]);
    expect(statistics.maxAbsDifference(actual, broken, 2)).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([[[0.6, 0.8]], [[]], [[0.6, 0.8, 1, 0, 1]]])('wrong length %p throws', (actual) => {
    expect(() => difference(actual)).toThrow(/numbers/);
  });

  test('nothing compared with nothing throws', () => {
    const none = new Float32Array(0);
    expect(() => statistics.maxAbsDifference(none, none, 2)).toThrow();
    expect(() => statistics.maxAbsDifference(none, none, 0)).toThrow();
  });
});

test('operations of a forward: projections in the tokens, attention in their square', () => {
  const shape = { layers: 1, width: 2, inner: 3 };
  // One token: 2 * (4*4 + 2*6) = 56 for the projections, 4 * 1 * 2 = 8 for attention.
  expect(statistics.forwardFlops([1], shape)).toBe(64);
  expect(statistics.forwardFlops([3], shape)).toBe(3 * 56 + 9 * 8);
  expect(statistics.forwardFlops([1, 3], { ...shape, layers: 2 })).toBe(2 * (64 + 240));
});

describe('summary', () => {
  test('figures of a row come from its own trials', () => {
    const trials = [0, 1, 2].flatMap((round) => [
      trial('ours', round, 100 + round),
      trial('other', round, 200 + 2 * round),
    ]);
    const [ours, other] = report.summarise(trials, context);
    expect(ours).toMatchObject({ peer: 'ours', verdict: 'ok', ms: 101, difference: 1e-7 });
    expect(ours.ratio.median).toBe(1);
    expect(ours.tokensPerSecond).toBeCloseTo(1024 / 0.101, 6);
    expect(ours.gflops).toBeCloseTo(2e10 / 0.101 / 1e9, 6);
    expect(ours.ofPeak).toBeCloseTo(ours.gflops / 100, 12);
    expect(other).toMatchObject({ peer: 'other', ms: 202 });
    expect(other.ratio.median).toBe(2);
  });

  test('one wrong trial spoils its row and leaves every ratio', () => {
    const trials = [
      trial('ours', 0, 100),
      trial('ours', 1, 100),
      trial('other', 0, 1, { difference: 0.02 }),
      trial('other', 1, 300),
    ];
    const [, other] = report.summarise(trials, context);
    expect(other).toEqual({
      case: '8x128',
      threads: 1,
      peer: 'other',
      verdict: 'WRONG: max-abs 0.020',
    });
    expect(report.mainTable([other])).toContain('WRONG');
    expect(report.bestOrder(trials, { ours: 'ours', names: ['8x128'] })).toEqual([]);
  });

  test('when ours is wrong nobody is compared with it', () => {
    const trials = [
      trial('ours', 0, 1, { difference: Number.POSITIVE_INFINITY }),
      trial('other', 0, 9),
    ];
    const [ours, other] = report.summarise(trials, context);
    expect(ours.verdict).toMatch(/^WRONG/);
    expect(other.ratio).toBeUndefined();
    expect(report.mainTable([other])).toMatch(/\| - +\| 1\.0e-7/);
  });

  test.each([
    ['crashed', { error: 'SIGSEGV' }, /^ERROR: SIGSEGV/],
    ['without a difference', { difference: undefined }, /^WRONG/],
    ['with a NaN difference', { difference: Number.NaN }, /^WRONG/],
    ['without a time', { medianMs: undefined }, /^ERROR/],
    ['of no time at all', { medianMs: 0 }, /^ERROR/],
  ])('a trial %s is no result', (_, rest, verdict) => {
    expect(report.verdict(trial('other', 0, 5, rest))).toMatch(verdict);
  });

  test('thread counts and cases are not mixed', () => {
    const trials = [
      trial('ours', 0, 100),
      trial('ours', 0, 60, { threads: 2 }),
      trial('ours', 0, 5, { case: 'ragged' }),
    ];
    const rows = report.summarise(trials, context);
    expect(rows.map((row: { ms: number }) => row.ms)).toEqual([100, 60, 5]);
    const [scaled, ...more] = report.scaling(trials, 2);
    expect(scaled).toMatchObject({ case: '8x128', peer: 'ours', threads: 2 });
    expect(scaled.ratio.median).toBeCloseTo(100 / 60, 12);
    expect(more).toEqual([]);
  });

  test("the best order is the peer's fastest of the cases, against ours in arrival order", () => {
    const trials = [
      trial('ours', 0, 10, { case: 'ragged' }),
      trial('ours', 0, 5, { case: 'sorted' }),
      trial('other', 0, 50, { case: 'ragged' }),
      trial('other', 0, 15, { case: 'sorted' }),
      trial('other', 0, 20, { case: 'single' }),
    ];
    const names = ['ragged', 'sorted', 'single'];
    const [row, ...more] = report.bestOrder(trials, { ours: 'ours', names });
    expect(row).toMatchObject({ peer: 'other', threads: 1, best: 'sorted' });
    expect(row.ratio.median).toBe(1.5);
    expect(more).toEqual([]);
  });

  test('loading is compared like the rest', () => {
    const trials = [trial('ours', 0, 10), trial('other', 0, 25)];
    const rows = report.loading(trials, { ours: 'ours', name: '8x128', threads: 1 });
    expect(rows[1]).toMatchObject({ peer: 'other', firstVectorMs: 250, peakRssMiB: 100 });
    expect(rows[1].ratio.median).toBe(2.5);
  });
});

describe('text', () => {
  test('significant digits without an exponent', () => {
    expect(report.format(1234.5, 3)).toBe('1235');
    expect(report.format(12.345, 3)).toBe('12.3');
    expect(report.format(0.012345, 2)).toBe('0.012');
    expect(report.format(Number.NaN, 3)).toBe('NaN');
  });

  test('a ratio shows its extremes, and nothing is shown as a dash', () => {
    expect(report.ratioText({ median: 1.5, lowest: 1.25, highest: 2 })).toBe('1.50 (1.25-2.00)');
    expect(report.ratioText(undefined)).toBe('-');
  });

  test('columns line up', () => {
    expect(report.table(['a', 'long'], [['wide cell', '1']])).toBe(
      ['| a         | long |', '| --------- | ---- |', '| wide cell | 1    |'].join('\n'),
    );
  });
});
