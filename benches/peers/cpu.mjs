// CPU time of this process, its threads and all its descendants, in nanoseconds.

import { readdirSync, readFileSync } from 'node:fs'

const read = (path) => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

export function treeCpu() {
  const parents = new Map()
  for (const pid of readdirSync('/proc').filter((name) => name > '0' && name < 'A')) {
    // The parent is the second field after the name, which is in parentheses.
    parents.set(Number(pid), Number(read(`/proc/${pid}/stat`).split(') ').pop().split(' ')[1]))
  }
  const ours = (pid) => {
    for (; pid; pid = parents.get(pid)) if (pid === process.pid) return true
    return false
  }
  let total = 0
  for (const pid of [...parents.keys()].filter(ours)) {
    try {
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        total += Number(read(`/proc/${pid}/task/${task}/schedstat`).split(' ')[0])
      }
    } catch {
      // It has ended in between.
    }
  }
  return total
}
