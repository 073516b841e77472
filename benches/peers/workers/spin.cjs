// Works for a millisecond by the clock and gives back what it was given.
module.exports = (number) => {
  const end = process.hrtime.bigint() + 1_000_000n
  while (process.hrtime.bigint() < end);
  return number
}
