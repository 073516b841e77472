'use strict';
// The Node worker of ebbtide: one file, no dependencies. It is the program of a worker process (started directly, or compiled by bootstrap.js from
// what the pool sends), and the module that user code requires. The protocol is docs/PROTOCOL.md of the repository.

const fs = require('fs');
const path = require('path');
const url = require('url');
const util = require('util');
const Module = require('module');
const { isUtf8 } = require('buffer');
const worker_threads = require('worker_threads');

const env = process.env;
const TASK = 1, BATCH = 2, CANCEL = 3, RECALL = 4, PING = 5, SNAPSHOT = 6, STOP = 7;
const HELLO = 65, READY = 66, START = 67, RESULT = 68, ERROR = 69, RETURNED = 70, STATE = 71, PROGRESS = 72, LOG = 73, PONG = 74;

const EXIT_LOAD = 1, EXIT_PROTOCOL = 70;
const MESSAGE_MAX = 8 * 1024, STACK_MAX = 16 * 1024, NAME_MAX = 256, TEXT_MAX = 64 * 1024, META_MAX = 65535;
const JSON_TYPE = 'application/json';
const BYTES_META = '{"content_type":"application/octet-stream"}';
const NO_META = Object.freeze({});
const REGISTRY = Symbol.for('ebbtide.worker');

// Node cannot look at the socket in the middle of JavaScript, only its event loop can. After this long since the last look the loop gets a turn before
// the next task is started: a frame that has come counts, and timers of user code run. A turn costs about as much as a task that does nothing.
const SLICE_MS = 0.05;
const LINGER_MS = 2000;

// Kept before user code can see (or we replace) them.
const { writeSync, writevSync, readFileSync } = fs;
const { setImmediate, setTimeout } = globalThis;
const now = performance.now.bind(performance);
const exit = process.exit.bind(process);

const isWorker = require.main === module || module.id === 'ebbtide-worker.cjs';

// ---------------------------------------------------------------------------------------------------------------------------------- writing

const OUT_SIZE = 64 * 1024;
const out = Buffer.allocUnsafeSlow(OUT_SIZE);
const outView = new DataView(out.buffer, out.byteOffset, OUT_SIZE);
let outEnd = 0;

let fd = -1;
let socket = null;
let maxFrame = 64 * 1024 * 1024;
// What the kernel did not take at once: `current` is with libuv, which writes when the pool reads; `backlog` waits behind it. While there is any, nothing
// else is written, so that no byte overtakes another, and no task is started, because its START would not be out.
let current = null;
let backlog = [];

function setHeader(view, at, length, type, flags, metaLength, lo, hi) {
  view.setUint32(at, length, true);
  view.setUint8(at + 4, type);
  view.setUint8(at + 5, flags);
  view.setUint16(at + 6, metaLength, true);
  view.setUint32(at + 8, lo, true);
  view.setUint32(at + 12, hi, true);
}

/** Encodes a frame; it is written by the next flush. `body` is a string, bytes or null. */
function put(type, flags, lo, hi, meta, body) {
  const text = typeof body === 'string';
  const most = 16 + meta.length * 3 + (body === null ? 0 : text ? body.length * 3 : body.length);
  if (most > OUT_SIZE) {
    putLarge(type, flags, lo, hi, meta, text || body === null ? Buffer.from(body || '') : body, text);
    return;
  }
  if (outEnd + most > OUT_SIZE) flush();
  const at = outEnd;
  let end = at + 16;
  if (meta !== '') end += out.write(meta, end);
  const metaLength = end - at - 16;
  if (text) end += out.write(body, end);
  else if (body !== null) { out.set(body, end); end += body.length; }
  setHeader(outView, at, end - at - 4, type, flags, metaLength, lo, hi);
  outEnd = end;
}

/** A body that does not fit the buffer is written from where it lies. */
function putLarge(type, flags, lo, hi, meta, body, ours) {
  flush();
  const head = Buffer.from('0'.repeat(16) + meta);
  setHeader(new DataView(head.buffer, head.byteOffset, 16), 0, head.length - 4 + body.length, type, flags, head.length - 16, lo, hi);
  const done = current === null ? tryWrite(() => writevSync(fd, [head, body])) : 0;
  if (done < head.length) queueRest(head.subarray(done));
  const from = Math.max(0, done - head.length);
  // The user's bytes are copied where they have to wait: the task has ended, and its owner may write to them again.
  if (from < body.length) queueRest(ours ? body.subarray(from) : Buffer.from(body.subarray(from)));
}

function flush() {
  if (outEnd === 0) return;
  const end = outEnd;
  outEnd = 0;
  let done = 0;
  if (current === null) {
    try {
      done = writeSync(fd, out, 0, end);
    } catch (error) {
      writeFailed(error);
    }
  }
  if (done < end) queueRest(Buffer.from(out.subarray(done, end)));
}

function tryWrite(write) {
  try {
    return write();
  } catch (error) {
    return writeFailed(error);
  }
}

function writeFailed(error) {
  if (error.code === 'EAGAIN' || error.code === 'EINTR') return 0;
  // A pool that is gone is not an error of the worker's.
  if (error.code === 'EPIPE' || error.code === 'ECONNRESET') exit(0);
  return die(`writing to the pool failed: ${error.message}`);
}

function queueRest(bytes) {
  backlog.push(bytes);
  if (current === null) writeNext();
}

/** One piece at a time is with libuv, so that at exit it is known how much of it is written. */
function writeNext() {
  current = backlog.length === 1 ? backlog[0] : Buffer.concat(backlog);
  backlog = [];
  socket.write(current, () => {
    current = null;
    if (backlog.length > 0) writeNext();
    else whenWritten();
  });
}

let afterWritten = null;
function whenWritten() {
  if (afterWritten !== null) { afterWritten(); return; }
  const task = held;
  held = null;
  if (task !== null) run(task);
  pump();
}

/** At process.exit the loop does not turn any more: what waits is written here, as long as the pool reads. */
function writeAtExit() {
  const waiting = [...backlog, out.subarray(0, outEnd)];
  if (current !== null) {
    const left = socket._handle ? socket._handle.writeQueueSize : 0;
    waiting.unshift(current.subarray(current.length - Math.min(left, current.length)));
  }
  let rest = Buffer.concat(waiting);
  outEnd = 0;
  const until = now() + LINGER_MS;
  while (rest.length > 0 && now() < until) {
    let done = 0;
    try {
      done = writeSync(fd, rest, 0, rest.length);
    } catch (error) {
      if (error.code !== 'EAGAIN' && error.code !== 'EINTR') return;
      sleep(1);
    }
    rest = rest.subarray(done);
  }
}

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function say(text) {
  try {
    writeSync(2, `ebbtide worker: ${text}\n`);
  } catch {
    // Nobody reads it.
  }
}

/** The pool broke the protocol, or we did: there is nothing to go on with. */
function die(text) {
  say(text);
  exit(EXIT_PROTOCOL);
}

