// JavaScript's pools in the race of worker processes. `node processes.mjs CONTENDER` reads laps, one per line (`KIND PRODUCERS WORKERS SIZE`,
// the size in milliseconds), and answers each with `= VALUE…` or `! WHY NOT`. The worker file is the one that ebbtide's node processes run.

import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { treeCpu } from './cpu.mjs'

const filename = fileURLToPath(new URL('./empty.mjs', import.meta.url))
const MIB = 1 << 20

class NotOffered extends Error {}

// Each gives `{ run, end }` of a pool with so many workers.
const contenders = {
  piscina: (workers) => piscina('piscina', workers),
  'piscina string': (workers) => piscina('piscina', workers),
  tinypool: (workers) => piscina('tinypool', workers, { runtime: 'worker_threads' }),
  'tinypool processes': (workers) => piscina('tinypool', workers, { runtime: 'child_process' }),
  'jest-worker': (workers) => jest(workers, true),
  'jest-worker processes': (workers) => jest(workers, false),
}

async function piscina(name, workers, options = {}) {
  const { default: Pool } = await import(name)
  const pool = new Pool({ filename, minThreads: workers, maxThreads: workers, idleTimeout: 600_000, ...options })
  return { run: (value) => pool.run(value), end: () => pool.destroy() }
}

async function jest(numWorkers, enableWorkerThreads) {
  const { Worker } = await import('jest-worker')
  const pool = new Worker(filename, { numWorkers, enableWorkerThreads, exposedMethods: ['default'] })
  return { run: (value) => pool.default(value), end: () => pool.end() }
}

// So many at a time, for so long: nanoseconds and CPU nanoseconds per task.
async function inFlight(pool, ms, window, make, right) {
  const cpu = treeCpu()
  const begin = performance.now()
  const end = begin + ms
  let done = 0
  const lane = async () => {
    do {
      const value = make(done)
      if (!right(value, await pool.run(value))) throw new Error('a wrong value came back')
      done++
    } while (performance.now() < end)
  }
  await Promise.all(Array.from({ length: window }, lane))
  const wall = (performance.now() - begin) * 1e6
  return [wall / done, (treeCpu() - cpu) / done]
}

// One at a time: p50 and p99.
async function oneAtATime(pool, ms) {
  const times = []
  const end = performance.now() + ms
  for (let i = 0; performance.now() < end; i++) {
    const begin = process.hrtime.bigint()
    if ((await pool.run(i)) !== i) throw new Error('a wrong value came back')
    times.push(Number(process.hrtime.bigint() - begin))
  }
  times.sort((a, b) => a - b)
  return [times[Math.floor(times.length * 0.5)], times[Math.floor(times.length * 0.99)]]
}

const large = process.argv[2] === 'piscina string' ? 'x'.repeat(MIB) : new Uint8Array(MIB).fill(120)
const courses = {
  'process-node': (pool, ms) => inFlight(pool, ms, 64, (i) => i, (value, back) => value === back),
  'process-node-one': oneAtATime,
  'process-node-mib': (pool, ms) => inFlight(pool, ms, 4, () => large, (value, back) => back.length === value.length),
}

let pool
async function lap(kind, workers, ms) {
  const course = courses[kind]
  if (!course) throw new NotOffered('this scenario is not for JavaScript')
  if (!pool) {
    pool = await contenders[process.argv[2]](workers)
    // All workers are there and have loaded the file.
    for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, (_, i) => pool.run(i)))
  }
  return course(pool, ms)
}

const input = createInterface({ input: process.stdin })
for await (const line of input) {
  const [kind, , workers, size] = line.trim().split(' ')
  try {
    console.log(`= ${(await lap(kind, Number(workers), Number(size))).join(' ')}`)
  } catch (error) {
    console.log(`! ${error instanceof NotOffered ? error.message : `FAILED: ${error.message}`}`)
  }
}
await pool?.end()
process.exit()
