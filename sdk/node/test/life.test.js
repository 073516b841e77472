'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const { start, frame, task, GATE } = require('../testing/pool.js');

test('HELLO comes before any code of the user runs, with what it has to say', async (t) => {
  const w = await start(t, `${GATE} gate('go'); module.exports = () => 1;`, { env: { EBBTIDE_CONCURRENCY: '4' } });
  const hello = await w.expect('HELLO', 0);
  assert.deepStrictEqual(hello.meta, { proto: 1, pid: w.child.pid, lang: 'node', nonce: 'n-1', credits: 4 });
  w.open('go');
  await w.expect('READY', 0);
});

test('one credit is asked for where nothing else is said', async (t) => {
  const w = await start(t, 'module.exports = () => 1;');
  assert.strictEqual((await w.expect('HELLO')).meta.credits, 1);
});

test('a worker whose export is a promise is not ready before', async (t) => {
  const w = await start(t, `${GATE} module.exports = later('go').then(() => async (x) => x + 1);`);
  await w.expect('HELLO');
  w.send(frame('PING', 9));
  await w.expect('PONG', 9);
  w.open('go');
  await w.expect('READY');
  assert.strictEqual((await w.call(1, 1)).value, 2);
});

const FAILURES = [
  ['a syntax error, with its line', { source: 'const a = 1;\nlet b = ;\n' }, /worker\.js, line 2 could not be loaded: SyntaxError: .*\. Correct the syntax/],
  ['a syntax error in a module, with its line', { source: 'export const a = 1;\nlet b = ;\n', name: 'w.mjs' }, /w\.mjs, line 2 could not be loaded: SyntaxError: /],
  ['a missing file', { source: null }, /there is no file .*worker\.js\. Relative paths start at/],
  ['a missing package', { source: '\nrequire("surely-not-there");' }, /worker\.js, line 2 could not be loaded: Error: Cannot find module 'surely-not-there'\. .*npm install surely-not-there/],
  ['a missing package of a module', { source: 'import "surely-not-there";', name: 'w.mjs' }, /w\.mjs.* could not be loaded: .*Cannot find package 'surely-not-there'.*npm install surely-not-there/],
  ['a missing neighbour', { source: 'require("./nobody");' }, /Cannot find module '\.\/nobody'\. Correct that path/],
  ['code that throws, with its line', { source: '\n\nthrow new RangeError("too far");' }, /worker\.js, line 3 could not be loaded: RangeError: too far/],
  ['code of another file that throws', { source: 'require("./other");', files: { 'other.js': '\nnull.x' } }, /other\.js, line 2\) could not be loaded: TypeError/],
  ['a promise that is rejected', { source: 'module.exports = Promise.reject(new Error("no database"));' }, /could not be loaded: Error: no database/],
  ['an error that nobody catches while it loads', { source: '\nsetTimeout(() => { throw new Error("late"); }, 5); module.exports = new Promise(() => {});' }, /worker\.js, line 2 could not be loaded: Error: late/],
  ['a promise of nobody that is rejected', { source: '\nPromise.reject(new Error("no cache")); module.exports = (x) => x;' }, /worker\.js, line 2 could not be loaded: Error: no cache/],
  ['TypeScript', { source: 'export default (x: number): number => x;', name: 'w.ts' }, /w\.ts could not be loaded: SyntaxError: .*compile it, and name the \.js file/],
  ['a module in a file that is none', { source: 'import fs from "fs";' , name: 'w.cjs' }, /w\.cjs, line 1 .*Name the file \.mjs/],
  ['a port', { source: 'const { parentPort } = require("worker_threads");\nparentPort.on("message", () => {});' }, /parentPort is null.*MessagePort cannot cross/],
  ['worker data that is no JSON', { source: '', env: { EBBTIDE_DATA: '{' } }, /EBBTIDE_DATA is not JSON/],
  ['no target', { source: '', env: { EBBTIDE_TARGET: '' } }, /EBBTIDE_TARGET does not say/],
  ['a concurrency that is no number', { source: '', env: { EBBTIDE_CONCURRENCY: 'many' } }, /EBBTIDE_CONCURRENCY is "many"/],
  ['another protocol', { source: '', env: { EBBTIDE_PROTO: '2' } }, /version 2/],
];

