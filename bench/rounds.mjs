// The order of the trials, and the processes they run in: in every round each peer takes its turn at each case.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { loadAverage } from './environment.mjs';
import { log, root } from './prepare.mjs';
import report from './report.cjs';

/** The slowest pass of the slowest peer takes half a minute on one slow core. */
const TRIAL_LIMIT_MS = 600_000;

/** All trials, in the order of the cases and peers, and the peaks measured in between. */
export async function runRounds({ cases, peers, threads, rounds, measurePeak, setting }) {
  const trials = [];
  const peaks = Object.fromEntries(threads.map((count) => [count, []]));
  for (let round = 0; round < rounds; round++) {
    for (const count of threads) {
      if (measurePeak) peaks[count].push(await measurePeak(count));
      for (const testCase of cases) {
        const able = peers.filter((peer) => peer.inputs.includes(testCase.input.kind));
        // Whoever goes first finds the machine as the last case left it: that falls on each in turn.
        const first = able.length === 0 ? 0 : round % able.length;
        for (const peer of [...able.slice(first), ...able.slice(0, first)]) {
          const trial = await runTrial({ round, peer, testCase, threads: count, setting });
          trials.push(trial);
          log(progressLine(trial, rounds));
        }
      }
    }
  }
  // Rounds rotate the order; the tables do not.
  const place = new Map(peers.map((peer, i) => [peer.name, i]));
  const casePlace = new Map(cases.map((testCase, i) => [testCase.name, i]));
  trials.sort(
    (a, b) =>
      casePlace.get(a.case) - casePlace.get(b.case) ||
      a.threads - b.threads ||
      place.get(a.peer) - place.get(b.peer) ||
      a.round - b.round,
  );
  return { trials, peaks };
}

function runTrial({ round, peer, testCase, threads, setting }) {
  const head = { round, case: testCase.name, threads, peer: peer.name, load: loadAverage() };
  // The tokeniser of ours brings a thread pool of its own: it gets as many threads as the model.
  const env = { ...process.env, RAYON_NUM_THREADS: String(threads) };
  const job = JSON.stringify({ peer, testCase, threads, ...setting });
  return new Promise((resolve) => {
    const child = fork(join(root, 'bench', 'trial.mjs'), [job], { env, silent: true });
    let result;
    let errors = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), TRIAL_LIMIT_MS);
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('message', (message) => {
      result = message;
    });
    child.on('exit', (code, signal) => {
      clearTimeout(timer);
      if (code === 0 && result) resolve({ ...head, ...result });
      else resolve({ ...head, error: `${signal ?? `exit ${code}`} ${reasonIn(errors)}`.trim() });
    });
  });
}

/** The line of a stack trace that says what happened. */
function reasonIn(errors) {
  const lines = errors.trim().split('\n');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1) ?? '';
}

function progressLine(trial, rounds) {
  const verdict = report.verdict(trial);
  const figure = verdict === 'ok' ? `${report.format(trial.medianMs, 3)} ms` : verdict;
  const where = `${trial.case} x ${trial.threads} threads`;
  return `round ${trial.round + 1}/${rounds}  ${where}  ${trial.peer}  ${figure}  load ${trial.load}`;
}
