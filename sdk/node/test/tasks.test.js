'use strict';
const test = require('node:test');
const assert = require('node:assert');
const { start, frame, task, GATE } = require('../testing/pool.js');

const ids = (...list) => {
  const bytes = Buffer.alloc(list.length * 8);
  list.forEach((id, index) => bytes.writeBigUInt64LE(BigInt(id), index * 8));
  return bytes;
};
const idsOf = (body) => Array.from({ length: body.length / 8 }, (_, index) => Number(body.readBigUInt64LE(index * 8)));

test('START is out before the code of the task runs, and the end before the code of the next', async (t) => {
  const w = await start(t, `${GATE} module.exports = (name) => gate(name);`);
  await w.ready();
  w.send(task(1, 'a'), task(2, 'b'));
  await w.expect('START', 1);
  w.open('a');
  await w.expect('RESULT', 1);
  await w.expect('START', 2);
  w.open('b');
  await w.expect('RESULT', 2);
});

test('the end of an asynchronous task is not held back while a synchronous one runs', async (t) => {
  const w = await start(t, `${GATE} exports.slow = (name) => gate(name); exports.soft = async () => { await null; return 7; };`);
  await w.ready();
  w.send(task(1, 0, { fn: 'soft' }), task(2, 'go', { fn: 'slow' }));
  await w.expect('START', 1);
  assert.strictEqual((await w.expect('RESULT', 1)).value, 7);
  await w.expect('START', 2);
  w.open('go');
  await w.expect('RESULT', 2);
});

test('tasks run in the order in which they come, thousands of them, each with one end', async (t) => {
  const w = await start(t, 'const seen = []; module.exports = (x) => { seen.push(x); return seen.length; };');
  await w.ready();
  const count = 10_000;
  w.send(...Array.from({ length: count }, (_, id) => task(id, id)));
  for (let id = 0; id < count; id += 1) {
    await w.expect('START', id);
    assert.strictEqual((await w.expect('RESULT', id)).value, id + 1);
  }
});