for (const [what, { source, ...options }, message] of FAILURES) {
  test(`loading fails by ${what}: ERROR 0 and exit code 1`, async (t) => {
    const w = await start(t, source, options);
    await w.expect('HELLO');
    const error = await w.expect('ERROR', 0);
    assert.match(error.meta.message, message);
    assert.deepStrictEqual(await w.exit(), { code: 1, signal: null });
    assert.doesNotMatch(w.stderr, /ebbtide worker:/, 'the frame has said it');
  });
}

test('end of file ends the worker, although a task runs and timers are open', async (t) => {
  const w = await start(t, 'setInterval(() => {}, 1000); module.exports = () => new Promise(() => {});');
  await w.ready();
  w.send(task(1, 0));
  await w.expect('START', 1);
  w.socket.end();
  assert.strictEqual((await w.exit()).code, 0);
});

test('STOP finishes what it has, and ends with 0 although timers are open', async (t) => {
  const w = await start(t, `${GATE} setInterval(() => {}, 1000); module.exports = async (x) => { await later('go'); return x; };`);
  await w.ready();
  w.send(task(1, 'a'), task(2, 'b'), frame('STOP'));
  await w.expect('START', 1);
  w.open('go');
  await w.expect('RESULT', 1);
  await w.expect('START', 2);
  await w.expect('RESULT', 2);
  assert.deepStrictEqual(await w.exit(), { code: 0, signal: null });
});

test('STOP while it loads ends it at once', async (t) => {
  const w = await start(t, 'setInterval(() => {}, 1000); module.exports = new Promise(() => {});');
  await w.expect('HELLO');
  w.send(frame('STOP'));
  assert.deepStrictEqual(await w.exit(), { code: 0, signal: null });
});

test('a flood on stdout is written to its end before the exit, and keeps off the socket', async (t) => {
  const w = await start(t, 'module.exports = (n) => { for (let i = 0; i < n; i += 1) console.log("x".repeat(99)); process.stderr.write("done"); };');
  await w.ready();
  w.send(task(1, 50_000), frame('STOP'));
  await w.expect('START', 1);
  assert.strictEqual((await w.expect('RESULT', 1)).text, 'null');
  assert.strictEqual((await w.exit()).code, 0);
  assert.strictEqual(w.stdout.length, 5_000_000);
  assert.strictEqual(w.stderr, 'done');
});

test('exit(1) in a task: what ended before is told, what began has no end', async (t) => {
  const w = await start(t, 'module.exports = (x) => (x === 2 ? process.exit(1) : x);');
  await w.ready();
  w.send(task(1, 1), task(2, 2), task(3, 3));
  await w.expect('START', 1);
  await w.expect('RESULT', 1);
  await w.expect('START', 2);
  await assert.rejects(w.next(), /closed its socket/);
  assert.strictEqual((await w.exit()).code, 1);
});

const STRAY = [
  ['thrown', 'setImmediate(() => { throw new Error("late"); })', /outside of a call: Error: late/],
  ['rejected', 'Promise.reject(new Error("late"))', /nobody waited for it: Error: late/],
];
for (const [what, code, message] of STRAY) {
  test(`an error that is ${what} after the task has returned: a line for the log, and exit code 1`, async (t) => {
    const w = await start(t, `module.exports = (x) => { ${code}; return x; };`);
    await w.ready();
    assert.strictEqual((await w.call(1, 5)).value, 5);
    const line = await w.expect('LOG', 0);
    assert.strictEqual(line.meta.level, 'error');
    assert.match(line.text, message);
    assert.strictEqual((await w.exit()).code, 1);
    assert.match(w.stderr, message);
  });
}

