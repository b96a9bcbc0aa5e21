// What must not stand in any file: paths of one machine, and hosts of registries and hubs.
//
// Hosts come from the user's npm, pip and hub settings, so that mirrors work; a name written here would
// go around them. The forbidden names are put together from parts, or this file would find itself.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const host = (...parts) => parts.join('.');

const FORBIDDEN = [
  { what: 'host of a registry', text: host('registry', 'npmjs', 'org') },
  { what: 'host of a registry', text: host('registry', 'yarnpkg', 'com') },
  { what: 'host of a registry', text: host('pypi', 'org') },
  { what: 'host of a registry', text: host('pythonhosted', 'org') },
  { what: 'host of a model hub', text: host('huggingface', 'co') },
  { what: 'host of a model hub', text: host('hf', 'co') },
  ...['work', 'root', 'home', 'Users'].map((name) => ({
    what: 'path of one machine',
    pattern: new RegExp(`(^|[\\s'"\`=(:])/${name}/\\w`),
    text: `/${name}/`,
  })),
];

/** Data made by other programs, which quotes whatever its sources say. */
const DATA = /^(test\/parity\/golden\/|bench\/data\/)/;

/** @param {string} base the repository @returns {string[]} the problems */
export function findWords(base) {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '-z'];
  const files = execFileSync('git', list, { cwd: base, encoding: 'utf8' }).split('\0');
  return files.filter((file) => file && !DATA.test(file)).flatMap((file) => inFile(base, file));
}

function inFile(base, file) {
  const bytes = readIfPresent(join(base, file));
  if (bytes === undefined || bytes.includes(0)) return []; // deleted meanwhile, or binary
  return bytes
    .toString()
    .split('\n')
    .flatMap((line, index) =>
      FORBIDDEN.filter(({ pattern, text }) =>
        pattern ? pattern.test(line) : hasHost(line, text),
      ).map(({ what, text }) => `${file}:${index + 1}: ${what}: ${text}`),
    );
}

/** The host itself or one below it, not a longer name that only contains it. */
function hasHost(line, text) {
  const at = line.indexOf(text);
  if (at < 0) return false;
  return !/\w/.test(line[at - 1] ?? '') && !/[\w-]/.test(line[at + text.length] ?? '');
}

function readIfPresent(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'EISDIR') return undefined;
    throw error;
  }
}
