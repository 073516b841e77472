// Loops until it is killed: about 80 MiB resident, and deaf to SIGTERM, so that only the end of the grace ends it.
process.on('SIGTERM', () => {})

const ballast = Buffer.alloc(30 << 20, 1)

exports.busy = () => {
  for (;;) ballast[0] ^= 1
}

exports.echo = (value) => value
