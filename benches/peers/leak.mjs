// Piscina with the leaking worker: `node leak.mjs FILE SECONDS TASKS_PER_SECOND LEAK_MIB HOG_EVERY HOG_MIB` submits at a fixed rate and says every
// 100 ms how far it is, because it may not live to say it in the end: `ACCEPTED COMPLETED FAILED`.

import Piscina from 'piscina'

const [filename, ...numbers] = process.argv.slice(2)
const [seconds, rate, leak, hogEvery, hogMib] = numbers.map(Number)
// The limit that Piscina has; it is one of V8's heap, and sees no Buffer.
const pool = new Piscina({ filename, minThreads: 2, maxThreads: 2, resourceLimits: { maxOldGenerationSizeMb: 64 } })

let [accepted, completed, failed] = [0, 0, 0]
const say = () => console.log(`${accepted} ${completed} ${failed}`)
setInterval(say, 100).unref()

const begin = performance.now()
const tasks = []
for (let now = begin; now < begin + seconds * 1000; now = performance.now()) {
  for (; accepted < ((now - begin) / 1000) * rate; accepted++) {
    const hog = accepted % hogEvery === hogEvery - 1
    const task = pool.run({ key: accepted % 1000, leak: hog ? hogMib : leak })
    tasks.push(task.then(() => completed++, () => failed++))
  }
  await new Promise((resume) => setTimeout(resume, 5))
}
await Promise.all(tasks)
say()
await pool.destroy()
