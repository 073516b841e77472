'use strict';
const test = require('node:test');
const assert = require('node:assert');
const fs = require('fs');
const { start, frame, task, TYPES, GATE } = require('../testing/pool.js');

const header = (length, type = 1, metaLength = 0) => {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt8(type, 4);
  bytes.writeUInt16LE(metaLength, 6);
  return bytes;
};
const item = (claimed, text) => {
  const bytes = Buffer.alloc(12 + text.length);
  bytes.writeUInt32LE(claimed, 0);
  bytes.write(text, 12);
  return bytes;
};

const BROKEN = [
  ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /bytes came, and 67108864 is the most/],
  // Only the length is there: it has to be enough.
  ['a huge length', Buffer.from([255, 255, 255, 255]), /a frame of 4294967295 bytes came, and 67108864 is the most/],
  ['one byte more than the limit', header(67108865).subarray(0, 4), /67108865 bytes came/],
  ['less than a header', header(11), /a frame of 11 bytes came, which is less than its header/],
  ['more meta than frame', header(20, 1, 9), /a frame of 20 bytes came that claims 9 bytes of meta/],
  ['an unknown type', frame(8), /a frame of type 8 came/],
  ['a type of the other direction', frame('RESULT', 1), /a frame of type 68 came/],
  ['meta that is no JSON', frame('TASK', 1, '{"fn":'), /meta of a frame is not JSON/],
  ['meta that is no object', frame('TASK', 1, '[]'), /not a JSON object/],
  ['meta that is no text', Buffer.concat([header(22, 1, 10), Buffer.from('{"fn":"'), Buffer.from([0xff]), Buffer.from('"}')]), /not UTF-8/],
  ['a field of another kind', frame('TASK', 1, '{"fn":5}'), /"fn" in the meta of a frame is not a string/],
  ['an attempt that is no number', frame('TASK', 1, '{"attempt":"1"}'), /"attempt" in the meta of a frame is not a number/],
  ['a RECALL of half an id', frame('RECALL', 1, null, '1234'), /a RECALL has 4 bytes/],
  ['an item of a BATCH that is cut off', frame('BATCH', 0, null, 'short'), /an item of a BATCH is cut off/],
  ['an item of a BATCH that claims too much', frame('BATCH', 0, null, item(9, 'x')), /claims 9 bytes and has 1/],
  ['a state that nobody announced', frame('SNAPSHOT', 0, null, '\0{}', 1), /was not announced/],
];
for (const [what, bytes, message] of BROKEN) {
  test(`${what} ends the worker with 70 and says why`, async (t) => {
    const w = await start(t, 'module.exports = () => 1;');
    await w.ready();
    w.send(bytes);
    assert.deepStrictEqual(await w.exit(), { code: 70, signal: null });
    assert.match(w.stderr, message);
    assert.strictEqual(w.frames.length, 0);
  });
}

test('the limit of the environment counts, to the byte', async (t) => {
  const w = await start(t, 'module.exports = (x) => x.length;', { env: { EBBTIDE_MAX_FRAME: '100' } });
  await w.ready();
  const meta = JSON.stringify({ content_type: 'application/xml' });
  const most = 100 - 12 - meta.length;
  assert.strictEqual((await w.call(1, Buffer.alloc(most), meta)).value, most);
  w.send(frame('TASK', 2, null, Buffer.alloc(89)));
  assert.strictEqual((await w.exit()).code, 70);
  assert.match(w.stderr, /101 bytes came, and 100 is the most/);
});

test('unknown fields, unknown flags and null are ignored', async (t) => {
  const w = await start(t, 'module.exports = (x, task) => [x, task.attempt];');
  await w.ready();
  w.send(frame('TASK', 1, { colour: 'blue', attempt: null, fn: null }, '5', 0xff));
  await w.expect('START', 1);
  assert.deepStrictEqual((await w.expect('RESULT', 1)).value, [5, 1]);
});

