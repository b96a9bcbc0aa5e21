// npm run bench: multihead beside its peers, in one run. Each trial is a fresh process; in every round each peer
// takes its turn at each case, so that a ratio compares neighbours in time. See README.md.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { cases, defaultCases, sameSentences } from './cases.mjs';
import { environment } from './environment.mjs';
import { batchesOf } from './inputs.mjs';
import { ours, peers } from './peers.mjs';
import {
  buildOurs,
  demoModel,
  ensureOnnx,
  installPeer,
  log,
  peerVersions,
  root,
  sentencesFile,
} from './prepare.mjs';
import report from './report.cjs';
import { peakMeter } from './roofline.mjs';
import { runRounds } from './rounds.mjs';
import { forwardFlops, median } from './statistics.cjs';

const USAGE = `node bench/run.mjs [options]
  --cases A,B     of ${cases.map(({ name }) => name).join(' ')} (default ${defaultCases.join(' ')})
  --peers A,B     of ${peers.map(({ name }) => name).join(' ')} (default all)
  --threads 1,2   thread counts (default 1,2)
  --rounds N      trials of each peer, case and thread count (default 3)
  --out FILE      where the JSON goes (default bench/results/<time>.json)`;

async function main() {
  const options = parseOptions();
  const env = environment(root);
  const measurePeak = peakMeter(root, env.vectorFlags);
  const modelFolder = await demoModel();
  const setting = {
    modelFolder,
    onnxFolder: ensureOnnx(modelFolder, cases),
    sentencesFile,
  };
  const available = prepared(options.peers);
  const plan = { ...options, peers: available, measurePeak, setting };
  const { trials, peaks } = await runRounds(plan);

  const shape = modelShape(modelFolder);
  const context = { ours, peaks: medians(peaks), work: workOf(options.cases, shape, setting) };
  const rows = report.summarise(trials, context);
  const result = {
    environment: env,
    model: { folder: 'all-MiniLM-L6-v2', dtype: 'f32', ...shape },
    peers: available.map((peer) => ({ name: peer.name, versions: peerVersions(peer) })),
    peaks,
    trials,
    rows,
  };
  const file = options.out ?? defaultFile(env);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
  print(result, context, options);
  log(`written to ${file}`);
  if (rows.some((row) => row.verdict !== 'ok')) process.exitCode = 1;
}

function parseOptions() {
  const text = { type: 'string' };
  const { values } = parseArgs({
    options: {
      cases: { ...text, default: defaultCases.join(',') },
      peers: { ...text, default: peers.map(({ name }) => name).join(',') },
      threads: { ...text, default: '1,2' },
      rounds: { ...text, default: '3' },
      out: text,
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(USAGE);
    process.exit(0);
  }
  const rounds = Number(values.rounds);
  const threads = values.threads.split(',').map(Number);
  for (const number of [rounds, ...threads]) {
    if (!Number.isInteger(number) || number < 1)
      throw new Error(`not a count: ${number}\n${USAGE}`);
  }
  return {
    cases: named('case', cases, values.cases.split(',')),
    peers: named('peer', peers, values.peers.split(',')),
    threads,
    rounds,
    out: values.out,
  };
}

function named(kind, all, names) {
  return names.map((name) => {
    const found = all.find((one) => one.name === name.trim());
    if (!found) throw new Error(`no ${kind} is called ${name}\n${USAGE}`);
    return found;
  });
}

/** The peers that can run here; one that cannot be installed is named and left out. */
function prepared(wanted) {
  return wanted.filter((peer) => {
    try {
      if (peer.name === ours) buildOurs();
      else installPeer(peer);
      return true;
    } catch (error) {
      log(`${peer.name} is left out: ${error.message}`);
      process.exitCode = 1;
      return false;
    }
  });
}

function modelShape(modelFolder) {
  const config = JSON.parse(readFileSync(join(modelFolder, 'config.json'), 'utf8'));
  return {
    layers: config.num_hidden_layers,
    width: config.hidden_size,
    inner: config.intermediate_size,
  };
}

function workOf(chosen, shape, setting) {
  const work = chosen.map((testCase) => {
    const { lengths } = batchesOf(testCase, setting);
    const tokens = lengths.reduce((sum, length) => sum + length, 0);
    const sequences = lengths.length;
    return [testCase.name, { sequences, tokens, flops: forwardFlops(lengths, shape) }];
  });
  return Object.fromEntries(work);
}

function medians(peaks) {
  const known = Object.entries(peaks).filter(([, values]) => values.length > 0);
  return Object.fromEntries(known.map(([threads, values]) => [threads, median(values)]));
}

function defaultFile(env) {
  const stamp = env.when.replace(/[:.]/g, '-');
  return join(root, 'bench', 'results', `${stamp}-${env.commit.slice(0, 8)}.json`);
}

function print({ environment: env, trials, rows, peers: used }, context, options) {
  const peak = Object.entries(context.peaks).map(([n, g]) => `${n} thread(s) ${g.toFixed(0)}`);
  const loads = trials.map((trial) => trial.load);
  const versions = used.flatMap(({ versions: v }) => Object.entries(v).map((e) => e.join(' ')));
  console.log(
    [
      `all-MiniLM-L6-v2 in f32 on ${env.cpu}, ${env.cores} cores, ${env.kernel}, node ${env.node}`,
      `commit ${env.commit.slice(0, 8)}${env.dirty ? ' with local changes' : ''}, ${options.rounds} rounds, ` +
        `load average ${Math.min(...loads)}-${Math.max(...loads)}`,
      `peers: ${[...new Set(versions)].join(', ') || 'none'}`,
      `measured f32 peak, GFLOP/s: ${peak.join(', ') || 'not measured'}`,
      '',
      report.mainTable(rows),
    ].join('\n'),
  );
  const most = Math.max(...options.threads);
  section(report.scaling(trials, most).length && most > 1, () =>
    report.scalingTable(report.scaling(trials, most)),
  );
  const best = report.bestOrder(trials, { ours, names: sameSentences });
  section(best.length, () => report.bestOrderTable(best));
  const loaded = report.loading(trials, {
    ours,
    name: options.cases[0].name,
    threads: options.threads[0],
  });
  section(loaded.length, () => report.loadingTable(loaded));
}

function section(wanted, render) {
  if (wanted) console.log(`\n${render()}`);
}

try {
  await main();
} catch (error) {
  log(error.message);
  process.exitCode = 1;
}