// ---------------------------------------------------------------------------------------------------------------------------------- reading

const READ_SIZE = 256 * 1024;
// From here on a frame gets memory of its own, which the kernel then writes into directly.
const LARGE = 64 * 1024;
const input = Buffer.allocUnsafeSlow(READ_SIZE);
let kept = 0; // bytes of an incomplete frame at the start of `input`
let large = null; // the incomplete large frame
let largeEnd = 0;
let target = null; // where the kernel writes next
let polled = 0; // when the socket was last known to hold nothing

/** Node asks for it after each read; null is "the same again". */
function nextTarget() {
  const before = target;
  if (large !== null) target = large.subarray(largeEnd);
  else if (kept > 0) target = input.subarray(kept);
  else target = input;
  return target === before ? null : target;
}

function onRead(count) {
  // A read that filled its room may have left something behind, which counts before the next START: libuv reads on before anything else.
  polled = count < target.length ? now() : -Infinity;
  if (large !== null) {
    largeEnd += count;
    if (largeEnd === large.length) {
      const whole = large;
      large = null;
      parse(whole, whole.length, true);
    }
  } else {
    const end = kept + count;
    const used = parse(input, end, false);
    keep(used, end);
  }
  pump();
  return true;
}

function keep(used, end) {
  const rest = end - used;
  kept = rest;
  if (rest === 0) return;
  if (rest >= 4) {
    const total = 4 + input.readUInt32LE(used);
    if (total >= LARGE) {
      large = Buffer.allocUnsafeSlow(total);
      largeEnd = rest;
      input.copy(large, 0, used, end);
      kept = 0;
      return;
    }
  }
  if (used > 0) input.copyWithin(0, used, end);
}

/** Takes what is complete; returns how far it came. Lengths are checked as soon as they are there, before memory is asked for. */
function parse(buffer, end, owned) {
  let at = 0;
  while (end - at >= 4) {
    const length = buffer.readUInt32LE(at);
    if (length > maxFrame) die(`a frame of ${length} bytes came, and ${maxFrame} is the most (EBBTIDE_MAX_FRAME)`);
    if (length < 12) die(`a frame of ${length} bytes came, which is less than its header`);
    if (end - at < 8) break;
    const metaLength = buffer.readUInt16LE(at + 6);
    if (length < 12 + metaLength) die(`a frame of ${length} bytes came that claims ${metaLength} bytes of meta`);
    if (end - at < 4 + length) break;
    take(buffer, at, metaLength, at + 4 + length, owned);
    at += 4 + length;
  }
  return at;
}

let lastMeta = '';
let lastMetaValue = NO_META;

function parseMeta(buffer, from, to) {
  if (from === to) return NO_META;
  const text = buffer.toString('utf8', from, to);
  // Most tasks of a pool have the same meta.
  if (text === lastMeta) return lastMetaValue;
  if (!validUtf8(buffer, from, to, text)) die('the meta of a frame is not UTF-8');
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    die(`the meta of a frame is not JSON: ${error.message}`);
  }
  checkMeta(value);
  lastMeta = text;
  lastMetaValue = value;
  return value;
}

function checkMeta(meta) {
  if (meta === null || typeof meta !== 'object' || Array.isArray(meta)) die('the meta of a frame is not a JSON object');
  for (const name of ['fn', 'content_type', 'key', 'reason']) {
    if (meta[name] != null && typeof meta[name] !== 'string') die(`"${name}" in the meta of a frame is not a string`);
  }
  if (meta.each != null && typeof meta.each !== 'boolean') die('"each" in the meta of a frame is not a boolean');
  for (const name of ['attempt', 'deadline_ms']) {
    if (meta[name] != null && typeof meta[name] !== 'number') die(`"${name}" in the meta of a frame is not a number`);
  }
}

/** Decoding puts U+FFFD where bytes are wrong; only where there is one it is worth looking. */
function validUtf8(buffer, from, to, text) {
  return !text.includes('\ufffd') || isUtf8 === undefined || isUtf8(buffer.subarray(from, to));
}

function take(buffer, at, metaLength, end, owned) {
  const type = buffer[at + 4];
  const lo = buffer.readUInt32LE(at + 8);
  const hi = buffer.readUInt32LE(at + 12);
  const body = at + 16 + metaLength;
  const meta = parseMeta(buffer, at + 16, body);
  switch (type) {
    case TASK: accept(lo, hi, meta, buffer, body, end, owned); break;
    case BATCH: takeBatch(meta, buffer, body, end); break;
    case CANCEL: cancel(lo, hi, meta.reason); break;
    case RECALL: recall(lo, hi, buffer, body, end); break;
    case PING: put(PONG, 0, lo, hi, '', null); break;
    case SNAPSHOT: takeSnapshot(lo, hi, buffer[at + 5], Buffer.from(buffer.subarray(body, end))); break;
    case STOP: stopping = true; break;
    default: die(`a frame of type ${type} came, which a pool does not send`);
  }
}

function accept(lo, hi, meta, buffer, from, to, owned) {
  const type = meta.content_type;
  let data;
  if (type != null && type !== JSON_TYPE) data = owned ? buffer.subarray(from, to) : Buffer.from(buffer.subarray(from, to));
  else if (owned) data = buffer.subarray(from, to);
  else data = decodeText(buffer, from, to);
  waiting.push(new Task(lo, hi, meta, data));
}

/** The text of a JSON request; bytes that are no text are kept, and the task finds out. */
function decodeText(buffer, from, to) {
  const text = buffer.toString('utf8', from, to);
  return validUtf8(buffer, from, to, text) ? text : Buffer.from(buffer.subarray(from, to));
}

function takeBatch(meta, buffer, from, to) {
  let at = from;
  while (at < to) {
    if (to - at < 12) die('an item of a BATCH is cut off');
    const length = buffer.readUInt32LE(at);
    if (length > to - at - 12) die(`an item of a BATCH claims ${length} bytes and has ${to - at - 12}`);
    accept(buffer.readUInt32LE(at + 4), buffer.readUInt32LE(at + 8), meta, buffer, at + 12, at + 12 + length, false);
    at += 12 + length;
  }
}

// ------------------------------------------------------------------------------------------------------------------------------------ tasks

let concurrency = 1;
let ready = false;
let stopping = false;
let ending = false;
const waiting = []; // accepted and not started, in the order in which they came, from `first` on
let first = 0;
const running = new Set();
let held = null; // its START waits to be written
let inUserCode = null; // the task whose synchronous part runs now

class Task {
  constructor(lo, hi, meta, data) {
    this.lo = lo;
    this.hi = hi;
    this.meta = meta;
    this.data = data;
    this.arrived = meta.deadline_ms == null ? 0 : now();
    this.reason = null; // an AbortError, once a cancel was asked
    this.controller = null;
    this.view = null;
    this.ended = false;
  }
}

/** What user code sees of its task. */
class TaskView {
  #task;

  constructor(task) {
    this.#task = task;
  }

