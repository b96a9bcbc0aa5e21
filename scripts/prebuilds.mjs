// `npm run prebuilds`: the binary that the package carries for this platform.
import { main } from './process.mjs';
import { ensureInstalled, ensurePrebuilds } from './setup.mjs';

await main(async () => {
  await ensureInstalled();
  await ensurePrebuilds();
});
