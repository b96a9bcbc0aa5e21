/** `multihead doctor`: what this machine offers, what was chosen, and what stands in the way. */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { MultiheadError } from '../errors';
import { cacheFolder } from '../hub/settings';
import { addonPath, loadAddon } from '../native';

interface CachedModel {
  readonly model: string;
  readonly bytes: number;
}

interface Report {
  readonly version: string;
  readonly platform: string;
  readonly node: string;
  readonly addon: { readonly path: string } | { readonly error: string };
  readonly isas: readonly { readonly name: string; readonly supported: boolean }[];
  /** What a model would run on; absent when none can. */
  readonly isa?: string;
  readonly threads?: {
    readonly affinity: number;
    readonly cgroupCpus: number;
    readonly defaultThreads: number;
  };
  readonly gpu: { readonly available: false; readonly reason: string };
  readonly cache: { readonly folder: string; readonly models: readonly CachedModel[] };
  readonly dependencies: Readonly<Record<string, string>>;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'show platform, addon, instruction sets, threads, GPU and cache; fails if no model can run',
    )
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: true }) => {
      const { report, failure } = await examine();
      console.log(json ? JSON.stringify(report, undefined, 2) : describe(report));
      if (failure) throw failure;
    });
}

async function examine(): Promise<{ report: Report; failure?: unknown }> {
  const { version, dependencies } = require(join(__dirname, '..', '..', 'package.json')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  const native = examineNative();
  const folder = cacheFolder();
  const report: Report = {
    version,
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    ...native.report,
    gpu: { available: false, reason: 'this build has no GPU backend' },
    cache: { folder, models: await cachedModels(folder) },
    dependencies,
  };
  return { report, failure: native.failure };
}

function examineNative() {
  try {
    const addon = loadAddon();
    const isas = addon.isas();
    const isa = chosenIsa(isas);
    const report = { addon: { path: addonPath() }, isas, isa, threads: addon.threads() };
    return { report, failure: undefined };
  } catch (failure) {
    const error = failure instanceof Error ? failure.message : String(failure);
    return { report: { addon: { error }, isas: [] }, failure };
  }
}

function chosenIsa(isas: Report['isas']): string {
  const forced = process.env['MULTIHEAD_ISA'];
  const usable = isas.filter(({ supported }) => supported).map(({ name }) => name);
  if (!forced) return usable[0] ?? 'none';
  if (usable.includes(forced)) return forced;
  throw new MultiheadError('UNSUPPORTED', {
    where: 'MULTIHEAD_ISA',
    got: forced,
    expected: usable.join(' or '),
  });
}

/** The hub's layout: models--org--name/blobs/<hash>. */
async function cachedModels(folder: string): Promise<CachedModel[]> {
  const names = (await entries(folder)).filter((name) => name.startsWith('models--')).sort();
  return Promise.all(
    names.map(async (name) => ({
      model: name.split('--').slice(1).join('/'),
      bytes: await bytesIn(join(folder, name, 'blobs')),
    })),
  );
}

async function bytesIn(folder: string): Promise<number> {
  let sum = 0;
  for (const name of await entries(folder)) sum += (await stat(join(folder, name))).size;
  return sum;
}

/** A folder that is absent is as good as empty. */
async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function describe(report: Report): string {
  const rows: [string, string][] = [
    ['multihead', report.version],
    ['platform', `${report.platform}, Node ${report.node}`],
    ['addon', 'path' in report.addon ? report.addon.path : report.addon.error],
    ['ISAs', report.isas.map((isa) => describeIsa(isa, report.isa)).join(', ') || 'unknown'],
    ['threads', describeThreads(report.threads)],
    ['GPU', `none: ${report.gpu.reason}`],
    ['cache', report.cache.folder],
    ...report.cache.models.map(({ model, bytes }): [string, string] => [
      '',
      `${model} (${(bytes / 1e6).toFixed(1)} MB)`,
    ]),
    [
      'uses',
      Object.entries(report.dependencies)
        .map((entry) => entry.join(' '))
        .join(', '),
    ],
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} ${value}`).join('\n');
}

function describeIsa(isa: Report['isas'][number], chosen?: string): string {
  if (!isa.supported) return `${isa.name} (not supported here)`;
  return isa.name === chosen ? `${isa.name} (chosen)` : isa.name;
}

function describeThreads(threads: Report['threads']): string {
  if (!threads) return 'unknown';
  const limit = threads.cgroupCpus > 0 ? `${threads.cgroupCpus} processors` : 'none';
  return `${threads.defaultThreads} (affinity ${threads.affinity}, cgroup limit ${limit})`;
}
