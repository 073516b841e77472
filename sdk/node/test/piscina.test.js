'use strict';
// Worker files as they are written for Piscina have to run as they are.
const test = require('node:test');
const assert = require('node:assert');
const url = require('url');
const { start, frame, GATE } = require('../testing/pool.js');

const RUNS = [
  ['a function', { source: 'module.exports = ({ a, b }) => a + b;' }, { a: 1, b: 2 }, 3],
  ['an asynchronous function', { source: 'module.exports = async ({ a, b }) => { await new Promise((done) => setTimeout(done, 5)); return a + b; };' }, { a: 1, b: 2 }, 3],
  ['a promise of a function', { source: 'module.exports = (async () => { await null; return (x) => x + 1; })();' }, 1, 2],
  ['a promise of an object', { source: 'module.exports = Promise.resolve({ default: (x) => x + 1, named: (x) => x + 2 });' }, 1, 2],
  ['a named export of a promise of an object', { source: 'module.exports = Promise.resolve({ named: (x) => x + 2 });', fn: 'named' }, 1, 3],
  ['a named export that is a promise', { source: 'exports.named = Promise.resolve((x) => x + 3);', fn: 'named' }, 1, 4],
  ['default in an object', { source: 'exports.default = (x) => x * 2;' }, 4, 8],
  ['default of what was compiled from a module', { source: 'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = (x) => x * 2; exports.other = (x) => -x;' }, 4, 8],
  ['a named function', { source: 'function hello() { return "hello"; } function world() { return "world"; } module.exports = hello; module.exports.world = world;', fn: 'world' }, 0, 'world'],
  ['an object of functions', { source: 'module.exports = { hello: () => "hello", world: () => "world" };', fn: 'hello' }, 0, 'hello'],
  ['.cjs', { source: 'module.exports = (x) => x;', name: 'w.cjs' }, 5, 5],
  ['.mjs with a default', { source: 'export default ({ a, b }) => a + b;', name: 'w.mjs' }, { a: 1, b: 2 }, 3],
  ['.mjs with names', { source: 'export const hello = () => "hello"; export async function world() { return "world"; }', name: 'w.mjs', fn: 'world' }, 0, 'world'],
  ['.mjs that waits at its top', { source: 'const n = await Promise.resolve(40); export default (x) => x + n;', name: 'w.mjs' }, 2, 42],
  ['.mjs whose default is a promise of a function', { source: 'export default Promise.resolve((x) => x + 1);', name: 'w.mjs' }, 1, 2],
  ['.mjs whose default is an object', { source: 'export default { go: (x) => x + 1 };', name: 'w.mjs', fn: 'go' }, 1, 2],
  ['.js of a package of modules', { source: 'import path from "node:path"; export default (x) => path.basename(x);', files: { 'package.json': '{ "type": "module" }' } }, '/a/b', 'b'],
  ['.js in a folder of a package of modules', { source: 'export default (x) => x;', name: 'lib/w.js', files: { 'package.json': '{ "type":"module" }' } }, 1, 1],
  ['.cjs in a package of modules', { source: 'module.exports = (x) => x;', name: 'w.cjs', files: { 'package.json': '{ "type": "module" }' } }, 1, 1],
  ['code in a context of its own', { source: 'const vm = require("vm"); module.exports = ({ payload, context }) => { const script = new vm.Script(payload); script.runInNewContext(context); return context; };' }, { payload: 'res = [a + b, "x"]', context: { a: 1, b: 2 } }, { a: 1, b: 2, res: [3, 'x'] }],
  ['eval', { source: 'module.exports = (code) => eval(code);' }, '6 * 7', 42],
  // Piscina calls with one argument: a second parameter with a default is the function's own.
  ['an accumulator with a default', { source: 'const fact = (n, acc = 1) => (n <= 1 ? acc : fact(n - 1, n * acc)); module.exports = fact;' }, 5, 120],
  ['a start with a default', { source: 'module.exports = (list, start = 0) => list.reduce((sum, x) => sum + x, start);' }, [1, 2, 9], 12],
  ['a memory with a default', { source: 'const fib = async (n, memo = new Map()) => memo.get(n) ?? (n < 2 ? n : memo.set(n, await fib(n - 1, memo) + await fib(n - 2, memo)).get(n)); module.exports = fib;' }, 30, 832040],
  ['a default in a module', { source: 'export default function add(x, { by = 1 } = {}) { return x + by; }', name: 'w.mjs' }, 2, 3],
  ['a count of arguments', { source: 'module.exports = function () { return arguments.length; };' }, 0, 1],
  ['a parameter for the rest', { source: 'module.exports = (...all) => all.length;' }, 0, 1],
  ['what is bound', { source: 'module.exports = ((by, x) => x * by).bind(null, 3);' }, 2, 6],
  ['a port that is asked for first', { source: 'const { parentPort } = require("worker_threads"); if (parentPort) parentPort.postMessage(1); module.exports = () => parentPort;' }, 0, null],
];

