'use strict';
// The way a pool does it: the socket is descriptor 0, the source comes over it.
const test = require('node:test');
const assert = require('node:assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { execFileSync } = require('child_process');
const { start, frame, task, BOOTSTRAP } = require('../testing/pool.js');

const via = 'fd0';

test('the bootstrap is small', () => {
  assert.ok(fs.statSync(BOOTSTRAP).size < 600);
});

test('a worker that is booted serves, with flags and arguments, and ends at STOP', async (t) => {
  const w = await start(t, 'module.exports = (x) => [x, typeof gc, process.argv.slice(1)];', { via, flags: ['--expose-gc'], args: ['--', 'a', '-b'] });
  const hello = await w.expect('HELLO');
  assert.strictEqual(hello.meta.nonce, 'n-1');
  await w.expect('READY');
  assert.deepStrictEqual((await w.call(1, 5)).value, [5, 'function', [w.path('worker.js'), 'a', '-b']]);
  w.send(frame('STOP'));
  assert.strictEqual((await w.exit()).code, 0);
});

test('a module is served as well, and what it asks for is this worker', async (t) => {
  const w = await start(t, "import { workerData } from 'piscina'; import { isEbbtideWorker } from 'ebbtide-worker'; export default () => [workerData, isEbbtideWorker];", { via, name: 'w.mjs', env: { EBBTIDE_DATA: '1' } });
  await w.ready();
  assert.deepStrictEqual((await w.call(1, 0)).value, [1, true]);
});

test('errors of loading name the file, not the bootstrap', async (t) => {
  const w = await start(t, '\nrequire("surely-not-there");', { via });
  await w.expect('HELLO');
  assert.match((await w.expect('ERROR', 0)).meta.message, /worker\.js, line 2 could not be loaded: Error: Cannot find module/);
  assert.strictEqual((await w.exit()).code, 1);
});

test('end of file ends it', async (t) => {
  const w = await start(t, 'module.exports = () => new Promise(() => {});', { via });
  await w.ready();
  w.socket.end();
  assert.strictEqual((await w.exit()).code, 0);
});

const READERS = `
const fs = require('fs');
const util = require('util');
exports.stream = async () => { let text = ''; for await (const part of process.stdin) text += part; return text; };
exports.file = () => String(fs.readFileSync(0));
exports.read = () => fs.readSync(0, Buffer.alloc(10));
exports.later = async () => (await util.promisify(fs.read)(0, Buffer.alloc(10), 0, 10, null)).bytesRead;
exports.created = async () => { let text = ''; for await (const part of fs.createReadStream(null, { fd: 0 })) text += part; return text; };
exports.write = () => fs.writeSync(0, 'garbage');
exports.close = () => { fs.closeSync(0); };
const { spawn, spawnSync, execSync, fork } = require('child_process');
exports.child = () => new Promise((done) => { const child = spawn('cat', { stdio: ['inherit', 'pipe', 'inherit'] }); let text = ''; child.stdout.on('data', (part) => { text += part; }); child.on('close', () => done(text)); });
exports.sync = () => String(spawnSync('cat', { stdio: [0, 'pipe', 'inherit'] }).stdout);
exports.shell = () => String(execSync('cat', { stdio: ['inherit', 'pipe', 'inherit'] }));
exports.all = () => spawnSync('cat', { stdio: 'inherit' }).status;
exports.forked = () => new Promise((done) => { const child = fork(__dirname + '/child.js'); child.on('message', done); });
`;
const CHILD = 'let text = ""; process.stdin.on("data", (part) => { text += part; }).on("end", () => { process.send(text); process.disconnect(); });';

test('nobody eats frames: 0 is the null device to user code and its children', async (t) => {
  const w = await start(t, READERS, { via, files: { 'child.js': CHILD } });
  await w.ready();
  const expected = { stream: '', file: '', read: 0, later: 0, created: '', write: 7, close: null, child: '', sync: '', shell: '', all: 0, forked: '' };
  for (const [fn, value] of Object.entries(expected)) {
    // The second frame is there while the first task reads.
    w.send(task(1, 0, { fn }), frame('PING', 2));
    const seen = [await w.next(), await w.next(), await w.next()];
    const end = seen.find((each) => each.type === 'RESULT');
    assert.ok(end, `${fn}: ${JSON.stringify(seen.map((each) => [each.type, each.meta]))}`);
    assert.deepStrictEqual(end.value, value, fn);
    assert.ok(seen.some((each) => each.type === 'PONG'), fn);
  }
});

test('a grandchild that lives on does not hold the socket', async (t) => {
  const w = await start(t, 'module.exports = () => { require("child_process").spawn("sleep", ["12"], { stdio: ["inherit", "ignore", "ignore"], detached: true }).unref(); process.exit(2); };', { via });
  await w.ready();
  w.send(task(1, 0));
  await w.expect('START', 1);
  // The helper ends with 99 where the socket is open after the worker is gone.
  assert.strictEqual((await w.exit()).code, 2);
});

test('1 MiB both ways over descriptor 0', async (t) => {
  const w = await start(t, 'module.exports = (x) => x;', { via });
  await w.ready();
  const body = Buffer.alloc(1024 * 1024, 7);
  w.send(...[1, 2, 3, 4].map((id) => frame('TASK', id, { content_type: 'x/y' }, body)));
  for (const id of [1, 2, 3, 4]) {
    await w.expect('START', id);
    assert.ok((await w.expect('RESULT', id)).body.equals(body));
  }
});

test('the socket may be another descriptor, which no child inherits', async (t) => {
  const source = 'module.exports = () => String(require("child_process").spawnSync("ls", ["-l", "/proc/self/fd"], { stdio: ["inherit", "pipe", "inherit"] }).stdout);';
  const w = await start(t, source, { via, env: { EBBTIDE_FD: 'ANY' } });
  await w.ready();
  const { value } = await w.call(1, 0);
  assert.match(value, /1 -> /);
  assert.doesNotMatch(value.replace(/ [12] -> socket/g, ''), /socket/);
});

test('a source that is cut off ends the process', () => {
  const { spawnSync } = require('child_process');
  const { status } = spawnSync(process.execPath, ['-e', fs.readFileSync(BOOTSTRAP, 'utf8')], { input: Buffer.from([9, 0, 0, 0, 65]), timeout: 20_000 });
  assert.strictEqual(status, 0);
});

test('it can be installed from its folder, and is then the same file', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ebbtide-install-'));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.writeFileSync(path.join(folder, 'package.json'), '{}');
  const npm = (...args) => execFileSync('npm', [...args, '--offline', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  npm('install', '--install-links', path.join(__dirname, '..'));
  const installed = fs.readdirSync(path.join(folder, 'node_modules', 'ebbtide-worker')).sort();
  assert.deepStrictEqual(installed, ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'bootstrap.js', 'package.json', 'worker.d.ts', 'worker.js']);
  const w = await start(t, 'module.exports = () => require("ebbtide-worker").isEbbtideWorker;', { sdk: path.join(folder, 'node_modules', 'ebbtide-worker', 'worker.js') });
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).value, true);
});
