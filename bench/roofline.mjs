// The measured peak of the cores a run uses: compiles roofline/fma-peak.cc for this CPU and runs it.
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * @param {string} root
 * @param {readonly string[]} vectorFlags
 * @returns {((threads: number) => Promise<number>) | undefined} measures GFLOP/s; undefined without a compiler or
 *   on a CPU that the program is not written for
 */
export function peakMeter(root, vectorFlags) {
  const has = (...flags) => flags.every((flag) => vectorFlags.includes(flag));
  const isa = has('avx512f') ? ['-mavx512f'] : has('avx2', 'fma') ? ['-mavx2', '-mfma'] : undefined;
  if (!isa) return undefined;
  const folder = join(root, 'build', 'bench');
  mkdirSync(folder, { recursive: true });
  const program = join(folder, 'fma-peak');
  const source = join(root, 'bench', 'roofline', 'fma-peak.cc');
  const compiler = process.env.CXX ?? 'c++';
  const args = ['-std=c++17', '-O2', ...isa, '-pthread', source, '-o', program];
  if (spawnSync(compiler, args).status !== 0) return undefined;
  const run = promisify(execFile);
  return async (threads) => {
    const gflops = Number((await run(program, [String(threads)])).stdout);
    if (!(gflops > 0)) throw new Error(`${program} printed no peak`);
    return gflops;
  };
}