test('a BATCH is many tasks with one meta, and a result for each', async (t) => {
  const w = await start(t, 'exports.twice = (x, task) => [x * 2, task.attempt];');
  await w.ready();
  const items = [[5, '1'], [6, '22'], [7, '333']].map(([id, text]) => {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(text.length, 0);
    head.writeBigUInt64LE(BigInt(id), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  });
  w.send(frame('BATCH', 0, { fn: 'twice', attempt: 2 }, Buffer.concat(items)));
  for (const [id, value] of [[5, 2], [6, 44], [7, 666]]) {
    await w.expect('START', id);
    assert.deepStrictEqual((await w.expect('RESULT', id)).value, [value, 2]);
  }
});

test('an asynchronous worker starts as many as it said, and keeps the rest unstarted', async (t) => {
  const w = await start(t, `${GATE} module.exports = (name) => later(name);`, { env: { EBBTIDE_CONCURRENCY: '2' } });
  await w.ready();
  w.send(task(1, 'a'), task(2, 'b'), task(3, 'c'), frame('RECALL', 50, null, ids(9, 3)));
  const first = [await w.next(), await w.next(), await w.next()];
  assert.deepStrictEqual(first.map((each) => each.type).sort(), ['RETURNED', 'START', 'START']);
  assert.deepStrictEqual(idsOf(first.find((each) => each.type === 'RETURNED').body), [3]);
  w.send(task(4, 'a'), frame('PING', 1));
  await w.expect('PONG', 1);
  w.open('a');
  await w.expect('RESULT', 1);
  await w.expect('START', 4);
});

test('while a task awaits, PING, CANCEL and RECALL are answered at once', async (t) => {
  const w = await start(t, `${GATE} module.exports = (name) => later(name);`);
  await w.ready();
  w.send(task(1, 'go'));
  await w.expect('START', 1);
  w.send(task(2, 'x'), task(3, 'x'), task(4, 'x'), frame('PING', 11));
  await w.expect('PONG', 11);
  w.send(frame('CANCEL', 3, { reason: 'not needed' }));
  const cancelled = await w.expect('ERROR', 3);
  assert.deepStrictEqual([cancelled.meta.cancelled, cancelled.meta.message], [true, 'not needed']);
  w.send(frame('RECALL', 12));
  const returned = await w.expect('RETURNED', 12);
  assert.deepStrictEqual(idsOf(returned.body), [2, 4]);
  w.send(frame('RECALL', 13));
  assert.strictEqual((await w.expect('RETURNED', 13)).body.length, 0);
  w.open('go');
  await w.expect('RESULT', 1);
});

test('frames that came while a task ran count before the next START', async (t) => {
  const w = await start(t, `${GATE} module.exports = (name) => gate(name);`);
  await w.ready();
  w.open('warm');
  // A worker that is cold gives the loop turns of its own accord.
  for (let id = 0; id < 300; id += 1) await w.call(id, 'warm');
  w.send(task(1, 'go'), task(2, 'go'), task(3, 'go'));
  await w.expect('START', 1);
  // The bytes are in the worker's socket before the gate opens.
  await new Promise((done) => w.socket.write(Buffer.concat([frame('CANCEL', 2), frame('RECALL', 9)]), done));
  w.open('go');
  const seen = [await w.next(), await w.next(), await w.next()].map((each) => `${each.type} ${each.id}`);
  assert.deepStrictEqual(seen, ['RESULT 1', 'ERROR 2', 'RETURNED 9']);
  w.send(frame('PING', 1));
  await w.expect('PONG', 1);
});

test('a CANCEL that lies in the socket behind more than one read takes counts as well', async (t) => {
  const w = await start(t, `${GATE} module.exports = (name) => gate(name.trim());`);
  await w.ready();
  const wide = task(2, 'go'.padEnd(63 * 1024));
  const head = 62 * 1024;
  // The worker keeps the incomplete frame, which leaves less room for the next read than the kernel then holds.
  w.send(task(1, 'go'), wide.subarray(0, head));
  await w.expect('START', 1);
  const filler = [3, 4, 5].map((id) => task(id, 'go'.padEnd(65 * 1024)));
  await new Promise((done) => w.socket.write(Buffer.concat([wide.subarray(head), ...filler, frame('CANCEL', 2)]), done));
  w.open('go');
  await w.expect('RESULT', 1);
  assert.strictEqual((await w.expect('ERROR', 2)).meta.cancelled, true);
  await w.expect('START', 3);
});

const ABORTABLE = `
module.exports = (how, task) => new Promise((resolve, reject) => {
  task.signal.addEventListener('abort', () => {
    const { reason } = task.signal;
    if (how === 'reason') reject(reason);
    if (how === 'abort') reject(Object.assign(new Error('stopped'), { name: 'AbortError' }));
    if (how === 'cause') reject(new Error('wrapped', { cause: reason }));
    if (how === 'other') reject(new Error('something else'));
    if (how === 'value') resolve([reason.name, reason.message, task.isCancelled, task.signal.aborted]);
  });
});`;

test('a running task sees the cancel and its reason; ending because of it is cancelled, anything else is not', async (t) => {
  const w = await start(t, ABORTABLE);
  await w.ready();
  let id = 0;
  for (const [how, cancelled] of [['reason', true], ['abort', true], ['cause', true], ['other', undefined]]) {
    id += 1;
    w.send(task(id, how));
    await w.expect('START', id);
    w.send(frame('CANCEL', id, { reason: 'shutting down' }));
    const error = await w.expect('ERROR', id);
    assert.strictEqual(error.meta.cancelled, cancelled, how);
    if (how === 'reason') assert.deepStrictEqual([error.meta.name, error.meta.message], ['AbortError', 'shutting down']);
  }
  w.send(task(9, 'value'));
  await w.expect('START', 9);
  w.send(frame('CANCEL', 9, { reason: 'shutting down' }), frame('CANCEL', 9, { reason: 'again' }), frame('CANCEL', 1234));
  assert.deepStrictEqual((await w.expect('RESULT', 9)).value, ['AbortError', 'shutting down', true, true]);
});

test('an AbortError without a cancel is an error like any', async (t) => {
  const w = await start(t, 'module.exports = async () => { throw Object.assign(new Error("own"), { name: "AbortError" }); };');
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).meta.cancelled, undefined);
});