for (const [what, { source, fn, ...options }, data, expected] of RUNS) {
  test(`runs: ${what}`, async (t) => {
    const w = await start(t, source, options);
    await w.ready();
    const end = await w.call(1, data, fn ? { fn } : null);
    assert.strictEqual(end.type, 'RESULT', JSON.stringify(end.meta));
    assert.deepStrictEqual(end.value, expected);
    // No warnings of Node's about how it is done.
    assert.strictEqual(w.stderr, '');
  });
}

test('a default is the own of the function also when it is called for each item', async (t) => {
  const w = await start(t, 'exports.now = (x, by = 2) => x * by; exports.later = async (x, by = 3) => x * by;');
  await w.ready();
  assert.deepStrictEqual((await w.call(1, [1, 2], { fn: 'now', each: true })).value, [2, 4]);
  assert.deepStrictEqual((await w.call(2, [1, 2], { fn: 'later', each: true })).value, [3, 6]);
});

test('a counter keeps its state, and an error does not lose it', async (t) => {
  const w = await start(t, 'let count = 0; module.exports = (x) => { if (x === "throw") throw new Error("no"); return (count += 1); };');
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).value, 1);
  assert.strictEqual((await w.call(2, 'throw')).type, 'ERROR');
  assert.strictEqual((await w.call(3, 0)).value, 2);
});

test('an error in another context is an error like any', async (t) => {
  const w = await start(t, 'module.exports = (code) => require("vm").runInNewContext(code);');
  await w.ready();
  const { meta } = await w.call(1, 'throw new RangeError("inside")');
  assert.deepStrictEqual([meta.name, meta.message], ['RangeError', 'inside']);
});

const USES = `
const seen = () => [isWorkerThread, workerData, move(5), typeof Piscina.move, Piscina.isWorkerThread, Piscina.workerData, String(transferableSymbol), String(valueSymbol)];`;
const SEEN = [true, { k: 1 }, 5, 'function', true, { k: 1 }, 'Symbol(Piscina.transferable)', 'Symbol(Piscina.valueOf)'];
const NAMES = '{ isWorkerThread, workerData, move, Piscina, transferableSymbol, valueSymbol }';
const PISCINAS = [
  ['require', 'w.js', `const ${NAMES} = require('piscina'); ${USES} module.exports = seen;`],
  ['import of names', 'w.mjs', `import ${NAMES} from 'piscina'; ${USES} export default seen;`],
  ['import of the default', 'w.mjs', `import all from 'piscina'; const ${NAMES} = all; ${USES} export default seen;`],
  ['a later import', 'w.js', `module.exports = import('piscina').then((all) => { const ${NAMES} = all; ${USES} return seen; });`],
  ['require from a module', 'w.mjs', `import { createRequire } from 'module'; const ${NAMES} = createRequire(import.meta.url)('piscina'); ${USES} export default seen;`],
];
for (const [what, name, source] of PISCINAS) {
  test(`piscina is stood in for: ${what}`, async (t) => {
    const w = await start(t, source, { name, env: { EBBTIDE_DATA: '{"k":1}' } });
    await w.ready();
    assert.deepStrictEqual((await w.call(1, 0)).value, SEEN);
  });
}

test('the stand-in is taken although piscina is installed, also from a file that is required', async (t) => {
  const files = { 'node_modules/piscina/index.js': 'throw new Error("the real one");', 'lib.js': 'module.exports = require("piscina");' };
  const w = await start(t, 'const { isWorkerThread } = require("./lib.js"); module.exports = () => isWorkerThread;', { files });
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).value, true);
});

