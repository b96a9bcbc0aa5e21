// `npm run tarball`: the package as it would be published, in build/pack.
import { makePackage } from './pack.mjs';
import { main } from './process.mjs';

await main(async () => console.log(await makePackage()));