test('user code that handles stray errors itself keeps its worker', async (t) => {
  const w = await start(t, 'process.on("uncaughtException", () => {}); module.exports = (x) => { setImmediate(() => { throw new Error("late"); }); return x; };');
  await w.ready();
  await w.call(1, 5);
  await new Promise((done) => setTimeout(done, 50));
  assert.strictEqual((await w.call(2, 6)).value, 6);
});

const COUNTER = `
  let count = 0;
  module.exports = { add: (n) => (count += n), snapshot: async () => ({ count }), restore: (state) => { count = state.count; } };`;

test('a snapshot is taken between two tasks, and a successor starts from it', async (t) => {
  const old = await start(t, COUNTER);
  await old.ready();
  old.send(task(1, 5, { fn: 'add' }), frame('SNAPSHOT', 77), task(2, 1, { fn: 'add' }));
  const seen = [];
  for (let i = 0; i < 5; i += 1) seen.push(await old.next());
  const state = seen.find((each) => each.type === 'STATE');
  assert.deepStrictEqual([state.id, state.flags], [77, 0]);
  // Not in the middle of a task.
  assert.match(seen.map((each) => each.type).join(' '), /^(START RESULT )*STATE( START RESULT)*$/);
  const count = JSON.parse(state.body.subarray(1)).count;

  const young = await start(t, COUNTER, { env: { EBBTIDE_RESTORE: '1' } });
  await young.expect('HELLO');
  young.send(frame('SNAPSHOT', 0, null, state.body, 1));
  await young.expect('READY');
  assert.strictEqual((await young.call(1, 10, { fn: 'add' })).value, count + 10);
});

test('a snapshot waits for the tasks that run, although others could start', async (t) => {
  const w = await start(t, `${GATE} let n = 0; exports.default = async (name) => { n += 1; await later(name); n -= 1; }; exports.snapshot = () => n;`, { env: { EBBTIDE_CONCURRENCY: '2' } });
  await w.ready();
  w.send(task(1, 'a'), task(2, 'b'));
  await w.expect('START', 1);
  await w.expect('START', 2);
  w.send(frame('SNAPSHOT', 1), task(3, 'a'));
  w.open('a');
  await w.expect('RESULT', 1);
  w.open('b');
  await w.expect('RESULT', 2);
  assert.strictEqual((await w.expect('STATE', 1)).text, '\x000');
  await w.expect('START', 3);
});

test('bytes are a state too, registered by require', async (t) => {
  const source = 'const { onSnapshot, onRestore } = require("ebbtide-worker"); let s = Buffer.from([9, 0, 255]); onSnapshot(() => s); onRestore((b) => { s = Buffer.concat([b, b]); }); module.exports = () => s;';
  const old = await start(t, source);
  await old.ready();
  old.send(frame('SNAPSHOT', 1));
  const state = await old.expect('STATE', 1);
  const young = await start(t, source, { env: { EBBTIDE_RESTORE: '1' } });
  young.send(frame('SNAPSHOT', 0, null, state.body, 1));
  await young.ready();
  assert.deepStrictEqual([...(await young.call(1, 0)).body], [9, 0, 255, 9, 0, 255]);
});

test('who has no snapshot says so; one that fails is none, with a line for the log', async (t) => {
  const none = await start(t, 'module.exports = () => 1;');
  await none.ready();
  none.send(frame('SNAPSHOT', 5));
  assert.strictEqual((await none.expect('STATE', 5)).flags, 1);
  const failing = await start(t, 'exports.snapshot = () => { throw new Error("too much"); };');
  await failing.ready();
  failing.send(frame('SNAPSHOT', 5));
  assert.match((await failing.expect('LOG', 0)).text, /too much/);
  const state = await failing.expect('STATE', 5);
  assert.deepStrictEqual([state.flags, state.body.length], [1, 0]);
});

