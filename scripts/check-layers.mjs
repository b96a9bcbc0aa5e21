// The layering lib -> binding -> engine -> ops -> kernels -> base, checked where it can be broken: in #includes,
// in TypeScript imports, and in the symbols of the objects compiled for one instruction set.
//
// An object for AVX-512 that defined a weak symbol (an inline or template instance) could lend it to code
// that runs on every processor, so such an object may define one strong symbol, its table, and no weak one.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { filesUnder } from './process.mjs';

/** Which folders of native/ a file may include from. Registry is the only file of ops that names backends. */
const NATIVE_LAYERS = [
  { files: /^base\//, may: ['base'] },
  { files: /^ops\/registry\.cc$/, may: ['base', 'ops', 'kernels'] },
  { files: /^ops\//, may: ['base', 'ops'] },
  { files: /^kernels\//, may: ['base', 'ops', 'kernels'] },
  { files: /^engine\//, may: ['base', 'ops', 'engine'] },
  { files: /^binding\//, may: ['base', 'ops', 'engine', 'binding'] },
];
const NODE_HEADER = /^(napi|node_api|js_native_api|node|v8|uv)(-inl)?(_\w+)?\.h$/;

/** Folders of lib/ that know less than the rest: what they must not import, as paths below lib/. */
const LIB_LAYERS = [
  { files: /^(?!cli\/)/, mayNot: /^cli(\/|$)/ },
  {
    files: /^(models|weights)\//,
    mayNot: /^(native|hub|index|sentence-encoder|transformer)(\/|$)/,
  },
  { files: /^hub\//, mayNot: /^(native|models|weights|index|sentence-encoder|transformer)(\/|$)/ },
];
const ADDON = /(require\(|from ).*\.node['"`]|['"`]node-gyp-build['"`]|process\.dlopen/;

/** @param {string} base the repository, with the addon built @returns {string[]} the problems */
export function findLayerViolations(base) {
  return [...includeViolations(base), ...importViolations(base), ...symbolViolations(base)];
}

/** @param {string} base @returns {string[]} */
export function includeViolations(base) {
  const native = join(base, 'native');
  return filesUnder(['native'], { base })
    .filter((file) => /\.(cc|h)$/.test(file))
    .flatMap((file) => {
      const name = relative(native, file);
      const layer = NATIVE_LAYERS.find(({ files }) => files.test(name));
      if (!layer) return [`native/${name}: lies in no layer`];
      const includes = readFileSync(file, 'utf8').matchAll(
        /^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm,
      );
      return [...includes].flatMap(([, quote, path]) =>
        includeProblem({ native, name, layer, quote, path }),
      );
    });
}

function includeProblem({ native, name, layer, quote, path }) {
  const where = `native/${name}: #include ${path}`;
  if (NODE_HEADER.test(path)) {
    return name.startsWith('binding/')
      ? []
      : [`${where}: only native/binding may see Node's headers`];
  }
  if (quote === '<') return [];
  const beside = posix.join(posix.dirname(name), path);
  const target = existsSync(join(native, beside)) ? beside : posix.normalize(path);
  const folder = target.split('/')[0];
  return layer.may.includes(folder) ? [] : [`${where}: allowed are ${layer.may.join(', ')}`];
}

/** @param {string} base @returns {string[]} */
export function importViolations(base) {
  const lib = join(base, 'lib');
  return filesUnder(['lib'], { base })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const name = relative(lib, file);
      const text = readFileSync(file, 'utf8');
      const problems = [];
      if (name !== 'native.ts' && ADDON.test(text)) {
        problems.push(`lib/${name}: only lib/native.ts may load the addon`);
      }
      for (const [, path] of valueImports(text)) {
        const target = relative(lib, join(dirname(file), path));
        const broken = LIB_LAYERS.some(
          ({ files, mayNot }) => files.test(name) && mayNot.test(target),
        );
        if (broken)
          problems.push(`lib/${name}: imports lib/${target}, which its layer must not know`);
      }
      return problems;
    });
}

/** Paths of the project's own modules that are needed at run time; a type is no dependency. */
function valueImports(text) {
  const values = text.replaceAll(/^(import|export) type\b[^;]*;/gm, '');
  return values.matchAll(/(?:from|import|require\()\s*['"](\.[^'"]+)['"]/g);
}

/** @param {string} base @returns {string[]} */
export function symbolViolations(base) {
  const objects = filesUnder(['build/Release'], { base }).filter((file) => ISA_OBJECT.test(file));
  if (objects.length === 0)
    return ['build/Release: no object compiled for one instruction set found'];
  return objects.flatMap((file) => {
    const defined = execFileSync('nm', ['--defined-only', '--extern-only', file], {
      encoding: 'utf8',
    })
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ').slice(1));
    const weak = defined.filter(([kind]) => /[WwVvui]/.test(kind));
    const strong = defined.filter(([kind]) => !/[WwVvui]/.test(kind));
    const problems = weak.map(([, symbol]) => `${relative(base, file)}: weak symbol ${symbol}`);
    if (strong.length !== 1) {
      const names = strong.map(([, symbol]) => symbol).join(', ') || 'none';
      problems.push(`${relative(base, file)}: strong symbols ${names}, expected the table alone`);
    }
    return problems;
  });
}

/** CMake names a target for each instruction set; the folder of its objects carries the name. */
const ISA_OBJECT = /\/multihead_isa_\w+\.dir\/.*\.o$/;
