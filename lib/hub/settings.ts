/**
 * What the environment says about the hub: the variables that Python's huggingface_hub reads, with its rules,
 * so that one setting serves both. Without HF_ENDPOINT the hub library's own address is used.
 */

import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { MultiheadError } from '../errors';

type Environment = Readonly<
  Partial<
    Record<
      | 'HF_ENDPOINT'
      | 'HF_HOME'
      | 'HF_HUB_CACHE'
      | 'HF_HUB_DISABLE_IMPLICIT_TOKEN'
      | 'HF_HUB_OFFLINE'
      | 'HF_TOKEN'
      | 'HF_TOKEN_PATH'
      | 'HUGGINGFACE_HUB_CACHE'
      | 'HUGGING_FACE_HUB_TOKEN'
      | 'TRANSFORMERS_OFFLINE'
      | 'XDG_CACHE_HOME',
      string
    >
  >
>;

/** `~` and `~/x` as a shell reads them; every other path as it is. */
export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

function homeFolder(env: Environment): string {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || '~/.cache', 'huggingface');
  return resolve(expandHome(home));
}

/** The cache that Python uses too: HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub. */
export function cacheFolder(env: Environment = process.env): string {
  const folder = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE;
  return folder ? resolve(expandHome(folder)) : join(homeFolder(env), 'hub');
}

export function isOffline(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
}

function isTrue(value: string | undefined): boolean {
  return /^(1|on|yes|true)$/i.test(value ?? '');
}

/** HF_ENDPOINT without its trailing slashes; undefined means the hub library's default. */
export function endpoint(env: Environment = process.env): string | undefined {
  const value = env.HF_ENDPOINT;
  if (!value) return undefined;
  if (!/^https?:\/\/[^/]/i.test(value) || !URL.canParse(value)) {
    throw new MultiheadError('INVALID_ARGUMENT', {
      where: 'HF_ENDPOINT',
      got: JSON.stringify(value),
      expected: 'an http or https URL',
    });
  }
  return value.replace(/\/+$/, '');
}

/** HF_TOKEN, else the file that `hf auth login` writes; undefined when there is none. */
export async function accessToken(env: Environment = process.env): Promise<string | undefined> {
  const given = (env.HF_TOKEN || env.HUGGING_FACE_HUB_TOKEN)?.trim();
  if (given) return checked('HF_TOKEN', given);
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const path = env.HF_TOKEN_PATH;
  const file = path ? resolve(expandHome(path)) : join(homeFolder(env), 'token');
  // No token file: an anonymous request, and a 401 tells if a token was needed.
  const stored = (await readFile(file, 'utf8').catch(() => '')).trim();
  return stored ? checked(file, stored) : undefined;
}

/** A token that cannot be sent is refused here: fetch would refuse it with a message that shows it. */
function checked(where: string, token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const got = 'a token with characters that no token has';
  throw new MultiheadError('INVALID_ARGUMENT', { where, got, expected: 'printable ASCII' });
}
