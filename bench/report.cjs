// Trials in, rows and Markdown tables out. A row whose peer failed once, by a crash or by wrong vectors, shows
// that and no figures. All ratios are of rounds of the one run that the trials come from.
const { median, pairedRatio, spread } = require('./statistics.cjs');

/** Unit vectors in f32 differ by about 1e-6 from the float64 reference; another model or pooling by 1e-2. */
const TOLERANCE = 1e-4;

/**
 * @typedef {object} Trial one process's result
 * @property {number} round
 * @property {string} case
 * @property {number} threads
 * @property {string} peer
 * @property {string} [error] set when the trial crashed; nothing below is then
 * @property {number} [medianMs] of one pass
 * @property {number} [difference] max-abs to the reference
 * @property {number} [cores] CPU time / wall time
 * @property {number} [firstVectorMs] import, load and the first vector
 * @property {number} [peakRssMiB]
 */

/** 'ok', or what is wrong with the trial. @param {Trial} trial */
function verdict(trial) {
  if (trial.error !== undefined) return `ERROR: ${trial.error}`;
  if (!(trial.difference <= TOLERANCE)) return `WRONG: max-abs ${format(trial.difference, 2)}`;
  if (!(trial.medianMs > 0)) return `ERROR: a pass of ${trial.medianMs} ms`;
  return 'ok';
}

/**
 * One row for each case, thread count and peer, in the order of the trials.
 *
 * @param {readonly Trial[]} trials
 * @param {{ ours: string, work: Record<string, { tokens: number, flops: number }>,
 *   peaks?: Record<number, number> }} context peaks: GFLOP/s by thread count
 */
function summarise(trials, { ours, work, peaks = {} }) {
  return groups(trials, rowKey).map((group) => {
    const { case: name, threads, peer } = group[0];
    const bad = group.map(verdict).find((text) => text !== 'ok');
    const row = { case: name, threads, peer, verdict: bad ?? 'ok' };
    if (bad) return row;
    const ms = median(group.map((trial) => trial.medianMs));
    const gflops = work[name].flops / ms / 1e6;
    return {
      ...row,
      ms,
      // One trial has no spread; 0 % would claim the opposite.
      spread: group.length > 1 ? spread(group.map((trial) => trial.medianMs)) : undefined,
      tokensPerSecond: (work[name].tokens / ms) * 1000,
      gflops,
      ofPeak: peaks[threads] && gflops / peaks[threads],
      cores: median(group.map((trial) => trial.cores)),
      difference: Math.max(...group.map((trial) => trial.difference)),
      ratio: pairedRatio(times(group), times(select(trials, name, threads, ours))),
    };
  });
}

/** Every peer's time at one thread over its time at `threads`, for each case. */
function scaling(trials, threads) {
  const single = groups(
    trials.filter((trial) => trial.threads === 1),
    rowKey,
  );
  return single.flatMap((group) => {
    const { case: name, peer } = group[0];
    const ratio = pairedRatio(times(group), times(select(trials, name, threads, peer)));
    return ratio ? [{ case: name, peer, threads, ratio }] : [];
  });
}

/**
 * Our time for sentences in arrival order against each peer's best of several cases of the same sentences.
 * @param {readonly string[]} names the cases, arrival order first
 */
function bestOrder(trials, { ours, names }) {
  const rows = [];
  for (const { threads, peer } of groups(trials, (t) => `${t.threads} ${t.peer}`).map(
    (g) => g[0],
  )) {
    const mine = times(select(trials, names[0], threads, ours));
    const options = names.flatMap((name) => {
      const group = select(trials, name, threads, peer);
      if (peer === ours || group.some((trial) => verdict(trial) !== 'ok')) return [];
      const ratio = pairedRatio(times(group), mine);
      return ratio ? [{ case: name, ratio }] : [];
    });
    if (options.length === 0) continue;
    const best = options.reduce((a, b) => (b.ratio.median < a.ratio.median ? b : a));
    rows.push({ threads, peer, best: best.case, ratio: best.ratio });
  }
  return rows;
}

