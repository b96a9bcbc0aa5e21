import { homedir } from 'node:os';
import { join } from 'node:path';
import {
  accessToken,
  cacheFolder,
  endpoint,
  expandHome,
  isOffline,
} from '../../../lib/hub/settings';

test.each([
  [{}, join(homedir(), '.cache/huggingface/hub')],
  [{ XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
  [{ XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, '/h/hub'],
  [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }, '/old'],
  [{ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '/c' }, '/c'],
  [{ HF_HUB_CACHE: '', HF_HOME: '' }, join(homedir(), '.cache/huggingface/hub')],
  [{ HF_HUB_CACHE: '~/c' }, join(homedir(), 'c')],
  [{ HF_HOME: '~/h' }, join(homedir(), 'h/hub')],
])('the cache for %j', (env, folder) => {
  expect(cacheFolder(env)).toBe(folder);
});

test.each(['1', 'ON', 'Yes', 'true', 'TRUE'])('HF_HUB_OFFLINE=%s is offline', (value) => {
  expect(isOffline({ HF_HUB_OFFLINE: value })).toBe(true);
  expect(isOffline({ TRANSFORMERS_OFFLINE: value })).toBe(true);
});

test.each(['', '0', 'no', 'false', 'maybe'])('HF_HUB_OFFLINE=%s is online', (value) => {
  expect(isOffline({ HF_HUB_OFFLINE: value })).toBe(false);
});

test('the hub is the default one unless HF_ENDPOINT names another', () => {
  expect(endpoint({})).toBeUndefined();
  expect(endpoint({ HF_ENDPOINT: '' })).toBeUndefined();
  expect(endpoint({ HF_ENDPOINT: 'https://mirror.example/hub//' })).toBe(
    'https://mirror.example/hub',
  );
});

test.each(['mirror', 'ftp://x', 'https://', 'file:///etc', 'http:/x'])(
  'HF_ENDPOINT %s is refused',
  (value) => {
    expect(() => endpoint({ HF_ENDPOINT: value })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  },
);

test('a tilde is the home folder only where a shell reads it so', () => {
  expect(expandHome('~')).toBe(homedir());
  expect(expandHome('~/x')).toBe(join(homedir(), 'x'));
  expect(expandHome('~user/x')).toBe('~user/x');
  expect(expandHome('a~/x')).toBe('a~/x');
});

test('a token that cannot be sent is refused without being shown', async () => {
  for (const token of ['hf_secret\nsecret', 'hf_sécret', 'a secret']) {
    const error = await accessToken({ HF_TOKEN: token }).catch((failure) => failure);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', details: { where: 'HF_TOKEN' } });
    expect(error.message).not.toMatch(/s.cret/);
  }
});
