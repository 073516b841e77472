'use strict';
// How many tasks a second one worker does, and how long one takes: `node testing/measure.js [SECONDS]`. The other end is this process, so two cores are
// needed, and what is measured is the slower of the two.

const { spawn } = require('child_process');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const { frame, SDK } = require('./pool.js');

const seconds = Number(process.argv[2] ?? 2);
const RUNS = [
  { what: 'one at a time, 8 B', depth: 1, size: 8 },
  { what: '16 in flight, 8 B', depth: 16, size: 8 },
  { what: '16 in flight, 8 B, asynchronous', depth: 16, size: 8, source: 'module.exports = async (x) => x;' },
  { what: '16 in flight, 1 KiB', depth: 16, size: 1024 },
  { what: '2 in flight, 1 MiB of bytes each way', depth: 2, size: 1 << 20 },
];

/** Counts the ends in what comes, without looking at more than the headers. */
function counter(onEnds) {
  const head = Buffer.alloc(5);
  let have = 0; // of the head
  let skip = 0;
  return (chunk) => {
    let at = 0;
    let ends = 0;
    while (at < chunk.length) {
      if (skip > 0) {
        const step = Math.min(skip, chunk.length - at);
        at += step;
        skip -= step;
        continue;
      }
      head[have++] = chunk[at++];
      if (have < 5) continue;
      have = 0;
      skip = head.readUInt32LE(0) - 1;
      if (head[4] === 68) ends += 1;
      if (head[4] === 69) throw new Error('a task failed');
    }
    if (ends > 0) onEnds(ends);
  };
}

function run({ what, depth, size, source = 'module.exports = (x) => x;' }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'ebbtide-measure-'));
  fs.writeFileSync(path.join(folder, 'w.js'), source);
  const json = size < 1 << 20;
  const one = frame('TASK', 1, json ? null : { content_type: 'application/octet-stream' }, json ? `"${'x'.repeat(size - 2)}"` : Buffer.alloc(size));
  const many = Array.from({ length: depth + 1 }, (_, count) => Buffer.concat(Array(count).fill(one)));
  return new Promise((resolve) => {
    const server = net.createServer((socket) => {
      let done = 0;
      let from = 0;
      let since = 0n;
      socket.on('data', counter((ends) => {
        done += ends;
        for (let left = ends; left > 0; left -= depth) socket.write(many[Math.min(left, depth)]);
      })).on('error', () => {});
      setTimeout(() => { from = done; since = process.hrtime.bigint(); }, 400 + seconds * 300);
      setTimeout(() => {
        const rate = (done - from) / (Number(process.hrtime.bigint() - since) / 1e9);
        console.log(`${what.padEnd(40)} ${Math.round(rate).toLocaleString('en').padStart(9)}/s ${depth === 1 ? `${(1e6 / rate).toFixed(1)} µs` : ''}`);
        socket.destroy();
        server.close();
        fs.rmSync(folder, { recursive: true });
        resolve();
      }, 400 + seconds * 1300);
      socket.write(many[depth]);
    });
    const env = { ...process.env, EBBTIDE_SOCKET: path.join(folder, 's'), EBBTIDE_TARGET: path.join(folder, 'w.js') };
    server.listen(env.EBBTIDE_SOCKET, () => spawn(process.execPath, [SDK], { env, stdio: ['ignore', 'inherit', 'inherit'] }));
  });
}

async function main() {
  console.log(`Node ${process.version}, ${os.cpus().length} × ${os.cpus()[0].model.trim()}`);
  for (const each of RUNS) await run(each);
}

main();
