// Piscina and tinypool in the race. `node race.mjs CONTENDER` reads laps, one per line (`KIND PRODUCERS WORKERS SIZE`), and answers each
// with `= VALUE…` or `! WHY NOT`. Every `run` gives a promise, so there is nothing to fire and forget; all JavaScript that submits is one
// thread, so there are no two producers. What it runs is `empty.mjs`, on worker threads.

import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const WINDOW = 1000
const name = process.argv[2]
const filename = fileURLToPath(new URL('./empty.mjs', import.meta.url))
const { default: Pool } = await import(name)

class NotOffered extends Error {}

async function start(workers) {
  const pool = new Pool({ filename, minThreads: workers, maxThreads: workers, idleTimeout: 60_000 })
  for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, (_, i) => pool.run(i)))
  return pool
}

async function handle(pool, size) {
  const begin = process.hrtime.bigint()
  for (let done = 0; done < size; done += WINDOW) {
    const promises = []
    for (let i = 0; i < Math.min(WINDOW, size - done); i++) promises.push(pool.run(i))
    const values = await Promise.all(promises)
    if (values.some((value, i) => value !== i)) throw new Error('a wrong value came back')
  }
  return [Number(process.hrtime.bigint() - begin) / size]
}

async function pingPong(pool, size) {
  const begin = process.hrtime.bigint()
  for (let i = 0; i < size; i++) await pool.run(i)
  return [Number(process.hrtime.bigint() - begin) / size]
}

async function lap(kind, producers, workers, size) {
  const course = { handle, 'ping-pong': pingPong }[kind]
  if (kind === 'fire') throw new NotOffered('every run gives a promise; see the scenarios with a handle')
  if (kind === 'late') throw new NotOffered('setInterval keeps no grid: it counts anew from each run')
  if (!course) throw new NotOffered('this scenario is not for JavaScript')
  if (producers > 1) throw new NotOffered('one thread of JavaScript submits')
  if (workers > 2) throw new NotOffered('a worker is a whole JavaScript engine')
  const pool = await start(workers)
  try {
    return await course(pool, size)
  } finally {
    await pool.destroy()
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, ...numbers] = line.trim().split(' ')
  try {
    console.log(`= ${(await lap(kind, ...numbers.map(Number))).join(' ')}`)
  } catch (error) {
    console.log(`! ${error instanceof NotOffered ? error.message : `FAILED: ${error.message}`}`)
  }
}