test('a pool inside a worker file is refused in words; what moves by itself moves by copy; a port does not', async (t) => {
  const w = await start(t, `const { Piscina, move } = require('piscina');
    exports.pool = () => new Piscina({});
    exports.move = () => move(Buffer.from('ab'));
    exports.own = () => move({ get [Piscina.transferableSymbol]() { return []; }, get [Piscina.valueSymbol]() { return { v: 1 }; } });
    exports.port = () => move(new (require('worker_threads').MessageChannel)().port1);`);
  await w.ready();
  assert.match((await w.call(1, 0, { fn: 'pool' })).meta.message, /cannot make a Piscina pool/);
  assert.strictEqual((await w.call(2, 0, { fn: 'move' })).text, 'ab');
  assert.deepStrictEqual((await w.call(3, 0, { fn: 'own' })).value, { v: 1 });
  assert.match((await w.call(4, 0, { fn: 'port' })).meta.message, /MessagePort, which cannot cross a process/);
});

test('the API is there for modules', async (t) => {
  const source = "import { isEbbtideWorker, workerData, onSnapshot } from 'ebbtide-worker'; import * as threads from 'node:worker_threads'; onSnapshot(() => 1); export default () => [isEbbtideWorker, workerData, threads.isMainThread, threads.workerData];";
  const w = await start(t, source, { name: 'w.mjs', env: { EBBTIDE_DATA: '2' } });
  await w.ready();
  assert.deepStrictEqual((await w.call(1, 0)).value, [true, 2, false, 2]);
  w.send(frame('SNAPSHOT', 3));
  assert.strictEqual((await w.expect('STATE', 3)).text, '\x001');
});

test('modules that were loaded before are told as well', async (t) => {
  const flags = ['--import', 'data:text/javascript,import "node:worker_threads"'];
  const w = await start(t, "import { isMainThread } from 'node:worker_threads'; export default () => isMainThread;", { name: 'w.mjs', flags });
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).value, false);
});

test('a port that is used in a task is explained', async (t) => {
  const w = await start(t, 'const { parentPort } = require("worker_threads"); module.exports = () => parentPort.postMessage("hi");');
  await w.ready();
  assert.match((await w.call(1, 0)).meta.message, /parentPort is null, because this worker is a process/);
});

test('a null of the user that is no port is not explained as one', async (t) => {
  const w = await start(t, 'module.exports = (x) => x.on("a");');
  await w.ready();
  assert.strictEqual((await w.call(1, null)).meta.message, "Cannot read properties of null (reading 'on')");
});

test('a file may be given as a URL or a relative path, and have blanks in its name', async (t) => {
  const source = 'export default () => import.meta.url;';
  const there = await start(t, source, { name: 'a file é.mjs' });
  const file = there.path('a file é.mjs');
  for (const target of [url.pathToFileURL(file).href, './a file é.mjs']) {
    const w = await start(t, source, { name: 'a file é.mjs', env: { EBBTIDE_TARGET: target } });
    await w.ready();
    assert.match((await w.call(1, 0)).value, /a%20file%20%C3%A9\.mjs$/);
  }
});

test('modules that are missing an export are named at the call', async (t) => {
  const w = await start(t, 'export const here = () => 1; export const also = 5;', { name: 'w.mjs' });
  await w.ready();
  assert.match((await w.call(1, 0)).meta.message, /there is no function "default" in .*w\.mjs\. Its exports are: also, here/);
});

test('threads of the user start as usual, and are threads', async (t) => {
  const source = `const { Worker } = require('worker_threads');
    module.exports = () => new Promise((done, failed) => { const thread = new Worker('const t = require("worker_threads"); t.parentPort.postMessage([t.isMainThread, t.workerData])', { eval: true, workerData: 7 }); thread.on('message', done).on('error', failed); });`;
  for (const via of ['socket', 'fd0']) {
    const w = await start(t, source, { via });
    await w.ready();
    assert.deepStrictEqual((await w.call(1, 0)).value, [false, 7], via);
  }
});
