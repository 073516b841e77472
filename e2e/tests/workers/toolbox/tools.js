'use strict';
// The tools of the tests as a Node worker: a request is [tool, argument]. The same as in tools.py and rust.rs.
const fs = require('fs');
const { spawn } = require('child_process');
const sdk = require('ebbtide-worker');

if (process.env.EBBTIDE_TEST_BLOCK && fs.existsSync(process.env.EBBTIDE_TEST_BLOCK)) throw new Error('blocked by the test');
for (const wait = process.env.EBBTIDE_TEST_WAIT; wait && fs.existsSync(wait); ) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
let count = 0;
const kept = [];

// Until the file is there, or the task is asked to end.
async function gate(path, task) {
  while (!fs.existsSync(path)) {
    task.signal.throwIfAborted();
    await pause(2);
  }
  return path;
}

const tools = {
  echo: (value) => value,
  attempt: (_, task) => [task.attempt, task.key ?? null],
  gate,
  // The same for one that never looks whether it was asked.
  deaf: async (path) => {
    while (!fs.existsSync(path)) await pause(2);
    return path;
  },
  why: async (path, task) => {
    await gate(path, task).catch(() => {});
    return task.signal.aborted ? task.signal.reason.message : null;
  },
  busy: () => {
    for (;;) ;
  },
  stubborn: () => {
    process.on('SIGTERM', () => {});
    for (;;) ;
  },
  spin: (ms) => {
    const until = Date.now() + ms;
    while (Date.now() < until) ;
    return ms;
  },
  fail: (text) => {
    throw new RangeError(text);
  },
  fail_later: async (text) => {
    await pause(1);
    throw new RangeError(text);
  },
  fail_after: (text) => {
    setTimeout(() => {
      throw new RangeError(text);
    }, 20);
    return 'returned';
  },
  exit: (code) => process.exit(code),
  exit_after: (code) => {
    setTimeout(() => process.exit(code), 20);
    return 'returned';
  },
  kill: () => {
    process.kill(process.pid, 'SIGKILL');
    for (;;) ;
  },
  garbage: () => toThePool(Buffer.from('00ff'.repeat(64), 'hex')),
  half: () => {
    toThePool(Buffer.from('7000000044000000ffff000000000000' + '31'.repeat(8), 'hex'));
    tools.kill();
  },
  kill_first: (_, task) => (task.attempt === 1 ? tools.kill() : task.attempt),
  pid: () => process.pid,
  count: (by) => (count += by),
  env: (name) => process.env[name] ?? null,
  data: () => sdk.workerData ?? null,
  argv: () => process.execArgv,
  nice: () => require('os').getPriority(),
  note: ([path, line]) => {
    fs.appendFileSync(path, `${line}\n`);
    return line;
  },
  say: (text) => {
    fs.writeSync(1, `${text}\n`);
    fs.writeSync(2, `${text}!\n`);
    return null;
  },
  log: ([level, text], task) => task.log(level, text),
  log_outside: ([level, text]) => {
    setTimeout(() => sdk.log(level, text), 5);
    return null;
  },
  progress: async ([text, path], task) => {
    task.progress(text);
    return gate(path, task);
  },
  flood: (bytes) => {
    const chunk = Buffer.alloc(1 << 20, 'x'.repeat(79) + '\n');
    for (let done = 0; done < bytes; done += 2 * chunk.length) for (const fd of [1, 2]) writeAll(fd, chunk);
    fs.writeSync(2, 'the last line\n');
    return bytes;
  },
  // Buffers, outside of the heap that V8 limits.
  hog: (mib) => {
    for (let i = 0; i < mib; i += 1) kept.push(Buffer.alloc(1 << 20, 1));
    return kept.length;
  },
  orphan: () => {
    const child = spawn('setsid', ['sleep', '1000'], { stdio: 'ignore' });
    return child.pid;
  },
  refuse: () => ({ back: 10n }),
  bytes: (size) => Buffer.alloc(size, 7),
};

// Writes into the socket of the worker itself, behind the back of what serves it: which hides it from `fs`, but not from this.
function toThePool(bytes) {
  process._getActiveHandles().find((handle) => handle._handle?.fd === 0).write(bytes);
}

function writeAll(fd, chunk) {
  for (let at = 0; at < chunk.length; ) {
    try {
      at += fs.writeSync(fd, chunk, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

module.exports = ([tool, argument], task) => tools[tool](argument, task);
module.exports.hello = (name) => `hello ${name}`;
module.exports.raw = (bytes, task) => (Buffer.isBuffer(bytes) ? Buffer.concat([Buffer.from(`${task.contentType}:`), bytes]) : bytes);
sdk.onSnapshot(() => ({ count }));
sdk.onRestore((state) => {
  count = state.count;
});
