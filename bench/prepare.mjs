// Everything a run needs, made on demand and at most once: our build, the model, the peers' packages, the ONNX
// model with its reference vectors (in build/bench/, keyed by what they are made from).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { ensureDemoModel } from '../scripts/demo-model.mjs';

const here = dirname(fileURLToPath(import.meta.url));
export const root = dirname(here);
const scratch = join(root, 'build', 'bench');
const exportFolder = join(here, 'peers', 'onnx');
export const sentencesFile = join(here, 'data', 'sentences.txt');

export const demoModel = () => ensureDemoModel({ log });

export function buildOurs() {
  must('building multihead', process.execPath, [join(root, 'scripts', 'build.mjs')]);
}

/** Installs a peer's packages in its own folder. Throws when that fails. */
export function installPeer({ name, folder }) {
  const path = join(here, 'peers', folder);
  const manifest = join(path, 'package.json');
  if (!existsSync(manifest)) return;
  const { dependencies } = JSON.parse(readFileSync(manifest, 'utf8'));
  const current = Object.entries(dependencies).every(
    ([dependency, version]) => installedVersion(path, dependency) === version,
  );
  if (current) return;
  // No install scripts: those of onnxruntime-node and sharp only fetch what the CPU does not need.
  const options = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund'];
  must(`installing ${name}`, 'npm', ['install', ...options], { cwd: path });
}

/** Versions of what a peer consists of, by package name. */
export function peerVersions({ folder }) {
  const path = join(here, 'peers', folder);
  const names = ['onnxruntime-node', '@huggingface/transformers'];
  const versions = names.map((name) => [name, installedVersion(path, name)]);
  return Object.fromEntries(versions.filter(([, version]) => version));
}

/** The folder with the ONNX model, the token ids and the reference vectors of these cases. */
export function ensureOnnx(modelFolder, cases) {
  const dense = cases.filter(({ input }) => input.kind === 'dense').map(({ name }) => name);
  const weights = statSync(join(modelFolder, 'model.safetensors'));
  const key = createHash('sha256')
    .update(readFileSync(join(exportFolder, 'export.py')))
    .update(readFileSync(join(exportFolder, 'requirements.txt')))
    .update(readFileSync(sentencesFile))
    .update(readFileSync(join(modelFolder, 'config.json')))
    .update(JSON.stringify([weights.size, weights.mtimeMs, dense]))
    .digest('hex')
    .slice(0, 12);
  const folder = join(scratch, `model-${key}`);
  if (existsSync(folder)) return folder;
  const python = ensurePython();
  const partial = `${folder}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    const script = join(exportFolder, 'export.py');
    const from = ['--model', modelFolder, '--sentences', sentencesFile, '--dense', ...dense];
    must('exporting the ONNX model', python, [script, ...from, '--out', partial]);
    renameSync(partial, folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return folder;
}

function ensurePython() {
  if (process.env.MULTIHEAD_BENCH_PYTHON) return process.env.MULTIHEAD_BENCH_PYTHON;
  const requirements = join(exportFolder, 'requirements.txt');
  const key = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const venv = join(scratch, `python-${key}`);
  const python = join(venv, 'bin', 'python');
  const complete = join(venv, 'complete');
  if (existsSync(complete)) return python;
  must('making a Python environment', 'python3', ['-m', 'venv', '--clear', venv]);
  const pip = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '-r',
    requirements,
  ];
  must('installing torch, transformers and onnx (6 GB, once)', python, pip);
  mkdirSync(complete);
  return python;
}

function installedVersion(folder, name) {
  const manifest = join(folder, 'node_modules', name, 'package.json');
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')).version : undefined;
}

function must(what, command, args, options = {}) {
  log(what);
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  });
  if (status === 0) return;
  const reason = error?.message ?? (signal ? `killed by ${signal}` : `exit status ${status}`);
  const tail = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-15).join('\n');
  throw new Error(`${what}: ${command} failed (${reason})\n${tail}`);
}

export function log(line) {
  process.stderr.write(`${line}\n`);
}