test('a signal that is first asked for after the cancel is aborted', async (t) => {
  const w = await start(t, `${GATE} module.exports = async (name, task) => { await later(name); return [task.isCancelled, task.signal.reason.message]; };`);
  await w.ready();
  w.send(task(1, 'go'));
  await w.expect('START', 1);
  w.send(frame('CANCEL', 1, { reason: 'why' }), frame('PING', 1));
  await w.expect('PONG', 1);
  w.open('go');
  assert.deepStrictEqual((await w.expect('RESULT', 1)).value, [true, 'why']);
});

test('a task knows its id, attempt, key, type and deadline, and can tell progress and lines for the log', async (t) => {
  const w = await start(t, `module.exports = (x, task) => {
    task.progress('halfway'); task.log('warn', 'odd'); require('ebbtide-worker').log('info', 'from afar');
    return [String(task.id), task.attempt, task.key, task.contentType, task.deadlineMs > 0 && task.deadlineMs <= 5000, task.isCancelled, task.signal.aborted];
  };`);
  await w.ready();
  const id = 0xffff_ffff_ffff_fffen;
  w.send(task(id, 0, { attempt: 3, key: 'k', deadline_ms: 5000 }));
  assert.strictEqual((await w.expect('START')).rawId, id);
  const progress = await w.expect('PROGRESS');
  assert.deepStrictEqual([progress.rawId, progress.text], [id, 'halfway']);
  const line = await w.expect('LOG');
  assert.deepStrictEqual([line.rawId, line.text, line.meta.level], [id, 'odd', 'warn']);
  const afar = await w.expect('LOG');
  assert.deepStrictEqual([afar.rawId, afar.text, afar.meta], [id, 'from afar', {}]);
  const result = await w.expect('RESULT');
  assert.deepStrictEqual(result.value, [String(id), 3, 'k', 'application/json', true, false, false]);
});

const CURRENT = `
const { currentTask } = require('ebbtide-worker');
const id = () => currentTask()?.id ?? null;
exports.wrapped = (...all) => [all.length, id()];
exports.same = (x, task) => task === currentTask();
exports.later = async (x) => { const before = id(); await null; return [before, id()]; };
exports.each = async (x, y = id()) => { await null; return y; };`;
test('a function that is not given its task can ask for it', async (t) => {
  const w = await start(t, `${CURRENT} const atStart = id(); exports.none = () => atStart;`);
  await w.ready();
  const get = async (number, fn, value = 0, meta = {}) => (await w.call(number, value, { fn, ...meta })).value;
  assert.deepStrictEqual(await get(1, 'wrapped'), [1, 1]);
  assert.strictEqual(await get(2, 'same'), true);
  assert.deepStrictEqual(await get(3, 'later'), [3, 3]);
  assert.deepStrictEqual(await get(4, 'each', [0, 0, 0], { each: true }), [4, 4, 4]);
  assert.strictEqual(await get(5, 'none'), null);
});

test('where several tasks run, only the synchronous part of a function has a current task', async (t) => {
  const w = await start(t, CURRENT, { env: { EBBTIDE_CONCURRENCY: '2' } });
  await w.ready();
  assert.deepStrictEqual((await w.call(1, 0, { fn: 'later' })).value, [1, null]);
  assert.deepStrictEqual((await w.call(2, [0, 0], { fn: 'each', each: true })).value, [2, 2]);
});

test('what is not said about a task has its default', async (t) => {
  const w = await start(t, 'module.exports = (x, task) => [task.id, task.attempt, task.key === undefined, task.contentType, task.deadlineMs === undefined];');
  await w.ready();
  assert.deepStrictEqual((await w.call(2 ** 40, 0)).value, [2 ** 40, 1, true, 'application/json', true]);
});

