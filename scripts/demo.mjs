// `npm run demo [-- "a query"]`: from a fresh clone to a semantic search; every later run only searches.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ensureDemoModel } from './demo-model.mjs';
import { main, root, say } from './process.mjs';
import { ensureBuilt, ensureInstalled } from './setup.mjs';

await main(async () => {
  await ensureInstalled();
  await ensureBuilt();
  const model = await ensureDemoModel({ log: say });
  const example = join(root, 'examples', 'semantic-search.mjs');
  const child = spawn(
    process.execPath,
    [example, '--model', model, '--', ...process.argv.slice(2)],
    {
      cwd: root,
      stdio: 'inherit',
    },
  );
  const [code] = await once(child, 'close');
  return code ?? 1;
});
