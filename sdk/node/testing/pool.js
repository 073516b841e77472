'use strict';
// One worker and the pool's end of its socket, for the tests. Node cannot make a socket pair: the worker connects to a socket in a temporary folder, or
// (via: 'fd0') socketpair.py makes the pair, starts the worker on it with the bootstrap as a pool does, and passes the bytes on.

const { spawn } = require('child_process');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');

const SDK = path.join(__dirname, '..', 'worker.js');
const BOOTSTRAP = path.join(__dirname, '..', 'bootstrap.js');
const TYPES = {
  TASK: 1, BATCH: 2, CANCEL: 3, RECALL: 4, PING: 5, SNAPSHOT: 6, STOP: 7,
  HELLO: 65, READY: 66, START: 67, RESULT: 68, ERROR: 69, RETURNED: 70, STATE: 71, PROGRESS: 72, LOG: 73, PONG: 74,
};
const NAMES = Object.fromEntries(Object.entries(TYPES).map(([name, number]) => [number, name]));
// A safety net: nothing that is tested takes this long.
const NET_MS = 30_000;

function frame(type, id = 0, meta = null, body = '', flags = 0) {
  const metaBytes = meta === null ? Buffer.alloc(0) : Buffer.from(typeof meta === 'string' ? meta : JSON.stringify(meta));
  const bodyBytes = Buffer.from(body);
  const head = Buffer.alloc(16);
  head.writeUInt32LE(12 + metaBytes.length + bodyBytes.length, 0);
  head.writeUInt8(TYPES[type] ?? type, 4);
  head.writeUInt8(flags, 5);
  head.writeUInt16LE(metaBytes.length, 6);
  head.writeBigUInt64LE(BigInt(id), 8);
  return Buffer.concat([head, metaBytes, bodyBytes]);
}

function task(id, value, meta = null) {
  return frame('TASK', id, meta, value === undefined ? '' : JSON.stringify(value));
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${NET_MS} ms`)), NET_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Worker {
  constructor(folder) {
    this.folder = folder;
    this.frames = [];
    this.readers = [];
    this.input = Buffer.alloc(0);
    this.ended = false;
    this.stdout = '';
    this.stderr = '';
  }

  /** A path in the worker's folder, for gates. */
  path(name) { return path.join(this.folder, name); }

  open(name) { fs.writeFileSync(this.path(name), ''); }

  read(chunk) {
    this.input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
    let at = 0;
    while (this.input.length - at >= 16) {
      const end = at + 4 + this.input.readUInt32LE(at);
      if (this.input.length < end) break;
      const body = at + 16 + this.input.readUInt16LE(at + 6);
      const meta = this.input.toString('utf8', at + 16, body);
      this.frames.push({
        type: NAMES[this.input[at + 4]] ?? this.input[at + 4],
        flags: this.input[at + 5],
        id: Number(this.input.readBigUInt64LE(at + 8)),
        rawId: this.input.readBigUInt64LE(at + 8),
        meta: meta === '' ? {} : JSON.parse(meta),
        metaLength: Buffer.byteLength(meta),
        body: this.input.subarray(body, end),
        get text() { return this.body.toString(); },
        get value() { return JSON.parse(this.text); },
      });
      at = end;
    }
    this.input = this.input.subarray(at);
    this.wake();
  }

  wake() {
    while (this.readers.length > 0 && this.frames.length > 0) this.readers.shift().resolve(this.frames.shift());
    if (this.ended) this.readers.splice(0).forEach(({ reject }) => reject(new Error(`the worker closed its socket; ${this.problem} stderr: ${this.stderr}`)));
  }

  /** The next frame, in the order in which they come. */
  next() {
    const promise = new Promise((resolve, reject) => { this.readers.push({ resolve, reject }); });
    this.wake();
    return within(promise, `a frame (stderr: ${this.stderr})`);
  }

  /** The next frame, which has to be this one. */
  async expect(type, id) {
    const got = await this.next();
    if (got.type !== type || (id !== undefined && got.id !== id)) {
      throw new Error(`expected ${type} ${id ?? ''}, got ${got.type} ${got.id} ${JSON.stringify(got.meta)} ${got.text.slice(0, 200)}`);
    }
    return got;
  }

  async ready() {
    await this.expect('HELLO');
    await this.expect('READY');
    return this;
  }

  send(...bytes) { this.socket.write(Buffer.concat(bytes)); }

  /** START and the end of a task that is sent alone. */
  async call(id, value, meta = null) {
    this.send(Buffer.isBuffer(value) ? frame('TASK', id, meta, value) : task(id, value, meta));
    await this.expect('START', id);
    const end = await this.next();
    if (end.id !== id || !['RESULT', 'ERROR'].includes(end.type)) throw new Error(`expected the end of ${id}, got ${end.type} ${end.id}`);
    return end;
  }

  exit() { return within(this.exited, `the exit of the worker (stderr: ${this.stderr})`); }
}

function commandFor(folder, options) {
  if (options.via !== 'fd0') return [process.execPath, [...(options.flags ?? []), options.sdk ?? SDK, ...(options.args ?? [])]];
  const helper = path.join(__dirname, 'socketpair.py');
  return ['python3', [helper, path.join(folder, 'socket'), SDK, process.execPath, ...(options.flags ?? []), '-e', fs.readFileSync(BOOTSTRAP, 'utf8'), ...(options.args ?? [])]];
}

function writeFiles(folder, files) {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
}

/**
 * Starts a worker on `source`. Options: name (of the worker file), files (more of them, by name), env, via, flags, args, sdk.
 * The worker file finds its folder in __dirname or import.meta.
 */
async function start(t, source, options = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ebbtide-node-'));
  const name = options.name ?? 'worker.js';
  writeFiles(folder, { ...(source === null ? {} : { [name]: source }), ...options.files });
  const worker = new Worker(folder);
  const connected = listen(worker, t);
  const [program, args] = commandFor(folder, options);
  const env = {
    PATH: process.env.PATH, EBBTIDE_PROTO: '1', EBBTIDE_NONCE: 'n-1', EBBTIDE_TARGET: path.join(folder, name), EBBTIDE_WORKER: '3', ...options.env,
  };
  if (options.via !== 'fd0') env.EBBTIDE_SOCKET = path.join(folder, 'socket');
  const child = spawn(program, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (data) => { worker.stdout += data; });
  child.stderr.on('data', (data) => { worker.stderr += data; });
  worker.child = child;
  worker.exited = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })));
  t.after(() => {
    child.kill('SIGKILL');
    if (worker.socket) worker.socket.destroy();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  await within(Promise.race([connected, worker.exited]), 'the connection');
  return worker;
}

function listen(worker, t) {
  return new Promise((resolve) => {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      worker.socket = socket;
      socket.on('data', (chunk) => worker.read(chunk));
      const ended = (error) => {
        worker.ended = true;
        worker.problem = worker.problem ?? error?.code ?? '';
        worker.wake();
      };
      socket.on('end', ended).on('error', ended).on('close', ended);
      server.close();
      resolve();
    });
    server.listen(worker.path('socket'));
    t.after(() => server.close());
  });
}

/** Source for worker files: waits, without giving the loop a turn, until a file is there. */
const GATE = `
const gate = (name) => { while (!require('fs').existsSync(require('path').join(__dirname, name))); };
const later = (name) => new Promise((done) => { const timer = setInterval(() => { if (require('fs').existsSync(require('path').join(__dirname, name))) { clearInterval(timer); done(); } }, 2); });
`;

module.exports = { start, frame, task, TYPES, GATE, SDK, BOOTSTRAP };