test('a log outside of a task belongs to none', async (t) => {
  const w = await start(t, 'require("ebbtide-worker").log("debug", "loading"); module.exports = () => { throw new Error(require("ebbtide-worker").log("loud", "x")); };');
  await w.expect('HELLO');
  const line = await w.expect('LOG', 0);
  assert.deepStrictEqual([line.text, line.meta.level], ['loading', 'debug']);
  await w.expect('READY');
  assert.match((await w.call(1, 0)).meta.message, /'loud' is none of debug, info, warn, error/);
});

test('values of JSON, nothing, text of every length, and bytes', async (t) => {
  const w = await start(t, 'exports.echo = (x) => x; exports.bytes = () => Buffer.from([0, 255, 10]); exports.buffer = () => new Uint8Array([1, 2]).buffer; exports.floats = () => new Float32Array([1]); exports.none = () => {};');
  await w.ready();
  for (const value of [null, 0, -1.5, '', 'ä€𝄞', true, [], [1, [2]], { a: { b: null } }, 'ä'.repeat(30_000), 'x'.repeat(70_000)]) {
    const end = await w.call(1, value, { fn: 'echo' });
    assert.strictEqual(end.type, 'RESULT', JSON.stringify(end.meta));
    assert.deepStrictEqual(end.value, value);
    assert.deepStrictEqual(end.meta, {});
  }
  for (const [fn, bytes] of [['bytes', [0, 255, 10]], ['buffer', [1, 2]], ['floats', [0, 0, 128, 63]]]) {
    const end = await w.call(2, 0, { fn });
    assert.deepStrictEqual([end.meta, [...end.body]], [{ content_type: 'application/octet-stream' }, bytes]);
  }
  assert.strictEqual((await w.call(3, 0, { fn: 'none' })).text, 'null');
});

test('a request of another type is given as bytes of its own', async (t) => {
  const w = await start(t, 'const kept = []; module.exports = (x, task) => { kept.push(x); return [kept.every(Buffer.isBuffer), kept.map((each) => each.toString("latin1")), task.contentType]; };');
  await w.ready();
  const meta = { content_type: 'text/plain' };
  assert.deepStrictEqual((await w.call(1, Buffer.from('one'), meta)).value, [true, ['one'], 'text/plain']);
  // The first one is not written over by the second.
  assert.deepStrictEqual((await w.call(2, Buffer.from('two'), meta)).value[1], ['one', 'two']);
});

test('a request that is no JSON, or no text, is an error of its task', async (t) => {
  const w = await start(t, 'module.exports = (x) => x;');
  await w.ready();
  const bad = await w.call(1, Buffer.from('{"a":'));
  assert.deepStrictEqual([bad.type, bad.meta.name], ['ERROR', 'SyntaxError']);
  assert.match(bad.meta.message, /content type application\/json and is not JSON/);
  assert.match((await w.call(2, Buffer.from([34, 0xff, 34]))).meta.message, /is not UTF-8/);
  assert.strictEqual((await w.call(3, 'fine')).value, 'fine');
});