test('frames may come byte by byte, and many at once', async (t) => {
  const w = await start(t, 'module.exports = (x) => x;');
  await w.ready();
  const bytes = Buffer.concat([task(1, 'ä', { fn: 'default' }), frame('PING', 2), task(3, [1, 2, 3])]);
  for (const byte of bytes) {
    await new Promise((done) => w.socket.write(Buffer.from([byte]), done));
    await new Promise((done) => setImmediate(done));
  }
  const seen = [];
  for (let i = 0; i < 5; i += 1) seen.push(await w.next());
  // A PONG may overtake a task.
  const told = seen.filter((each) => each.type !== 'PONG').map((each) => [each.type, each.id, each.text]);
  assert.deepStrictEqual(told, [['START', 1, ''], ['RESULT', 1, '"ä"'], ['START', 3, ''], ['RESULT', 3, '[1,2,3]']]);
});

const MIB = 1024 * 1024;

test('1 MiB both ways at once, several in flight, nothing lost or mixed up', async (t) => {
  const w = await start(t, 'module.exports = (x) => x;');
  await w.ready();
  const meta = { content_type: 'application/octet-stream' };
  const count = 24;
  const body = (id) => Buffer.alloc(MIB + id, id);
  for (let id = 1; id <= count; id += 1) w.send(frame('TASK', id, meta, body(id)));
  for (let id = 1; id <= count; id += 1) {
    await w.expect('START', id);
    const end = await w.expect('RESULT', id);
    assert.ok(end.body.equals(body(id)), `the body of ${id}`);
  }
});

test('1 MiB of JSON text, with characters of every length', async (t) => {
  const w = await start(t, 'module.exports = (x) => x;');
  await w.ready();
  const text = 'aä€𝄞'.repeat(MIB / 10);
  assert.ok((await w.call(1, text)).value === text);
});

test('sizes around the buffers of the worker', async (t) => {
  const w = await start(t, 'module.exports = (x) => x;');
  await w.ready();
  const meta = { content_type: 'application/octet-stream' };
  const sizes = [21845, 65536, 262144].flatMap((size) => [-60, -59, -58, -57, -56, -17, -16, -12, -1, 0, 1].map((by) => size + by));
  const bodies = sizes.map((size) => Buffer.alloc(size, size & 0xff));
  w.send(...bodies.map((body, id) => Buffer.concat([frame('TASK', id, meta, body), frame('PING', id)])));
  const ends = [];
  let pongs = 0;
  while (ends.length < bodies.length || pongs < bodies.length) {
    const got = await w.next();
    if (got.type === 'PONG') pongs += 1;
    if (got.type === 'RESULT') ends.push(got);
  }
  ends.forEach((end, id) => assert.ok(end.id === id && end.body.equals(bodies[id]), `size ${sizes[id]}`));
});

for (const concurrency of ['1', '4']) test(`while the pool does not read, the worker still reads, starts nothing it cannot say, and loses nothing (${concurrency} at once)`, async (t) => {
  const w = await start(t, `const fs = require('fs'); module.exports = (x) => { fs.appendFileSync(__dirname + '/ran', x + ' '); return Buffer.alloc(${2 * MIB}, x); };`, { env: { EBBTIDE_CONCURRENCY: concurrency } });
  await w.ready();
  w.socket.pause();
  w.send(task(1, 1), task(2, 2), task(3, 3));
  // All of it goes through only if the worker reads although it cannot write.
  const meta = { content_type: 'application/octet-stream' };
  const most = frame('TASK', 9, meta, Buffer.alloc(4 * MIB));
  await new Promise((done) => w.socket.write(Buffer.concat([most, frame('CANCEL', 9)]), done));
  while (!fs.existsSync(w.path('ran'))) await new Promise((done) => setTimeout(done, 5));
  assert.strictEqual(fs.readFileSync(w.path('ran'), 'utf8'), '1 ');
  w.socket.resume();
  const seen = [];
  for (let i = 0; i < 7; i += 1) seen.push(await w.next());
  const ends = seen.filter((each) => each.type === 'RESULT');
  assert.deepStrictEqual(ends.map((each) => [each.id, each.body.length, each.body.every((byte) => byte === each.id)]), [1, 2, 3].map((id) => [id, 2 * MIB, true]));
  assert.strictEqual(seen.find((each) => each.type === 'ERROR').id, 9);
});

