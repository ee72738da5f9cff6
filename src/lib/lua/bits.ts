/** `bit`: operations on 32-bit integers, as LuaBitOp has them. */
import { type Args, install } from './library.ts'
import type { Machine } from './machine.ts'
import { LuaTable } from './value.ts'

export function installBits(machine: Machine): void {
  const library = new LuaTable()
  install(machine, library, (check) => {
    /** To a signed 32-bit integer, wrapping. */
    const bits = (name: string, args: Args, place: number): number => {
      const value = check(name).number(args, place)
      // Beyond 2^53 the low bits are those of the nearest integer.
      return Math.abs(value) < 2 ** 53 ? Math.round(value) | 0 : Number(BigInt.asIntN(32, BigInt(Math.round(value) || 0)))
    }
    const fold =
      (name: string, operation: (one: number, other: number) => number) =>
      (args: Args): number[] => {
        let value = bits(name, args, 1)
        for (let place = 2; place <= args.length; place++) value = operation(value, bits(name, args, place))
        return [value | 0]
      }
    const shift =
      (name: string, operation: (value: number, by: number) => number) =>
      (args: Args): number[] => [operation(bits(name, args, 1), bits(name, args, 2) & 31) | 0]
    return {
      tobit: (args) => [bits('tobit', args, 1)],
      bnot: (args) => [~bits('bnot', args, 1)],
      band: fold('band', (one, other) => one & other),
      bor: fold('bor', (one, other) => one | other),
      bxor: fold('bxor', (one, other) => one ^ other),
      lshift: shift('lshift', (value, by) => value << by),
      rshift: shift('rshift', (value, by) => value >>> by),
      arshift: shift('arshift', (value, by) => value >> by),
      rol: shift('rol', (value, by) => (value << by) | (value >>> (32 - by))),
      ror: shift('ror', (value, by) => (value >>> by) | (value << (32 - by))),
      bswap: (args) => {
        const value = bits('bswap', args, 1)
        return [(value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)]
      },
      tohex: (args) => {
        const value = bits('tohex', args, 1)
        const wanted = args[1] === undefined ? 8 : bits('tohex', args, 2)
        const digits = (value >>> 0)
          .toString(16)
          .padStart(8, '0')
          .slice(-Math.min(8, Math.abs(wanted)) || 8)
        return [wanted < 0 ? digits.toUpperCase() : digits]
      },
    }
  })
  machine.globals.set('bit', library)
}