const UNFIT = [
  ['a BigInt', '1n', /^the result cannot be encoded as JSON: it is a BigInt\. Return plain objects/],
  ['a nested BigInt', '({ a: [1n] })', /it has a BigInt at \.a\[0\]/],
  ['a circle', '(() => { const a = {}; a.a = a; return a; })()', /circular structure/],
  ['a function', '() => 1', /cannot be encoded as JSON: it is a function/],
  ['a nested function', '({ go: () => 1 })', /it has a function at \.go/],
  ['a symbol', 'Symbol("s")', /it is a symbol/],
  ['shared memory', 'new SharedArrayBuffer(8)', /the result is a SharedArrayBuffer, which cannot cross a process.*Buffer\.from/],
  ['nested shared memory', '({ m: new SharedArrayBuffer(8) })', /the result has, at \.m, a SharedArrayBuffer, which cannot cross/],
  ['a view of it', 'new Int32Array(new SharedArrayBuffer(8))', /a view of a SharedArrayBuffer, which cannot cross/],
  ['a nested view of it', '({ v: new Int32Array(new SharedArrayBuffer(8)) })', /at \.v, a view of a SharedArrayBuffer/],
  ['a port', 'new (require("worker_threads").MessageChannel)().port1', /the result is a MessagePort, which cannot cross/],
  ['a nested port', '({ p: new (require("worker_threads").MessageChannel)().port1 })', /at \.p, a MessagePort/],
  ['a toJSON that throws', '({ toJSON() { throw "no"; } })', /cannot be encoded as JSON: no/],
  ['a Map', 'new Map([[1, 2]])', /it is a Map\. Return plain objects, arrays/],
  ['a nested Map', '({ a: [{}, { b: new Map() }] })', /it has a Map at \.a\[1\]\.b\./],
  ['a Set of an odd name', '({ "a b": { "é": new Set([1]) } })', /it has a Set at \["a b"\]\.é\./],
  ['a subclass of Map', '[new (class Own extends Map {})()]', /it has a Map at \[0\]/],
  ['a WeakMap', '({ w: new WeakMap() })', /a WeakMap at \.w/],
  ['a generator', '(function* () { yield 1; })()', /it is a Generator/],
  ['an asynchronous generator', '(async function* () { yield 1; })()', /it is an AsyncGenerator/],
  ['a nested generator', '({ g: (function* () {})() })', /a Generator at \.g/],
  ['what keys() gives', '[new Map().keys()]', /a Map Iterator at \[0\]/],
  ['a nested Promise', '({ later: Promise.resolve(1) })', /a Promise at \.later/],
  ['an Error', 'new RangeError("far")', /it is an Error \(RangeError\)/],
  ['a nested Error', '({ errors: [new Error("x")] })', /an Error \(Error\) at \.errors\[0\]/],
  ['a RegExp', '({ r: /x/ })', /a RegExp at \.r/],
  ['nested floats', '({ f: new Float32Array(2) })', /a Float32Array at \.f/],
  ['nested bytes', '({ u: new Uint8Array(2), v: 1 })', /a Uint8Array at \.u/],
  ['a nested buffer', '[new ArrayBuffer(2)]', /an ArrayBuffer at \[0\]/],
  ['a nested view', '({ d: new DataView(new ArrayBuffer(2)) })', /a DataView at \.d/],
  ['NaN', 'NaN', /it is NaN/],
  ['Infinity', '-Infinity', /it is -Infinity/],
  ['nested NaN', '({ mean: [1, { of: 0 / 0 }], none: null })', /it has NaN at \.mean\[1\]\.of/],
  ['NaN in the deep', '(() => { let at = NaN; for (let n = 0; n < 2000; n += 1) at = [at]; return at; })()', /it has NaN at (\[0\]){2000}\./],
  ['a Map that a toJSON gives', '({ x: { toJSON: () => [new Map()] } })', /it has a Map at \(a place that only its toJSON knows\)/],
];
test('a value that cannot cross is an error of its task, which says what and why', async (t) => {
  const w = await start(t, `const make = [${UNFIT.map(([, code]) => `() => (${code})`).join(', ')}]; exports.default = (i) => make[i](); exports.later = async (i) => make[i]();`);
  await w.ready();
  for (const fn of ['default', 'later']) {
    for (const [index, [what, , message]] of UNFIT.entries()) {
      const end = await w.call(index, index, { fn });
      assert.strictEqual(end.type, 'ERROR', what);
      assert.match(end.meta.message, message, what);
    }
  }
});

test('what an item cannot be is told with its place, and a snapshot as well', async (t) => {
  const w = await start(t, 'module.exports = (x) => (x === 1 ? new Set() : x); module.exports.snapshot = () => ({ seen: new Set() });');
  await w.ready();
  assert.match((await w.call(1, [0, 1], { each: true })).meta.message, /a Set at \[1\]\./);
  w.send(frame('SNAPSHOT', 2));
  assert.match((await w.expect('LOG')).text, /the snapshot cannot be encoded as JSON: it has a Set at \.seen/);
  assert.strictEqual((await w.expect('STATE', 2)).flags, 1);
});