test('many small ends that the pool does not read: none is lost, none is out of order', async (t) => {
  const w = await start(t, 'module.exports = (x) => "r".repeat(x);');
  await w.ready();
  w.socket.pause();
  const count = 3000;
  const size = (id) => 300 + (id % 700);
  await new Promise((done) => w.socket.write(Buffer.concat(Array.from({ length: count }, (_, id) => task(id, size(id)))), done));
  w.send(frame('PING', 1));
  await new Promise((done) => setTimeout(done, 100));
  w.socket.resume();
  for (let id = 0; id < count; id += 1) {
    let got = await w.next();
    if (got.type === 'PONG') got = await w.next();
    assert.deepStrictEqual([got.type, got.id], ['START', id]);
    got = await w.next();
    if (got.type === 'PONG') got = await w.next();
    assert.deepStrictEqual([got.type, got.id, got.body.length], ['RESULT', id, size(id) + 2]);
  }
});

test('bytes that wait to be written are those of the end of the task, whatever their owner does to them later', async (t) => {
  const source = `const bytes = Buffer.alloc(${4 * MIB}, 1);
    module.exports = () => { setTimeout(() => { bytes.fill(2); require('fs').writeFileSync(__dirname + '/filled', ''); }, 5); return bytes; };`;
  const w = await start(t, source);
  await w.ready();
  w.socket.pause();
  w.send(task(1, 0));
  while (!fs.existsSync(w.path('filled'))) await new Promise((done) => setTimeout(done, 5));
  w.socket.resume();
  await w.expect('START', 1);
  assert.ok((await w.expect('RESULT', 1)).body.every((byte) => byte === 1));
});

/** A part is written, so that the rest is not the whole. */
function readSome(w, bytes) {
  return new Promise((done) => {
    const look = () => {
      if (w.input.length < bytes) return;
      w.socket.off('data', look).pause();
      done();
    };
    w.socket.on('data', look).resume();
  });
}

test('what waits to be written at process.exit is written, if the pool reads', async (t) => {
  const w = await start(t, `${GATE} module.exports = () => {
    later('go').then(() => { require('ebbtide-worker').log('info', 'last words'); process.exit(3); });
    return Buffer.alloc(${4 * MIB}, 1);
  };`);
  await w.ready();
  w.send(task(1, 1));
  await w.expect('START', 1);
  w.socket.pause();
  await readSome(w, MIB);
  w.open('go');
  await new Promise((done) => setTimeout(done, 50));
  w.socket.resume();
  const end = await w.expect('RESULT', 1);
  assert.ok(end.body.length === 4 * MIB && end.body.every((byte) => byte === 1));
  assert.strictEqual((await w.expect('LOG', 0)).text, 'last words');
  assert.strictEqual((await w.exit()).code, 3);
});

test('a pool that is gone while much waits to be written ends the worker', async (t) => {
  const w = await start(t, `module.exports = () => Buffer.alloc(${8 * MIB});`);
  await w.ready();
  w.socket.pause();
  w.send(task(1, 1));
  await new Promise((done) => setTimeout(done, 50));
  w.socket.destroy();
  assert.strictEqual((await w.exit()).code, 0);
});

test('what is printed cannot corrupt a frame', async (t) => {
  const w = await start(t, 'module.exports = (x) => { console.log(x); process.stdout.write("\\x00\\x01"); console.error(x); return x; };');
  await w.ready();
  assert.strictEqual((await w.call(1, 'noise')).value, 'noise');
  w.send(frame('STOP'));
  await w.exit();
  assert.deepStrictEqual([w.stdout, w.stderr], ['noise\n\x00\x01', 'noise\n']);
});

test('the numbers of the types are those of the protocol', () => {
  assert.deepStrictEqual(Object.values(TYPES), [1, 2, 3, 4, 5, 6, 7, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74]);
});