  /** A number where a number can hold it, else a bigint. */
  get id() {
    const { lo, hi } = this.#task;
    return hi < 0x200000 ? hi * 0x100000000 + lo : (BigInt(hi) << 32n) | BigInt(lo);
  }

  get attempt() { return this.#task.meta.attempt ?? 1; }

  get key() { return this.#task.meta.key ?? undefined; }

  get contentType() { return this.#task.meta.content_type ?? JSON_TYPE; }

  /** How long it may still run; undefined without a deadline. */
  get deadlineMs() {
    const { meta, arrived } = this.#task;
    return meta.deadline_ms == null ? undefined : Math.max(0, meta.deadline_ms - (now() - arrived));
  }

  get isCancelled() { return this.#task.reason !== null; }

  get signal() {
    const task = this.#task;
    if (task.controller === null) {
      task.controller = new AbortController();
      if (task.reason !== null) task.controller.abort(task.reason);
    }
    return task.controller.signal;
  }

  progress(text) {
    if (!this.#task.ended) tell(PROGRESS, this.#task, '', text);
  }

  log(level, text) {
    log(level, text, this.#task.ended ? null : this.#task);
  }
}

/** One for each task, so that user code can compare what it was given with what it asked for. */
function viewOf(task) {
  return task.view ??= new TaskView(task);
}

/** The task that user code belongs to, if only one can be meant: nothing follows a task through its awaits. */
function onlyTask() {
  return inUserCode || (concurrency === 1 && running.size === 1 ? [...running][0] : null);
}

function tell(type, task, meta, text) {
  put(type, 0, task === null ? 0 : task.lo, task === null ? 0 : task.hi, meta, cut(String(text), TEXT_MAX));
  flush();
}

const LEVELS = ['debug', 'info', 'warn', 'error'];

function log(level, text, task) {
  if (!LEVELS.includes(level)) throw new TypeError(`log level ${util.inspect(level)} is none of ${LEVELS.join(', ')}`);
  tell(LOG, task, level === 'info' ? '' : `{"level":"${level}"}`, text);
}

/** Starts what can be started. Called whenever something changed; writes everything out before it returns. */
function pump() {
  while (mayStart()) {
    if (now() - polled > SLICE_MS) {
      turn();
      break;
    }
    start(takeFirst());
  }
  flush();
  if (snapshots.length > 0 && !snapshotting && ready && running.size === 0) answerSnapshot();
  else if (stopping && !ending && current === null && idle()) end();
}

function mayStart() {
  return waiting.length > first && running.size < concurrency && current === null && ready && snapshots.length === 0;
}

/** Also while it loads: nobody waits for a worker that is told to stop. */
function idle() {
  return waiting.length === first && running.size === 0 && (snapshots.length === 0 || !ready);
}

/** A queue of two fingers: a BATCH can be long, and taking the first of a long array moves all others. */
function takeFirst() {
  const task = waiting[first];
  waiting[first] = undefined;
  first += 1;
  if (first === waiting.length || first === 4096) {
    waiting.splice(0, first);
    first = 0;
  }
  return task;
}

let turning = false;

/** Immediates run after the loop has looked at the socket, but those that a read event asks for run before the next look: hence two. */
function turn() {
  if (turning) return;
  turning = true;
  setImmediate(setImmediate, turned);
}

function turned() {
  turning = false;
  // A read during this turn that filled its room is not the last one.
  polled = now();
  pump();
}

function start(task) {
  put(START, 0, task.lo, task.hi, '', null);
  flush();
  if (current === null) {
    run(task);
  } else {
    running.add(task);
    held = task;
  }
}

function run(task) {
  let value;
  try {
    const { fn, takesTask } = handlerFor(task.meta.fn);
    const data = requestOf(task);
    inUserCode = task;
    if (task.meta.each === true) value = callEach(fn, takesTask, data, task);
    else value = takesTask ? fn(data, viewOf(task)) : fn(data);
    inUserCode = null;
    if (isThenable(value)) {
      running.add(task);
      watch(task, value);
      return;
    }
  } catch (error) {
    inUserCode = null;
    fail(task, error);
    return;
  }
  reply(task, value);
}

/** Calls the function with each item, one after the other. Gives the array of values, or the promise of it once one of them is a promise. */
function callEach(fn, takesTask, items, task) {
  if (!Array.isArray(items)) throw new TypeError('the request of a task for each item is not an array');
  const call = takesTask ? (item) => fn(item, viewOf(task)) : (item) => fn(item);
  const values = new Array(items.length);
  for (let at = 0; at < items.length; at += 1) {
    try {
      values[at] = call(items[at]);
    } catch (error) {
      throw ofItem(at, error);
    }
    if (isThenable(values[at])) return awaitEach(call, items, task, values, at);
  }
  return encodeEach(values);
}

async function awaitEach(call, items, task, values, from) {
  const next = (item) => {
    inUserCode = task;
    try {
      return call(item);
    } finally {
      inUserCode = null;
    }
  };
  for (let at = from; at < items.length; at += 1) {
    try {
      values[at] = await (at === from ? values[at] : next(items[at]));
    } catch (error) {
      throw ofItem(at, error);
    }
  }
  return encodeEach(values);
}

/** JSON has no bytes: an item that is some cannot be told from an object. */
function encodeEach(values) {
  const at = values.findIndex((value) => bytesOf(value) !== null);
  if (at >= 0) throw new TypeError(`item ${at}: the function gave bytes, which cannot be part of a JSON array; send it one task an item`);
  return values;
}

function ofItem(at, error) {
  if (error instanceof Error) {
    try {
      error.message = `item ${at}: ${error.message}`;
    } catch {
      // Frozen: told without its place.
    }
    return error;
  }
  return new Error(`item ${at}: ${textOf(error)}`);
}

function isThenable(value) {
  return value !== null && (typeof value === 'object' || typeof value === 'function') && typeof value.then === 'function';
}

function watch(task, promise) {
  const native = promise instanceof Promise ? promise : Promise.resolve(promise);
  native.then(
    (value) => {
      reply(task, value);
      pump();
    },
    (error) => {
      fail(task, error);
      pump();
    },
  );
}

function requestOf(task) {
  const { data, meta } = task;
  task.data = null;
  if (typeof data === 'string') return data === '' ? undefined : parseRequest(data);
  if (meta.content_type != null && meta.content_type !== JSON_TYPE) return data;
  const text = decodeText(data, 0, data.length);
  if (typeof text !== 'string') throw new TypeError('the request has the content type application/json and is not UTF-8');
  return parseRequest(text);
}

function parseRequest(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`the request has the content type ${JSON_TYPE} and is not JSON: ${error.message}`);
  }
}

function over(task) {
  task.ended = true;
  running.delete(task);
}

function reply(task, value) {
  over(task);
  let body;
  let meta = '';
  try {
    body = encodeResult(value);
    if (typeof body !== 'string') meta = BYTES_META;
    checkSize(body, meta);
  } catch (error) {
    fail(task, error);
    return;
  }
  put(RESULT, 0, task.lo, task.hi, meta, body);
}

function checkSize(body, meta) {
  // No character needs more than three bytes: most replies need not be measured.
  if (body.length * 3 + meta.length + 12 <= maxFrame) return;
  const size = (typeof body === 'string' ? Buffer.byteLength(body) : body.length) + meta.length + 12;
  if (size > maxFrame) throw new RangeError(`the reply needs a frame of ${size} bytes, and ${maxFrame} is the most (EBBTIDE_MAX_FRAME): reply with less, or with where it lies`);
}

function fail(task, error) {
  over(task);
  put(ERROR, 0, task.lo, task.hi, errorMeta(error, task.reason !== null && isCancellation(task, error)), null);
}

function isCancellation(task, error) {
  if (error === task.reason) return true;
  return error !== null && typeof error === 'object' && (error.name === 'AbortError' || error.cause === task.reason);
}

function abortError(reason) {
  const error = new Error(reason || 'the task was cancelled');
  error.name = 'AbortError';
  error.code = 'ABORT_ERR';
  return error;
}

function cancel(lo, hi, reason) {
  const same = (task) => task.lo === lo && task.hi === hi;
  const at = waiting.findIndex((task) => task !== undefined && same(task));
  if (at >= 0) {
    const [task] = waiting.splice(at, 1);
    task.reason = abortError(reason);
    fail(task, task.reason);
    return;
  }
  for (const task of running) {
    if (!same(task) || task.reason !== null) continue;
    task.reason = abortError(reason);
    if (task.controller !== null) task.controller.abort(task.reason);
  }
}

function recall(lo, hi, buffer, from, to) {
  if ((to - from) % 8 !== 0) die(`a RECALL has ${to - from} bytes, which are no ids of tasks`);
  const wanted = new Set();
  for (let at = from; at < to; at += 8) wanted.add(buffer.readBigUInt64LE(at));
  const back = [];
  const stay = [];
  for (const task of waiting.slice(first)) {
    const id = (BigInt(task.hi) << 32n) | BigInt(task.lo);
    if (from === to || wanted.has(id)) back.push(id);
    else stay.push(task);
  }
  waiting.length = 0;
  first = 0;
  for (const task of stay) waiting.push(task);
  const body = Buffer.alloc(back.length * 8);
  back.forEach((id, index) => body.writeBigUInt64LE(id, index * 8));
  put(RETURNED, 0, lo, hi, '', body);
}

// ------------------------------------------------------------------------------------------------------------------------ values and errors

const TRANSFERABLE = Symbol.for('Piscina.transferable');
const VALUE = Symbol.for('Piscina.valueOf');
let encoding = false;

/** JSON text, or bytes. */
function encodeResult(value) {
  if (value === undefined || value === null) return 'null';
  if (typeof value === 'object') {
    if (TRANSFERABLE in value && VALUE in value) return encodeResult(value[VALUE]);
    const bytes = bytesOf(value);
    if (bytes !== null) return bytes;
  }
  return encodeJson(value, 'the result');
}

function bytesOf(value) {
  if (ArrayBuffer.isView(value)) {
    if (util.types.isSharedArrayBuffer(value.buffer)) throw unfitError(new Unfit(value, 'a view of a SharedArrayBuffer', CANNOT_CROSS), value, 'the result');
    return value instanceof Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  return util.types.isArrayBuffer(value) ? new Uint8Array(value) : null;
}

const CANNOT_CROSS = 'which cannot cross a process: memory and ports are not shared between processes. Return a copy of the bytes (Buffer.from(...)), '
  + 'or send messages with task.progress()';

/** JSON would drop `value`, or make something else of it. */
class Unfit extends Error {
  constructor(value, what, why = '') {
    super(what);
    Object.assign(this, { value, what, why });
  }
}

function encodeJson(value, what) {
  encoding = true;
  let text;
  try {
    text = JSON.stringify(value);
    if (text === undefined) throw new Unfit(value, `a ${typeof value}`);
    // What is no number in JSON is null there. Most results have none, and finding that out is a small part of writing them.
    if (text.includes('null')) refuseNoNumber(value);
    return text;
  } catch (error) {
    throw unfitError(error, value, what);
  } finally {
    encoding = false;
  }
}

function unfitError(error, value, whole) {
  if (!(error instanceof Unfit)) return new TypeError(`${whole} cannot be encoded as JSON: ${textOf(error)}. Return plain data, or bytes (a Buffer)`);
  const at = pathTo(value, error.value);
  if (error.why !== '') return new TypeError(at === '' ? `${whole} is ${error.what}, ${error.why}` : `${whole} has, at ${at}, ${error.what}, ${error.why}`);
  const found = at === '' ? `it is ${error.what}` : `it has ${error.what} at ${at}`;
  return new TypeError(`${whole} cannot be encoded as JSON: ${found}. Return plain objects, arrays, strings, finite numbers, booleans and null, or bytes (a Buffer) alone`);
}

/** Without recursion: JSON.stringify goes deeper than calls of ours could. (`for in` is what V8 is fastest at: half the time of Object.keys.) */
function refuseNoNumber(value) {
  const todo = [];
  look(value, todo);
  while (todo.length > 0) {
    const at = todo.pop();
    if (Array.isArray(at)) {
      for (let index = 0; index < at.length; index += 1) look(at[index], todo);
    } else if (typeof at.toJSON !== 'function') {
      for (const key in at) if (hasOwn.call(at, key)) look(at[key], todo);
    }
  }
}

const hasOwn = Object.prototype.hasOwnProperty;

function look(value, todo) {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Unfit(value, String(value));
  } else if (typeof value === 'object' && value !== null) {
    todo.push(value);
  }
}

/** Where in a value a part of it lies, as JavaScript would write it. Empty: it is the whole. Only for messages. */
function pathTo(value, part) {
  const todo = [[value, '']];
  const seen = new Set();
  while (todo.length > 0 && seen.size < 100_000) {
    const [at, path] = todo.pop();
    if (Object.is(at, part)) return path;
    if (at === null || typeof at !== 'object' || seen.has(at)) continue;
    seen.add(at);
    for (const key of Object.keys(at).reverse()) todo.push([at[key], path + step(at, key)]);
  }
  return '(a place that only its toJSON knows)';
}

function step(at, key) {
  if (Array.isArray(at)) return `[${key}]`;
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/**
 * JSON.stringify asks each object (and BigInt) for toJSON: that finds what JSON would drop or turn into `{}` without a walk of our own. There is one only
 * while a result is encoded; for user code nothing changes, also not for what looks whether an error or a Map has a toJSON.
 */
function guardJson() {
  const guard = (prototype, check) => {
    if (!prototype || Object.prototype.hasOwnProperty.call(prototype, 'toJSON')) return;
    const toJSON = function () { return check(this); };
    Object.defineProperty(prototype, 'toJSON', {
      get: () => (encoding ? toJSON : undefined),
      set(value) { Object.defineProperty(this, 'toJSON', { value, configurable: true, writable: true, enumerable: true }); },
      configurable: true,
      enumerable: false,
    });
  };
  const refuse = (what, why) => (value) => { throw new Unfit(value, typeof what === 'string' ? what : what(value), why); };
  guard(SharedArrayBuffer.prototype, refuse('a SharedArrayBuffer', CANNOT_CROSS));
  guard(worker_threads.MessagePort.prototype, refuse('a MessagePort', CANNOT_CROSS));
  const view = (value) => {
    if (util.types.isSharedArrayBuffer(value.buffer)) throw new Unfit(value, 'a view of a SharedArrayBuffer', CANNOT_CROSS);
    throw new Unfit(value, a(tagOf(value)));
  };
  guard(Object.getPrototypeOf(Uint8Array.prototype), view);
  guard(DataView.prototype, view);
  for (const kind of [Map, Set, WeakMap, WeakSet, WeakRef, Promise, RegExp, ArrayBuffer, BigInt]) guard(kind.prototype, refuse(a(kind.name)));
  guard(Error.prototype, refuse((value) => `an Error (${classOf(value)})`));
  // Of generators, and of what keys(), values() and entries() give.
  for (const iterator of [[][Symbol.iterator](), (async function* none() {})()]) guard(rootOf(iterator), refuse((value) => a(tagOf(value))));
  guard(Function.prototype, refuse('a function'));
}

/** The last prototype before that of all objects. */
function rootOf(value) {
  let at = value;
  for (let next = at; next !== Object.prototype; next = Object.getPrototypeOf(next)) at = next;
  return at;
}

function tagOf(value) {
  return Object.prototype.toString.call(value).slice(8, -1);
}

function a(name) {
  return `${/^[AEIOU](?!int)/.test(name) ? 'an' : 'a'} ${name}`;
}

/** At most `max` bytes of UTF-8, cut at a character. What is no character (half a surrogate pair) becomes U+FFFD. */
function cut(text, max) {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return text.isWellFormed && text.isWellFormed() ? text : bytes.toString();
  let end = max;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

function classOf(error) {
  if (typeof error.name === 'string' && error.name !== '' && error.name !== 'Error') return error.name;
  const maker = error.constructor;
  return (typeof maker === 'function' && maker !== Object && maker.name) || 'Error';
}

function textOf(thrown) {
  if (typeof thrown === 'string') return thrown;
  if (thrown !== null && typeof thrown === 'object' && typeof thrown.message === 'string') return thrown.message;
  const what = thrown === null || thrown === undefined ? String(thrown) : util.inspect(thrown, { depth: 2, breakLength: Infinity });
  return `${what} was thrown, which is no Error`;
}

function named(error) {
  return `${error !== null && typeof error === 'object' ? `${classOf(error)}: ` : ''}${textOf(error)}`;
}

/** "All promises were rejected" alone says nothing. */
function withMembers(error) {
  if (!(error instanceof AggregateError) || !Array.isArray(error.errors) || error.errors.length === 0) return textOf(error);
  const more = error.errors.length > 3 ? `; and ${error.errors.length - 3} more` : '';
  return `${textOf(error)} (${error.errors.slice(0, 3).map(named).join('; ')}${more})`;
}

function withCauses(error) {
  let text = withMembers(error);
  for (let depth = 0, at = error; depth < 4 && at !== null && typeof at === 'object' && at.cause != null; depth += 1) {
    at = at.cause;
    text += ` (cause: ${named(at)})`;
  }
  return text;
}

function stackOf(error) {
  if (error === null || typeof error !== 'object' || typeof error.stack !== 'string') return '';
  const cause = error.cause;
  return cause != null && typeof cause.stack === 'string' ? `${error.stack}\ncaused by ${cause.stack}` : error.stack;
}

/** Whatever was thrown, even if it throws when it is looked at. */
function partsOf(error) {
  try {
    const object = error !== null && typeof error === 'object';
    return {
      name: object ? String(classOf(error)) : 'Error',
      message: withCauses(error) + portHint(error),
      stack: stackOf(error),
      retryable: object && error.retryable === true,
    };
  } catch {
    return { name: 'Error', message: 'something was thrown that throws when it is looked at', stack: '', retryable: false };
  }
}

function errorMeta(error, cancelled) {
  const parts = partsOf(error);
  const meta = { name: cut(parts.name, NAME_MAX), message: cut(parts.message, MESSAGE_MAX), stack: cut(parts.stack, STACK_MAX) };
  if (parts.retryable) meta.retryable = true;
  if (cancelled) meta.cancelled = true;
  let text = JSON.stringify(meta);
  // JSON makes six bytes of a control character: then the limits in bytes of text are not enough.
  while (Buffer.byteLength(text) > META_MAX) {
    if (meta.stack !== '') meta.stack = cut(meta.stack, meta.stack.length >> 1);
    else meta.message = cut(meta.message, meta.message.length >> 1);
    text = JSON.stringify(meta);
  }
  return text;
}

const PORT_USE = /of null \(reading '(on|once|off|postMessage|addListener|addEventListener|close|ref|unref|start)'\)/;

/** `parentPort.on` in a process fails as "null"; the message has to say why it is null. */
function portHint(error) {
  if (!(error instanceof TypeError) || !PORT_USE.test(error.message)) return '';
  const place = placeOf(error);
  if (place === null || !sourceOf(place.file).includes('parentPort')) return '';
  return ': parentPort is null, because this worker is a process and a MessagePort cannot cross into a process.'
    + ' Export a function that returns its result; send messages with task.progress() or task.log()';
}

function sourceOf(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

// -------------------------------------------------------------------------------------------------------------------------------- snapshots

const snapshots = []; // ids of SNAPSHOT frames to answer
let snapshotting = false;
let snapshotFn = null;
let restoreFn = null;
let deliverState;
const stateToRestore = new Promise((resolve) => { deliverState = resolve; });
let stateCame = false;

function takeSnapshot(lo, hi, flags, body) {
  if ((flags & 1) === 0) {
    snapshots.push({ lo, hi });
    return;
  }
  if (ready || stateCame || env.EBBTIDE_RESTORE !== '1') die('a state to restore came that was not announced (EBBTIDE_RESTORE), or a second one');
  stateCame = true;
  deliverState(body);
}

async function answerSnapshot() {
  snapshotting = true;
  let state = null;
  try {
    if (snapshotFn !== null) state = encodeState(await snapshotFn());
  } catch (error) {
    log('error', `the snapshot failed, so there is none: ${textOf(error)}`, null);
    state = null;
  }
  const { lo, hi } = snapshots.shift();
  put(STATE, state === null ? 1 : 0, lo, hi, '', state);
  snapshotting = false;
  pump();
}

/** First byte: 0 for JSON, 1 for bytes. No state (undefined) is none. */
function encodeState(value) {
  if (value === undefined) return null;
  const bytes = value !== null && typeof value === 'object' ? bytesOf(value) : null;
  const state = bytes === null
    ? Buffer.from(`\0${encodeJson(value, 'the snapshot')}`)
    : Buffer.concat([Buffer.from([1]), bytes]);
  if (state.length + 12 > maxFrame) throw new RangeError(`it has ${state.length} bytes, more than a frame may have`);
  return state;
}

function decodeState(bytes) {
  if (bytes[0] === 1) return bytes.subarray(1);
  if (bytes[0] !== 0) throw new TypeError('it was not made by a Node worker');
  return JSON.parse(bytes.toString('utf8', 1));
}

async function restoreState() {
  const bytes = await stateToRestore;
  if (bytes.length === 0) return;
  if (restoreFn === null) {
    log('warn', `a state was to be restored, but ${env.EBBTIDE_TARGET} has no restore function: it starts without`, null);
    return;
  }
  try {
    await restoreFn(decodeState(bytes));
  } catch (error) {
    throw new LoadError(`the state of the predecessor could not be restored: ${textOf(error)}`, error, 'Let restore() accept what snapshot() gave, or start without');
  }
}

// ---------------------------------------------------------------------------------------------------------------------------- the user's code

class LoadError extends Error {
  constructor(message, cause, remedy) {
    super(`${message}. ${remedy}`);
    this.name = 'LoadError';
    if (cause !== null && typeof cause === 'object' && typeof cause.stack === 'string') this.stack = cause.stack;
  }
}

let targetFile = '';
let root;
const settled = new Map(); // what the exports that were promises came to
const handlers = new Map(); // by name, as they are asked for

function fileOf(name) {
  if (!name) throw new LoadError('EBBTIDE_TARGET does not say which file to run', null, 'Give the pool the path of the worker file');
  const file = name.startsWith('file:') ? url.fileURLToPath(name) : path.resolve(name);
  if (fs.existsSync(file)) return file;
  throw new LoadError(`there is no file ${file}`, null, `Relative paths start at ${process.cwd()}: give an absolute one, or start the pool elsewhere`);
}

async function loadTarget() {
  targetFile = fileOf(env.EBBTIDE_TARGET);
  // As in a thread: the program is the worker file.
  process.argv.splice(1, require.main === module ? 1 : 0, targetFile);
  try {
    root = await loadModule(targetFile);
    await settleExports();
  } catch (error) {
    throw explainLoad(error);
  }
  const find = (name) => [root, exported(root, 'default')].map((from) => exported(from, name)).find((fn) => typeof fn === 'function') || null;
  snapshotFn = snapshotFn || find('snapshot');
  restoreFn = restoreFn || find('restore');
}

async function loadModule(file) {
  if (isModuleFile(file)) return importFile(file);
  // A CommonJS file that imports modules later may import the ones we stand in for.
  if (sourceOf(file).includes('import(')) hookImports();
  try {
    return Module.createRequire(file)(file);
  } catch (error) {
    if (error && (error.code === 'ERR_REQUIRE_ESM' || error.code === 'ERR_REQUIRE_ASYNC_MODULE')) return importFile(file);
    throw error;
  }
}

function importFile(file) {
  hookImports();
  return import(url.pathToFileURL(file).href);
}

function isModuleFile(file) {
  const extension = path.extname(file);
  if (extension === '.mjs' || extension === '.mts') return true;
  if (extension === '.cjs' || extension === '.cts') return false;
  for (let at = path.dirname(file); ; at = path.dirname(at)) {
    const text = sourceOf(path.join(at, 'package.json'));
    if (text !== '') return /"type"\s*:\s*"module"/.test(text);
    if (path.dirname(at) === at) return false;
  }
}

/** Exports that are promises are waited for: the worker is not ready before. */
async function settleExports() {
  root = await root;
  for (const name of exportNames()) {
    const value = exported(root, name);
    if (isThenable(value)) settled.set(name, await value);
  }
}

/** What everything inherits (constructor, call, …) is no export; a getter that throws has none. */
function exported(from, name) {
  if (from === null || from === undefined) return undefined;
  try {
    const value = from[name];
    return value === Object.prototype[name] || value === Function.prototype[name] ? undefined : value;
  } catch {
    return undefined;
  }
}

function exportNames() {
  if (root === null || (typeof root !== 'object' && typeof root !== 'function')) return [];
  return Object.keys(root);
}

function handlerFor(name) {
  const wanted = name ?? (env.EBBTIDE_EXPORT || 'default');
  const known = handlers.get(wanted);
  if (known !== undefined) return known;
  const fn = findHandler(wanted, settled.get('default') ?? exported(root, 'default'));
  const found = { fn, takesTask: takesTask(fn) };
  handlers.set(wanted, found);
  return found;
}

/**
 * `length` counts the parameters before the first with a default. Others call a worker function with one argument: a second that is optional
 * (`(n, acc = 1) => ...`) is the function's own.
 */
function takesTask(fn) {
  return fn.length >= 2;
}

function findHandler(name, inner) {
  if (typeof settled.get(name) === 'function') return settled.get(name);
  const candidates = [exported(root, name), exported(inner, name)];
  // `default` of a CommonJS module that was compiled from a module lies one deeper.
  if (name === 'default') candidates.unshift(root, inner);
  for (const candidate of candidates) if (typeof candidate === 'function') return candidate;
  throw missingExport(name, candidates.find((candidate) => candidate !== undefined && candidate !== root), inner);
}

function missingExport(name, other, inner) {
  const names = new Set(exportNames());
  if (typeof root === 'function') names.add('default');
  if (inner !== null && typeof inner === 'object') Object.keys(inner).forEach((key) => names.add(key));
  const there = names.size === 0 ? 'It exports nothing' : `Its exports are: ${[...names].sort().join(', ')}`;
  const what = other === undefined || name === 'default' ? `there is no function "${name}"` : `the export "${name}" is of type ${typeof other}, not a function,`;
  const error = new TypeError(`${what} in ${targetFile}. ${there}`);
  error.name = 'MissingExport';
  return error;
}

const FIRST_PLACE = /^((?:file:\/\/|\/|[A-Za-z]:\\)[^\n]*?):(\d+)\n/;
const CALL_PLACE = /(?:\(|at (?:async )?)((?:file:\/\/|\/|[A-Za-z]:\\)[^\n()]*?):(\d+):\d+\)?(?=\n|$)/g;

/** Where in the user's code it went wrong: V8 puts the place of a syntax error first, and calls below. */
function placeOf(error) {
  const stack = error !== null && typeof error === 'object' && typeof error.stack === 'string' ? error.stack : '';
  const first = FIRST_PLACE.exec(stack);
  for (const [, name, line] of first ? [first] : stack.matchAll(CALL_PLACE)) {
    const file = name.startsWith('file:') ? url.fileURLToPath(name) : name;
    if (file !== module.filename) return { file, line };
  }
  return null;
}

/** The place of a syntax error in a module is told to nobody but the terminal: Node has to be asked once more. */
function placeOfSyntaxError(error, file) {
  if (!(error instanceof SyntaxError)) return null;
  const { stderr } = require('child_process').spawnSync(process.execPath, ['--check', file], { timeout: 5000, stdio: ['ignore', 'ignore', 'pipe'] });
  return placeOf({ stack: String(stderr) });
}

function explainLoad(error) {
  if (error instanceof LoadError) return error;
  const place = placeOf(error) || placeOfSyntaxError(error, targetFile);
  const message = textOf(error).split('\n')[0];
  const name = error !== null && typeof error === 'object' ? `${classOf(error)}: ` : '';
  const where = place === null ? '' : place.file === targetFile ? `, line ${place.line}` : ` (${place.file}, line ${place.line})`;
  const text = `${targetFile}${where} could not be loaded: ${name}${message}${portHint(error)}`;
  return new LoadError(text.replace(/\.$/, ''), error, remedyFor(error, message));
}

function remedyFor(error, message) {
  const code = error && error.code;
  if (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND') return moduleRemedy(message);
  if (/Cannot use import statement outside a module|Unexpected token 'export'/.test(message)) {
    return 'Name the file .mjs, or say "type": "module" in its package.json';
  }
  if (/\.[cm]?tsx?$/.test(targetFile)) return `Node ${process.version} does not take all of TypeScript: compile it, and name the .js file`;
  if (error instanceof SyntaxError) return 'Correct the syntax; `node --check FILE` shows it too';
  return 'It fails while it is loaded, before any task: run `node FILE` to see it alone';
}

function moduleRemedy(message) {
  const [, name] = /Cannot find (?:module|package) '([^']+)'/.exec(message) || [null, 'it'];
  if (STANDINS.has(name)) return `\`import\` of "${name}" needs Node 18.19 or newer (this is ${process.version}); \`require\` works`;
  if (name.startsWith('.') || path.isAbsolute(name) || name.startsWith('file:')) return 'Correct that path, or put the file there';
  return `Install it where the worker file finds it: npm install ${name}`;
}

// ------------------------------------------------------------------------------------------------------------- what user code finds around it

let userData;

const api = {
  /** True in a worker process of an ebbtide pool. */
  isEbbtideWorker: isWorker,
  /** What the pool gave its workers, or undefined. */
  get workerData() { return userData; },
  /** `fn` gives the state that a replacement starts from: a value for JSON, bytes, or a promise of one. */
  onSnapshot(fn) { snapshotFn = mustBeFunction(fn, 'onSnapshot'); },
  /** `fn` is called with what a predecessor's snapshot gave, before the worker is ready. */
  onRestore(fn) { restoreFn = mustBeFunction(fn, 'onRestore'); },
  /** The task that runs, for a function that is not given it. Undefined where none runs, and after an `await` where several may. */
  currentTask() {
    const task = onlyTask();
    return task === null ? undefined : viewOf(task);
  },
  /** A line for the pool's log; belongs to the task that runs, if one alone runs. */
  log(level, text) {
    if (socket === null) say(`${level}: ${text}`);
    else log(level, text, onlyTask());
  },
};
module.exports = api;
// Never run: what `import { … }` finds outside of a pool is read off these words.
0 && (module.exports = { isEbbtideWorker, workerData, onSnapshot, onRestore, currentTask, log });

function mustBeFunction(fn, name) {
  if (typeof fn !== 'function') throw new TypeError(`${name} takes a function`);
  return fn;
}

/** Stands in for the package `piscina` in worker files that were written for it. */
function piscinaStandIn() {
  function Piscina() {
    throw new Error('a worker of ebbtide cannot make a Piscina pool: make the pool in the program, not in the worker file');
  }
  const move = (value) => {
    if (value instanceof worker_threads.MessagePort) throw unfitError(new Unfit(value, 'a MessagePort', CANNOT_CROSS), value, 'the result');
    return value; // Bytes are written to the socket from where they lie: there is nothing to transfer.
  };
  return Object.assign(Piscina, {
    Piscina, default: Piscina, isWorkerThread: true, workerData: userData, move, transferableSymbol: TRANSFERABLE, valueSymbol: VALUE,
    queueOptionsSymbol: Symbol.for('Piscina.queueOptions'), FixedQueue: class FixedQueue {}, ArrayTaskQueue: class ArrayTaskQueue {},
    version: '0.0.0-ebbtide',
  });
}

const STANDINS = new Map();

function hookRequires() {
  STANDINS.set('piscina', piscinaStandIn());
  STANDINS.set('ebbtide-worker', api);
  Object.defineProperty(globalThis, REGISTRY, { value: STANDINS, configurable: true });
  const load = Module._load;
  Module._load = function (request, ...rest) {
    return STANDINS.has(request) ? STANDINS.get(request) : load.call(this, request, ...rest);
  };
}

/** The source of a module that hands on a stand-in, for `import`. */
function standInUrl(name) {
  const keys = Object.keys(STANDINS.get(name)).filter((key) => key !== 'default');
  const source = `const m = globalThis[Symbol.for('ebbtide.worker')].get('${name}');\nexport default m;\nexport const { ${keys.join(', ')} } = m;`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

let importsHooked = false;

/** Only where modules are used: up to Node 22.14 the hook is a thread, which costs some milliseconds of every start. */
function hookImports() {
  if (importsHooked) return;
  importsHooked = true;
  const urls = Object.fromEntries([...STANDINS.keys()].map((name) => [name, standInUrl(name)]));
  if (Module.registerHooks) {
    Module.registerHooks({
      resolve: (name, context, next) => (urls[name] && !isRequire(context) ? { url: urls[name], format: 'module', shortCircuit: true } : next(name, context)),
    });
  } else if (Module.register) {
    const hook = `const urls = ${JSON.stringify(urls)};\nexport async function resolve(name, context, next) {`
      + " return urls[name] ? { url: urls[name], format: 'module', shortCircuit: true } : next(name, context); }";
    Module.register(`data:text/javascript,${encodeURIComponent(hook)}`);
  }
}

function isRequire(context) {
  return context.conditions !== undefined && context.conditions.includes('require');
}

/** Worker files of thread pools ask worker_threads who they are. parentPort stays null: there is no port into a process. */
function dressAsThread() {
  worker_threads.isMainThread = false;
  worker_threads.workerData = userData;
  worker_threads.threadId = Number(env.EBBTIDE_WORKER) || 1;
}

/**
 * Node can neither duplicate a descriptor nor open a socket through /dev/fd, so the socket has to stay at 0. Instead, 0 means the null device to
 * everybody who asks for it by that number in JavaScript, and to child processes that would inherit it. What remains is native code.
 */
function hideStdin() {
  const nothing = fs.openSync('/dev/null', 'r+');
  hideInFs(nothing);
  hideFromChildren(nothing);
  let stdin = null;
  const { Readable } = require('stream');
  Object.defineProperty(process, 'stdin', {
    configurable: true,
    enumerable: true,
    get: () => (stdin = stdin || Object.assign(new Readable({ read() { this.push(null); } }), { fd: 0 })),
  });
}

function hideInFs(nothing) {
  const names = ['read', 'readv', 'readFile', 'write', 'writev', 'writeFile', 'appendFile', 'fstat', 'ftruncate', 'fsync', 'fdatasync'];
  for (const name of names.flatMap((each) => [each, `${each}Sync`])) {
    const real = fs[name];
    const hidden = function (file, ...rest) {
      return real.call(this, file === 0 ? nothing : file, ...rest);
    };
    copySymbols(real, hidden);
    fs[name] = hidden;
  }
  const { close, closeSync } = fs;
  fs.close = (file, done) => (file === 0 ? done && process.nextTick(done, null) : close(file, done));
  fs.closeSync = (file) => (file === 0 ? undefined : closeSync(file));
}

/** util.promisify(fs.read) resolves with an object because of symbols on the function. */
function copySymbols(from, to) {
  for (const symbol of Object.getOwnPropertySymbols(from)) Object.defineProperty(to, symbol, Object.getOwnPropertyDescriptor(from, symbol));
}

function hideFromChildren(nothing) {
  const children = require('child_process');
  const hide = (entry, index) => (entry === 0 || (entry === 'inherit' && index === 0) || (entry && entry.fd === 0) ? nothing : entry);
  const fixed = (options) => {
    if (options === null || typeof options !== 'object' || Array.isArray(options) || options.stdio === undefined) return options;
    const list = options.stdio === 'inherit' ? ['inherit', 'inherit', 'inherit'] : options.stdio;
    return Array.isArray(list) ? { ...options, stdio: list.map(hide) } : options;
  };
  const { spawn } = children.ChildProcess.prototype;
  children.ChildProcess.prototype.spawn = function (options) {
    return spawn.call(this, fixed(options));
  };
  for (const name of ['spawnSync', 'execSync', 'execFileSync']) {
    const real = children[name];
    children[name] = (...args) => real(...args.map(fixed));
  }
}

// -------------------------------------------------------------------------------------------------------------------------------------- life

/** Calls `hello` as soon as the socket can be written, and `then` when it is also read. */
function connect(then) {
  if (!env.EBBTIDE_SOCKET) {
    fd = givenSocket();
    hello();
  }
  // Takes more than a millisecond to load: the pool knows already that we live.
  const net = require('net');
  const onread = { buffer: nextTarget, callback: onRead };
  if (fd === -1) {
    socket = net.connect({ path: env.EBBTIDE_SOCKET, onread }, () => {
      fd = socket._handle.fd;
      hello();
      then();
    });
  } else {
    socket = new net.Socket({ fd, readable: true, writable: true, onread });
  }
  listenForTheEnd();
  if (fd !== -1) then();
}

function givenSocket() {
  const number = Number(env.EBBTIDE_FD || 0);
  let found = 'it is not open';
  try {
    if (fs.fstatSync(number).isSocket()) return number;
    found = 'it is no socket';
  } catch {
    // Said below.
  }
  return die(`descriptor ${number} is not the pool's socket (${found}). A worker is started by a pool; EBBTIDE_FD or EBBTIDE_SOCKET say where the socket is`);
}

function listenForTheEnd() {
  const gone = () => {
    fd = -1; // Nothing is written any more, also not by the exit.
    exit(0);
  };
  socket.on('end', gone).on('close', gone).on('error', (error) => {
    if (fd === -1) die(`cannot connect to ${env.EBBTIDE_SOCKET}: ${error.message}`);
    gone();
  });
}

function wholeNumber(name, otherwise) {
  if (!env[name]) return otherwise;
  const value = Number(env[name]);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new LoadError(`${name} is ${JSON.stringify(env[name])}`, null, 'It has to be a whole number from 1');
}

function hello() {
  const meta = { proto: 1, pid: process.pid, lang: 'node', nonce: env.EBBTIDE_NONCE, credits: concurrency };
  put(HELLO, 0, 0, 0, JSON.stringify(meta), null);
  flush();
}

function readData() {
  if (!env.EBBTIDE_DATA) return undefined;
  try {
    return JSON.parse(env.EBBTIDE_DATA);
  } catch (error) {
    throw new LoadError(`EBBTIDE_DATA is not JSON: ${error.message}`, null, 'The worker data has to be a value of JSON');
  }
}

function prepare() {
  if (env.EBBTIDE_PROTO && env.EBBTIDE_PROTO !== '1') {
    throw new LoadError(`the pool speaks version ${env.EBBTIDE_PROTO} of the protocol and this worker version 1`, null, 'Take the ebbtide-worker of the same release as the pool');
  }
  userData = readData();
  if (fd === 0) hideStdin();
  dressAsThread();
  guardJson();
  hookRequires();
  Module.syncBuiltinESMExports();
}

async function live(problem) {
  try {
    if (problem) throw problem;
    prepare();
    await loadTarget();
    if (env.EBBTIDE_RESTORE === '1') await restoreState();
    // Node tells of a rejection that nobody waits for only after this turn: who fails that way never was ready, and would be started for ever.
    await new Promise((turned) => setImmediate(turned));
  } catch (error) {
    failToLoad(error);
    return;
  }
  ready = true;
  put(READY, 0, 0, 0, '', null);
  pump();
}

function failToLoad(error) {
  ending = true;
  put(ERROR, 0, 0, 0, errorMeta(error, false), null);
  exit(EXIT_LOAD); // What is not written yet is written at exit.
}

/** After STOP, with everything done: user code may have left timers and handles, which do not keep the process. */
function end() {
  ending = true;
  const streams = [process.stdout, process.stderr].filter((stream) => stream.writableLength > 0);
  let left = streams.length;
  if (left === 0) exit(0);
  setTimeout(() => exit(0), LINGER_MS);
  for (const stream of streams) stream.write('', () => { if ((left -= 1) === 0) exit(0); });
}

/** As Node does, but the pool is told first: an error that belongs to no task's end leaves the worker in an unknown state. */
function onUncaught(error, origin) {
  if (process.listenerCount('uncaughtException') > 1) return; // User code takes care of it.
  if (!ready && socket !== null) {
    failToLoad(targetFile === '' ? error : explainLoad(error));
    return;
  }
  const task = running.size === 1 ? [...running][0] : null;
  const what = origin === 'unhandledRejection' ? 'a promise was rejected and nobody waited for it' : 'an error was thrown outside of a call';
  const text = `${what}: ${stackOf(error) || textOf(error)}`;
  say(text);
  log('error', text, task);
  exit(1);
}

function main() {
  let problem = null;
  try {
    maxFrame = wholeNumber('EBBTIDE_MAX_FRAME', maxFrame);
    concurrency = wholeNumber('EBBTIDE_CONCURRENCY', 1);
  } catch (error) {
    problem = error;
  }
  process.on('exit', () => { if (fd !== -1) writeAtExit(); });
  process.on('uncaughtException', onUncaught);
  connect(() => live(problem));
}

if (isWorker) main();
