// One trial: one peer, one case, one thread count, in a process of its own. Loads the peer, runs it until it is
// warm, times passes, checks the vectors against the reference, and sends the result to the parent.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { batchesOf } from './inputs.mjs';
import { maxAbsDifference, median } from './statistics.cjs';

const { peer, testCase, threads, modelFolder, onnxFolder, sentencesFile } = JSON.parse(
  process.argv[2],
);

const work = batchesOf(testCase, { onnxFolder, sentencesFile });

const started = performance.now();
const { open } = await import(`./peers/${peer.folder}/adapter.mjs`);
const { kind } = testCase.input;
const model = await open({ modelFolder, onnxFolder, threads, kind, options: peer.options });
const run = kind === 'texts' ? model.embedTexts : model.embedIds;

const opened = performance.now();
await run.call(model, work.probe);
const firstVectorMs = performance.now() - started;

await warmUp();
const times = [];
let firstVectors;
let vectors;
const cpuBefore = process.cpuUsage();
const timedFrom = performance.now();
while (wantsAnother(testCase.passes)) {
  const from = performance.now();
  vectors = await pass();
  times.push(performance.now() - from);
  firstVectors ??= vectors;
}
const timedMs = performance.now() - timedFrom;
const cpu = process.cpuUsage(cpuBefore);
const peakRssMiB = process.resourceUsage().maxRSS / 1024;

const difference = Math.max(check(firstVectors), check(vectors));
const settings = model.settings;
await model.close();
process.send({
  medianMs: median(times),
  passes: times.length,
  cpuMs: (cpu.user + cpu.system) / 1000 / times.length,
  cores: (cpu.user + cpu.system) / 1000 / timedMs,
  openMs: opened - started,
  firstVectorMs,
  peakRssMiB,
  difference,
  settings,
});
process.disconnect();

async function pass() {
  const parts = [];
  for (const batch of work.batches) parts.push(await run.call(model, batch));
  return parts;
}

/** A second of the case's own batches: code compiled, caches and arenas grown, threads awake. */
async function warmUp() {
  const from = performance.now();
  for (let i = 0; elapsed(from) < 1; i++)
    await run.call(model, work.warmUp[i % work.warmUp.length]);
}

function wantsAnother({ least, seconds, limit }) {
  if (times.length === 0) return true;
  const spent = elapsed(timedFrom);
  return spent < limit && (times.length < least || spent < seconds);
}

function elapsed(from) {
  return (performance.now() - from) / 1000;
}

/** Rows come in the case's order; the reference's are in the text's. */
function check(parts) {
  const bytes = readFileSync(join(onnxFolder, `${work.reference}.f32`));
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const width = all.length / work.referenceRows;
  const expected = new Float32Array(work.rows.length * width);
  work.rows.forEach((row, i) => {
    expected.set(all.subarray(row * width, (row + 1) * width), i * width);
  });
  const actual = Float32Array.from(parts.flatMap((part) => [...part]));
  return maxAbsDifference(actual, expected, width);
}
