// What a result depends on besides the code: recorded with every run, because a figure without it says nothing.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';

/** The flags that decide which kernels can run. */
const VECTOR_FLAGS = /^(sse4_[12]|avx.*|fma|f16c|amx.*|asimd.*|sve.*|i8mm|bf16)$/;

export function environment(root) {
  const info = cpuInfo();
  return {
    when: new Date().toISOString(),
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    family: { family: info['cpu family'], model: info.model, stepping: info.stepping },
    vectorFlags: (info.flags ?? info.Features ?? '')
      .split(' ')
      .filter((flag) => VECTOR_FLAGS.test(flag)),
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    commit: git(root, 'rev-parse', 'HEAD'),
    dirty: git(root, 'status', '--porcelain') !== '',
    forcedIsa: process.env.MULTIHEAD_ISA,
  };
}

/** Processes that want to run, averaged over the last minute. */
export const loadAverage = () => Number(os.loadavg()[0].toFixed(2));

function cpuInfo() {
  try {
    const first = readFileSync('/proc/cpuinfo', 'utf8').split('\n\n')[0];
    return Object.fromEntries(first.split('\n').map((line) => line.split(/\s*:\s*/, 2)));
  } catch {
    return {}; // not Linux
  }
}

function git(root, ...args) {
  try {
    return execFileSync('git', ['-C', root, ...args], { encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
