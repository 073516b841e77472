// A worker that leaks where no heap limit of V8 sees it, Buffers, and keeps a cache that is worth handing on. `leak` is in MiB: a few of them, or so
// many that the task does not live to see its end under a limit. Runs under ebbtide and under Piscina as it is.
const started = process.hrtime.bigint().toString(36) + process.pid
const leaked = []
let cache = {}
let restored = 0

try {
  const { onSnapshot, onRestore } = require('ebbtide-worker')
  onSnapshot(() => cache)
  onRestore((state) => {
    cache = state
    restored = Object.keys(cache).length
  })
} catch {
  // Under Piscina there is nobody to hand the cache to.
}

module.exports = ({ key, leak }) => {
  cache[key] ??= `what was worth working out for ${key}`
  // Filled, so that they are resident; one by one, so that a limit is met in the middle of a task.
  for (let mib = 0; mib < leak; mib++) leaked.push(Buffer.alloc(1 << 20, 1))
  return { worker: started, cached: Object.keys(cache).length, restored }
}
