/** Replies to Lua values and back, by Redis's rules. */
import { LuaTable, type LuaValue } from '../../lib/lua/value.ts'
import type { Reply } from '../../lib/resp/reply.ts'
import type { ReplyValue } from './value-reply.ts'

/** Tables in tables, of what a script returns. */
const depthMax = 100

export function toLua(value: ReplyValue): LuaValue {
  switch (value.kind) {
    case 'integer':
      return value.value
    case 'bulk':
      return value.text
    case 'status':
      return LuaTable.of({ ok: value.text })
    case 'error':
      return LuaTable.of({ err: value.text })
    case 'nil':
      return false
    case 'boolean':
      return value.value
    case 'double':
      return LuaTable.of({ double: value.value })
    case 'verbatim':
      return LuaTable.of({ verbatim_string: LuaTable.of({ format: value.format, string: value.text }) })
    case 'array':
      return LuaTable.list(value.items.map(toLua))
    case 'map': {
      const map = new LuaTable()
      for (let at = 0; at + 1 < value.items.length; at += 2)
        map.set(toLua(value.items[at] as ReplyValue), toLua(value.items[at + 1] as ReplyValue))
      return LuaTable.of({ map })
    }
    case 'set': {
      const set = new LuaTable()
      for (const item of value.items) set.set(toLua(item), true)
      return LuaTable.of({ set })
    }
  }
}

/** In RESP3 nil is nil, in RESP2 false. */
export const toLuaIn = (value: ReplyValue, protocol: number): LuaValue =>
  protocol === 3 && value.kind === 'nil' ? undefined : toLua(value)

/** Writes what a script returned. `protocol` is the one that the script has chosen, by which booleans are told. */
export function writeLua(reply: Reply, value: LuaValue, protocol: number, depth = 0): void {
  if (depth > depthMax) return reply.error('ERR reached lua stack limit')
  switch (typeof value) {
    case 'string':
      return reply.bulk(value)
    case 'number':
      return reply.integer(toInteger(value))
    case 'boolean':
      if (protocol === 3 && reply.protocol === 3) return reply.boolean(value)
      return value ? reply.integer(1) : reply.nil()
  }
  if (!(value instanceof LuaTable)) return reply.nil()
  writeTable(reply, value, protocol, depth)
}

function writeTable(reply: Reply, table: LuaTable, protocol: number, depth: number): void {
  const err = table.field('err')
  if (typeof err === 'string') return reply.error(oneLine(err))
  const ok = table.field('ok')
  if (typeof ok === 'string') return reply.status(oneLine(ok))
  const double = table.field('double')
  if (typeof double === 'number') return reply.double(double)
  const bigNumber = table.field('big_number')
  if (typeof bigNumber === 'string') return reply.bulk(oneLine(bigNumber))
  const verbatim = table.field('verbatim_string')
  if (verbatim instanceof LuaTable) {
    const text = verbatim.field('string')
    const format = verbatim.field('format')
    if (typeof text === 'string' && typeof format === 'string')
      return reply.verbatim(format.padEnd(3).slice(0, 3), Buffer.from(text, 'latin1').toString())
  }
  const map = table.field('map')
  if (map instanceof LuaTable) return writeEntries(reply, map, protocol, depth, true)
  const set = table.field('set')
  if (set instanceof LuaTable) return writeEntries(reply, set, protocol, depth, false)
  // A list ends at its first nil.
  let length = 0
  while (table.get(length + 1) !== undefined) length++
  reply.array(length)
  for (let at = 1; at <= length; at++) writeLua(reply, table.get(at), protocol, depth + 1)
}

function writeEntries(reply: Reply, table: LuaTable, protocol: number, depth: number, pairs: boolean): void {
  const entries: [LuaValue, LuaValue][] = []
  for (let entry = table.next(undefined); entry !== null; entry = table.next(entry[0])) entries.push(entry)
  if (pairs) reply.map(entries.length)
  else reply.set(entries.length)
  for (const [key, value] of entries) {
    writeLua(reply, key, protocol, depth + 1)
    if (pairs) writeLua(reply, value, protocol, depth + 1)
  }
}

const oneLine = (text: string): string => Buffer.from(text.replaceAll(/[\r\n]/g, ' '), 'latin1').toString()

/** As a C cast to a 64-bit integer. */
function toInteger(value: number): number | bigint {
  const whole = Math.trunc(value)
  if (Number.isSafeInteger(whole)) return whole === 0 ? 0 : whole
  if (Number.isNaN(whole) || whole >= 2 ** 63 || whole < -(2 ** 63)) return -(2n ** 63n)
  return BigInt(whole)
}
