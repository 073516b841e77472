'use strict';
// The functions that the transcripts call, for the Node worker. `conformance.rs` and `worker.py` have the same.

const fs = require('fs');
const path = require('path');
const worker = require('ebbtide-worker');

const data = worker.workerData || {};
if (data.fail) throw new Error(data.fail);

let total = 0;
worker.onSnapshot(() => (data.stateless ? undefined : total));
worker.onRestore((state) => { total = state; });

class Oops extends Error {
  constructor({ message, times = 1, retryable }) {
    super(message.repeat(times));
    if (retryable) this.retryable = true;
  }
}

const cancelled = (task) => new Promise((resolve) => {
  const timer = setInterval(() => {}, 1000); // Keeps the process as a real wait would.
  const done = () => { clearInterval(timer); resolve(); };
  if (task.isCancelled) done();
  else task.signal.addEventListener('abort', done, { once: true });
});

const echo = (request) => request;

module.exports = {
  default: echo,
  echo,
  fail(request) { throw new Oops(request); },
  async sleep(_, task) { await cancelled(task); throw task.signal.reason; },
  nap(ms, task) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(ms), ms);
      task.signal.addEventListener('abort', () => { clearTimeout(timer); reject(task.signal.reason); }, { once: true });
    });
  },
  gate(name) {
    while (!fs.existsSync(path.join(process.env.CONFORMANCE_GATES, name)));
    return name;
  },
  async stubborn(_, task) { await cancelled(task); return task.signal.reason.message; },
  count(by) { total += by; return total; },
  bytes: (body, task) => Buffer.concat([Buffer.from(`${task.contentType}:`), body]),
  unencodable: () => ({ loop: 1n }),
  about: (_, task) => ({
    attempt: task.attempt,
    key: task.key === undefined ? null : task.key,
    deadline: task.deadlineMs !== undefined && task.deadlineMs > 0,
    content_type: task.contentType,
  }),
  given: () => data,
  say(_, task) {
    task.progress('half \u00e9');
    for (const level of ['debug', 'info', 'warn', 'error']) task.log(level, `a ${level}`);
    return null;
  },
  noise() { console.log('noise on stdout'); console.error('noise on stderr'); return null; },
  stdin: () => fs.readFileSync(0).length,
  exit: (code) => process.exit(code),
};