/** Time from nothing to the first vector, and the most memory, of each peer in one case. */
function loading(trials, { ours, name, threads }) {
  const chosen = trials.filter((trial) => trial.case === name && trial.threads === threads);
  const first = (group) => times(group, 'firstVectorMs');
  return groups(chosen, rowKey)
    .filter((group) => group.every((trial) => verdict(trial) === 'ok'))
    .map((group) => ({
      peer: group[0].peer,
      firstVectorMs: median(group.map((trial) => trial.firstVectorMs)),
      peakRssMiB: median(group.map((trial) => trial.peakRssMiB)),
      ratio: pairedRatio(first(group), first(select(trials, name, threads, ours))),
    }));
}

/** Round -> time of the trials that are right; a wrong one never enters a ratio. */
function times(group, field = 'medianMs') {
  const right = group.filter((trial) => verdict(trial) === 'ok');
  return new Map(right.map((trial) => [trial.round, trial[field]]));
}

function select(trials, name, threads, peer) {
  return trials.filter((t) => t.case === name && t.threads === threads && t.peer === peer);
}

const rowKey = (trial) => `${trial.case} ${trial.threads} ${trial.peer}`;

function groups(trials, key) {
  const found = new Map();
  for (const trial of trials) found.set(key(trial), [...(found.get(key(trial)) ?? []), trial]);
  return [...found.values()];
}

const mainColumns = [
  ['case', (row) => row.case],
  ['threads', (row) => String(row.threads)],
  ['peer', (row) => row.peer],
  ['ms', (row) => format(row.ms, 3)],
  ['spread', (row) => percent(row.spread)],
  ['tokens/s', (row) => String(Math.round(row.tokensPerSecond))],
  ['GFLOP/s', (row) => format(row.gflops, 3)],
  ['of peak', (row) => percent(row.ofPeak)],
  ['cores', (row) => row.cores.toFixed(2)],
  ['time / ours', (row) => ratioText(row.ratio)],
  ['max-abs', (row) => row.difference.toExponential(1)],
];

function mainTable(rows) {
  return table(
    mainColumns.map(([title]) => title),
    rows.map((row) =>
      row.verdict === 'ok'
        ? mainColumns.map(([, cell]) => cell(row))
        : [row.case, String(row.threads), row.peer, row.verdict, '', '', '', '', '', '', ''],
    ),
  );
}

function scalingTable(rows) {
  const cells = rows.map((row) => [row.case, row.peer, String(row.threads), ratioText(row.ratio)]);
  return table(['case', 'peer', 'threads', 'times faster than one thread'], cells);
}

function bestOrderTable(rows) {
  const cells = rows.map((row) => [String(row.threads), row.peer, row.best, ratioText(row.ratio)]);
  return table(['threads', 'peer', 'its best way', 'its time / our ragged'], cells);
}

function loadingTable(rows) {
  const cells = rows.map((row) => [
    row.peer,
    format(row.firstVectorMs, 3),
    ratioText(row.ratio),
    String(Math.round(row.peakRssMiB)),
  ]);
  return table(['peer', 'load to first vector, ms', 'time / ours', 'peak memory, MiB'], cells);
}

/** `1.42 (1.40-1.45)`: the median over rounds, and the lowest and highest round. */
function ratioText(ratio) {
  if (!ratio) return '-';
  return `${format(ratio.median, 3)} (${format(ratio.lowest, 3)}-${format(ratio.highest, 3)})`;
}

function percent(value) {
  return value === undefined ? '-' : `${Math.round(value * 100)} %`;
}

/** At least `digits` significant digits, without an exponent for the numbers that occur here. */
function format(value, digits) {
  if (!Number.isFinite(value)) return String(value);
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, digits - 1 - magnitude));
}

/** @param {readonly string[]} header; @param {readonly (readonly string[])[]} rows */
function table(header, rows) {
  const widths = header.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i].length)),
  );
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join(
    '\n',
  );
}

module.exports = {
  TOLERANCE,
  bestOrder,
  bestOrderTable,
  format,
  loading,
  loadingTable,
  mainTable,
  ratioText,
  scaling,
  scalingTable,
  summarise,
  table,
  verdict,
};
