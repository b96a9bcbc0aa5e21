// The arithmetic of the bench: medians, spreads, ratios of one run, and the check of a peer's vectors.
//
// Every function refuses what it cannot judge (no numbers, NaN, unequal lengths) with a thrown Error: a bench
// that averages a NaN away, or compares nothing with nothing, reports good news that is not there.
// CommonJS, so that the tests load it as they load the rest.

/** The middle value, or the mean of the two middle ones. @param {readonly number[]} values */
function median(values) {
  const sorted = checked(values).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** (max - min) / median: 0.05 says that the values lie within 5 % of each other. @param {readonly number[]} values */
function spread(values) {
  const sorted = checked(values);
  return (Math.max(...sorted) - Math.min(...sorted)) / median(sorted);
}

/**
 * How many times faster `ours` is than `theirs`, from times measured side by side: the ratio within each round,
 * then the median over rounds, so that a machine that slows down for a while slows both sides of a ratio.
 *
 * @param {ReadonlyMap<number, number>} theirs round -> time
 * @param {ReadonlyMap<number, number>} ours round -> time
 * @returns {{ median: number, lowest: number, highest: number, rounds: number } | undefined} undefined when no
 *   round has both
 */
function pairedRatio(theirs, ours) {
  const ratios = [];
  for (const [round, time] of theirs) {
    if (ours.has(round)) ratios.push(time / ours.get(round));
  }
  if (ratios.length === 0) return undefined;
  return {
    median: median(ratios),
    lowest: Math.min(...ratios),
    highest: Math.max(...ratios),
    rounds: ratios.length,
  };
}

/**
 * The largest |actual - expected|. A NaN or an infinity on either side is Infinity, and so is a row of zeros,
 * because a kernel that wrote nothing must not pass.
 *
 * @param {Float32Array} actual row-major [rows, width]
 * @param {Float32Array} expected the same shape
 * @param {number} width
 */
function maxAbsDifference(actual, expected, width) {
  if (!(width > 0) || expected.length === 0 || expected.length % width !== 0) {
    throw new Error(`expected ${expected.length} numbers in rows of ${width}`);
  }
  if (actual.length !== expected.length) {
    throw new Error(`${actual.length} numbers, expected ${expected.length}`);
  }
  let largest = 0;
  for (let row = 0; row < expected.length; row += width) {
    let energy = 0;
    for (let i = row; i < row + width; i++) {
      const difference = Math.abs(actual[i] - expected[i]);
      if (!(difference <= largest)) largest = Number.isFinite(difference) ? difference : Infinity;
      energy += actual[i] * actual[i];
    }
    if (energy === 0) return Infinity;
  }
  return largest;
}

/**
 * Floating-point operations of one BERT-like forward over sequences of these lengths, two per multiply-add:
 * the projections, and scores and weighted sums of unmasked attention. Norms and activations are left out.
 *
 * @param {readonly number[]} lengths real tokens, without padding
 * @param {{ layers: number, width: number, inner: number }} shape
 */
function forwardFlops(lengths, { layers, width, inner }) {
  let flops = 0;
  for (const length of lengths) {
    const projections = 2 * length * (4 * width * width + 2 * width * inner);
    const attention = 2 * 2 * length * length * width;
    flops += layers * (projections + attention);
  }
  return flops;
}

function checked(values) {
  if (values.length === 0) throw new Error('no values');
  for (const value of values) {
    if (!Number.isFinite(value)) throw new Error(`not a finite number: ${value}`);
  }
  return [...values];
}

module.exports = { median, spread, pairedRatio, maxAbsDifference, forwardFlops };