test('a restore that fails is a failed start', async (t) => {
  const w = await start(t, 'exports.restore = () => { throw new Error("old format"); };', { env: { EBBTIDE_RESTORE: '1' } });
  await w.expect('HELLO');
  w.send(frame('SNAPSHOT', 0, null, Buffer.from('\0{}'), 1));
  assert.match((await w.expect('ERROR', 0)).meta.message, /could not be restored: old format/);
  assert.strictEqual((await w.exit()).code, 1);
});

test('environment, arguments and worker data arrive', async (t) => {
  const source = 'const t = require("node:worker_threads"); module.exports = () => [process.env.COLOUR, process.argv.slice(2), process.argv[1], require("ebbtide-worker").workerData, require("ebbtide-worker").isEbbtideWorker, t.workerData, t.isMainThread, t.threadId, t.parentPort];';
  const w = await start(t, source, { args: ['--a', 'b'], env: { COLOUR: 'blue', EBBTIDE_DATA: '{"k":[1]}' } });
  await w.ready();
  assert.deepStrictEqual((await w.call(1, 0)).value, ['blue', ['--a', 'b'], path.join(w.folder, 'worker.js'), { k: [1] }, true, { k: [1] }, false, 3, null]);
});

test('the module serves nobody where it is only required', async (t) => {
  const { execFileSync } = require('child_process');
  const { SDK } = require('../testing/pool.js');
  const text = execFileSync(process.execPath, ['-e', `const w = require(${JSON.stringify(SDK)}); console.log(w.isEbbtideWorker, w.workerData, Object.keys(w).join())`], { input: '' });
  assert.strictEqual(String(text), 'false undefined isEbbtideWorker,workerData,onSnapshot,onRestore,currentTask,log\n');
});

test('a socket that is not there is named', async () => {
  const { spawnSync } = require('child_process');
  const { SDK } = require('../testing/pool.js');
  const nowhere = spawnSync(process.execPath, [SDK], { env: { EBBTIDE_SOCKET: '/nowhere/at/all' } });
  assert.strictEqual(nowhere.status, 70);
  assert.match(String(nowhere.stderr), /cannot connect to \/nowhere\/at\/all: .*ENOENT/);
  const closed = spawnSync(process.execPath, [SDK], { env: { EBBTIDE_FD: '77' } });
  assert.strictEqual(closed.status, 70);
  assert.match(String(closed.stderr), /descriptor 77 is not the pool's socket \(it is not open\)/);
});

test('started by hand it says what it is', async () => {
  const { spawnSync } = require('child_process');
  const { SDK } = require('../testing/pool.js');
  const file = fs.openSync(__filename, 'r');
  const { status, stderr } = spawnSync(process.execPath, [SDK], { stdio: [file, 'pipe', 'pipe'] });
  fs.closeSync(file);
  assert.strictEqual(status, 70);
  assert.match(String(stderr), /started by a pool/);
});

test('outside of a pool it can be required and imported by name', () => {
  const uses = 'if (isEbbtideWorker || workerData !== undefined || currentTask() !== undefined) throw new Error("a pool?"); onSnapshot(() => 1); onRestore(() => 1); log("info", "said");';
  const names = '{ isEbbtideWorker, workerData, onSnapshot, onRestore, currentTask, log }';
  const file = path.join(__dirname, '..', 'worker.js');
  for (const source of [`const ${names} = require(${JSON.stringify(file)}); ${uses}`, `import ${names} from ${JSON.stringify(pathToFileURL(file).href)}; ${uses}`]) {
    const type = source.startsWith('import') ? 'module' : 'commonjs';
    const { status, stderr } = spawnSync(process.execPath, [`--input-type=${type}`, '-e', source], { encoding: 'utf8' });
    assert.deepStrictEqual([status, stderr], [0, 'ebbtide worker: info: said\n']);
  }
});
