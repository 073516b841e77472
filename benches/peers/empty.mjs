// What Piscina and tinypool run: nothing.
export default (number) => number
