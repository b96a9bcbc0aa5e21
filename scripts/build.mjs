// `npm run build`: packages, addon and dist, each only if it is out of date.
import { main, say } from './process.mjs';
import { ensureBuilt, ensureInstalled } from './setup.mjs';

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  say('build is up to date');
});
