// Bodies of the processes and worker threads that process.test.ts starts: node child.cjs <scenario>.
const { isMainThread, parentPort, Worker, workerData } = require('node:worker_threads');
const { addonPath, makeBatch, makeModel, makeSlowWork } = require('./model.cjs');

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function loadSlow(addon = require(addonPath())) {
  const work = makeSlowWork();
  const model = await addon.load(work.plan, work.weights).done;
  return { run: () => model.run(work.batch, Int32Array.of(work.last)), model };
}

async function runSmall(addon = require(addonPath())) {
  const { plan, weights, last } = makeModel();
  const model = await addon.load(plan, weights).done;
  const [pooled] = await model.run(makeBatch([3, 5]), Int32Array.of(last)).done;
  return { model, pooled };
}

const startWorker = (scenario) => new Worker(__filename, { workerData: scenario });
const ended = (worker) => new Promise((resolve) => worker.once('exit', resolve));
const ready = (worker) => new Promise((resolve) => worker.once('message', resolve));

const workerBodies = {
  /** Loads, runs, disposes and ends by itself. */
  async whole() {
    const { model, pooled } = await runSmall();
    model.dispose();
    parentPort.postMessage(Array.from(pooled));
  },
  /** Ends while its model is loaded and nothing runs. */
  async keep() {
    const { pooled } = await runSmall();
    parentPort.postMessage(Array.from(pooled));
  },
  /** Tells when forwards are in flight and goes on until it is terminated. */
  async busy() {
    const { run } = await loadSlow();
    const jobs = Array.from({ length: 4 }, () => run().done);
    await turn();
    parentPort.postMessage('busy');
    await Promise.all(jobs);
    parentPort.postMessage('done');
    setInterval(() => {}, 1000);
  },
  /** Starts a load and is terminated in the middle. */
  async loading() {
    const work = makeSlowWork();
    const addon = require(addonPath());
    parentPort.postMessage('loading');
    for (;;) (await addon.load(work.plan, work.weights).done).dispose();
  },
  /** process.exit() inside a worker, with forwards in flight. */
  async exit() {
    const { run } = await loadSlow();
    run();
    run();
    await turn();
    process.exit(3);
  },
};

const scenarios = {
  /** Exit code 7 comes from process.exit in the middle of forwards, queued ones included. */
  async 'exit mid-batch'() {
    const { run } = await loadSlow();
    for (let i = 0; i < 8; i++) run();
    for (let i = 0; i < 5; i++) await turn();
    process.exit(7);
  },
  /** The event loop stays alive for a job, and no longer. */
  async 'ends by itself'() {
    const { run } = await loadSlow();
    run().done.then(([pooled]) => console.log(pooled.length));
  },
  /** An exception that nobody catches, with forwards in flight. */
  async 'throws mid-batch'() {
    const { run } = await loadSlow();
    run();
    await turn();
    setImmediate(() => {
      throw new Error('on purpose');
    });
  },
  async 'workers one after another'() {
    const { pooled } = await runSmall();
    for (let i = 0; i < 6; i++) {
      const worker = startWorker(i % 2 === 0 ? 'whole' : 'keep');
      const end = ended(worker);
      const vector = await ready(worker);
      if ((await end) !== 0) throw new Error('worker failed');
      if (vector.join() !== Array.from(pooled).join()) throw new Error('another result');
    }
    console.log('ok');
  },
  async 'workers at once'() {
    const workers = ['whole', 'keep', 'whole', 'keep'].map(startWorker);
    const ends = Promise.all(workers.map(ended));
    const vectors = await Promise.all(workers.map(ready));
    if (new Set(vectors.map(String)).size !== 1) throw new Error('results differ');
    if ((await ends).some((code) => code !== 0)) throw new Error('worker failed');
    console.log('ok');
  },
  async 'terminate mid-batch'() {
    const { run } = await loadSlow();
    const [expected] = await run().done;
    for (let i = 0; i < 6; i++) {
      const worker = startWorker('busy');
      await ready(worker);
      const own = run().done;
      await worker.terminate();
      const [vector] = await own;
      if (vector.join() !== expected.join()) throw new Error('another result');
    }
    console.log('ok');
  },
  async 'terminate mid-load'() {
    for (let i = 0; i < 6; i++) {
      const worker = startWorker('loading');
      await ready(worker);
      for (let turns = 0; turns < i * 5; turns++) await turn();
      await worker.terminate();
    }
    console.log('ok');
  },
  async 'exit in a worker'() {
    const code = await ended(startWorker('exit'));
    const { pooled } = await runSmall();
    console.log(code, pooled.length);
  },
  /** The same binary twice, from another path: two addons with a pool each. */
  async 'two copies'() {
    const { copyFileSync, mkdtempSync } = require('node:fs');
    const { tmpdir } = require('node:os');
    const { join } = require('node:path');
    const copy = join(mkdtempSync(join(tmpdir(), 'multihead-')), 'copy.node');
    copyFileSync(addonPath(), copy);
    const addons = [require(addonPath()), require(copy)];
    if (addons[0] === addons[1]) throw new Error('one addon');
    const [a, b] = await Promise.all(addons.map((addon) => runSmall(addon)));
    if (a.pooled.join() !== b.pooled.join()) throw new Error('results differ');
    if (a.model.constructor === b.model.constructor) throw new Error('one class');
    try {
      Reflect.apply(a.model.run, b.model, [makeBatch([1]), Int32Array.of(0)]);
      throw new Error('a model of the other copy was accepted');
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    a.model.dispose();
    if ((await runSmall(addons[1])).pooled.join() !== b.pooled.join()) throw new Error('changed');
    console.log('ok');
  },
};

if (isMainThread) scenarios[process.argv[2]]();
else workerBodies[workerData]();