test('what JSON has a form for crosses as it was', async (t) => {
  const w = await start(t, `const own = class extends Error { toJSON() { return { told: this.message }; } };
    const makes = [() => [null, undefined, { a: undefined, b: null }, "null"], () => new Date(0), () => ({ d: new Date(NaN) }), () => [Buffer.from("a")], () => [new own("x")], () => new URL("http://a/"),
      () => Object.create(null), () => [Object.assign(new Map(), { toJSON() { return [...this]; } })], () => { Set.prototype.toJSON = function () { return [...this]; }; return { s: new Set([1]) }; },
      () => { BigInt.prototype.toJSON = function () { return String(this); }; return [10n]; }, () => new (class { #hidden = 1; seen = 2; })(), () => ({ f: null, g: { valueOf: () => NaN } })];
    module.exports = (i) => (i < makes.length ? makes[i]() : undefined);`);
  await w.ready();
  const wanted = ['[null,null,{"b":null},"null"]', '"1970-01-01T00:00:00.000Z"', '{"d":null}', '[{"type":"Buffer","data":[97]}]', '[{"told":"x"}]', '"http://a/"', '{}', '[[]]', '{"s":[1]}', '["10"]', '{"seen":2}'];
  for (const [index, text] of wanted.entries()) assert.strictEqual((await w.call(index, index)).text, text);
  assert.strictEqual((await w.call(99, 99)).text, 'null');
});

test('JSON.stringify of user code is as it was, and nothing has a toJSON that had none', async (t) => {
  const w = await start(t, `const things = [() => 1, new Int8Array(2), new Int8Array(new SharedArrayBuffer(1)), new Map([[1, 2]]), Object.assign(new Error("x"), { code: 1 }), /x/, Promise.resolve()];
    module.exports = () => [JSON.stringify([{ f() {} }, Buffer.from("a"), NaN, things]), things.some((each) => each.toJSON !== undefined), typeof 1n.toJSON];`);
  await w.ready();
  const text = '[{},{"type":"Buffer","data":[97]},null,[null,{"0":0,"1":0},{"0":0},{},{"code":1},{},{}]]';
  assert.deepStrictEqual((await w.call(1, 0)).value, [text, false, 'undefined']);
  assert.deepStrictEqual((await w.call(2, 0)).value, [text, false, 'undefined']);
});

const THROWS = `
class Broken extends Error {}
const makes = {
  error: () => new RangeError('too far'),
  own: () => new Broken('mine'),
  cause: () => new Error('outer', { cause: new TypeError('inner') }),
  several: () => new AggregateError([new TypeError('one'), 'two', new Error('three'), 4], 'all failed'),
  retry: () => Object.assign(new Error('busy'), { retryable: true }),
  noRetry: () => Object.assign(new Error('busy'), { retryable: 'yes' }),
  text: () => 'just text', none: () => null, nothing: () => undefined, object: () => ({ code: 5 }), number: () => 5,
  proxy: () => new Proxy({}, { get() { throw new Error('do not touch'); } }),
  long: () => Object.assign(new Error('€'.repeat(10000)), { stack: '€'.repeat(10000) }),
  control: () => Object.assign(new Error('\\u0001'.repeat(10000)), { stack: '\\u0001'.repeat(20000) }),
  half: () => new Error('\\ud800'),
};
exports.default = (what) => { throw makes[what](); };
exports.later = async (what) => { await null; throw makes[what](); };`;

test('whatever is thrown becomes an ERROR, now or later, and the worker goes on', async (t) => {
  const w = await start(t, THROWS);
  await w.ready();
  const get = async (what, fn) => {
    const end = await w.call(1, what, { fn });
    assert.strictEqual(end.type, 'ERROR');
    return end.meta;
  };
  for (const fn of ['default', 'later']) {
    const plain = await get('error', fn);
    assert.deepStrictEqual([plain.name, plain.message, plain.retryable, plain.cancelled], ['RangeError', 'too far', undefined, undefined]);
    assert.match(plain.stack, /worker\.js:4:/);
    assert.strictEqual((await get('own', fn)).name, 'Broken');
    const cause = await get('cause', fn);
    assert.strictEqual(cause.message, 'outer (cause: TypeError: inner)');
    assert.strictEqual((await get('several', fn)).message, 'all failed (TypeError: one; two; Error: three; and 1 more)');
    assert.match(cause.stack, /caused by TypeError: inner/);
    assert.strictEqual((await get('retry', fn)).retryable, true);
    assert.strictEqual((await get('noRetry', fn)).retryable, undefined);
    assert.deepStrictEqual([(await get('text', fn)).message, (await get('text', fn)).stack], ['just text', '']);
    assert.match((await get('none', fn)).message, /^null was thrown/);
    assert.match((await get('nothing', fn)).message, /^undefined was thrown/);
    assert.match((await get('object', fn)).message, /^\{ code: 5 \} was thrown/);
    assert.match((await get('number', fn)).message, /^5 was thrown/);
    assert.match((await get('proxy', fn)).message, /throws when it is looked at/);
    assert.strictEqual((await get('half', fn)).message, '\ufffd');
  }
});

test('message and stack are cut at a character, and always fit', async (t) => {
  const w = await start(t, THROWS);
  await w.ready();
  const long = (await w.call(1, 'long')).meta;
  assert.strictEqual(long.message, '€'.repeat(Math.floor(8192 / 3)));
  assert.strictEqual(long.stack, '€'.repeat(Math.floor(16384 / 3)));
  const control = await w.call(2, 'control');
  assert.ok(control.metaLength <= 65535);
  assert.strictEqual(control.meta.message, '\x01'.repeat(8192));
});

test('a missing export is an error of its call, which names it, the file and what there is', async (t) => {
  const w = await start(t, 'exports.one = () => 1; exports.two = 2;', { env: { EBBTIDE_EXPORT: 'nope' } });
  await w.ready();
  const end = await w.call(1, 0);
  assert.match(end.meta.message, /there is no function "nope" in .*worker\.js\. Its exports are: one, two/);
  assert.match((await w.call(2, 0, { fn: 'two' })).meta.message, /the export "two" is of type number/);
  for (const fn of ['default', 'constructor', 'toString', 'call', '__proto__']) {
    assert.match((await w.call(3, 0, { fn })).meta.message, new RegExp(`there is no function "${fn}"`));
  }
  assert.strictEqual((await w.call(4, 0, { fn: 'one' })).value, 1);
});

test('the export of the environment is called where the task names none', async (t) => {
  const w = await start(t, 'exports.one = () => 1; exports.two = () => 2;', { env: { EBBTIDE_EXPORT: 'two' } });
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).value, 2);
  assert.strictEqual((await w.call(2, 0, { fn: 'one' })).value, 1);
});

test('timers of user code run between tasks that follow each other without a break', async (t) => {
  const w = await start(t, 'let ticks = 0; setInterval(() => { ticks += 1; }, 1); module.exports = () => { const until = Date.now() + 2; while (Date.now() < until); return ticks; };');
  await w.ready();
  w.send(...Array.from({ length: 20 }, (_, id) => task(id, 0)));
  let ticks;
  for (let id = 0; id < 20; id += 1) {
    await w.expect('START', id);
    ticks = (await w.expect('RESULT', id)).value;
  }
  assert.ok(ticks > 2, `${ticks} ticks`);
});

test('thenables that are no promises are awaited, and settle once', async (t) => {
  const w = await start(t, 'module.exports = () => ({ then(ok, no) { ok(1); no(new Error("twice")); ok(2); } });');
  await w.ready();
  assert.strictEqual((await w.call(1, 0)).value, 1);
  w.send(frame('PING', 4));
  await w.expect('PONG', 4);
});

test('a reply that no frame can hold is an error of its task', async (t) => {
  const w = await start(t, 'module.exports = (n) => (n < 0 ? Buffer.alloc(-n) : "x".repeat(n));', { env: { EBBTIDE_MAX_FRAME: '1000' } });
  await w.ready();
  assert.strictEqual((await w.call(1, 986)).body.length, 988);
  assert.match((await w.call(2, 987)).meta.message, /frame of 1001 bytes, and 1000 is the most \(EBBTIDE_MAX_FRAME\)/);
  assert.strictEqual((await w.call(3, -2000)).type, 'ERROR');
});
