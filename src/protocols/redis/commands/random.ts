/** Picking random elements, for SRANDMEMBER, HRANDFIELD and ZRANDMEMBER. */
import { integer } from '../arguments.ts'
import { RedisError } from '../errors.ts'

/** Of elements picked with repetition; a reply of more has no use. */
const countMax = 2 ** 31 - 1

/** The count: negative allows repetition. `pairs`: twice as many are replied. */
export function randomCount(arg: Buffer | undefined, pairs: boolean): number {
  const count = integer(arg)
  if (count <= -(2 ** 63))
    throw new RedisError('ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807')
  const limit = pairs ? Number.MAX_SAFE_INTEGER / 2 : Number.MAX_SAFE_INTEGER
  if (count > limit || count < -limit) throw new RedisError('ERR value is out of range')
  if (count < -countMax) throw new RedisError('ERR value is out of range')
  return count
}

/** Random places among `size`: `count` different ones, or all; with a negative count so many, repeated. */
export function pickPlaces(size: number, count: number): number[] {
  if (size === 0 || count === 0) return []
  if (count < 0) return Array.from({ length: -count }, () => Math.floor(Math.random() * size))
  if (count >= size) return Array.from({ length: size }, (_, place) => place)
  if (count * 3 < size) {
    const picked = new Set<number>()
    while (picked.size < count) picked.add(Math.floor(Math.random() * size))
    return [...picked]
  }
  const places = Array.from({ length: size }, (_, place) => place)
  for (let at = 0; at < count; at++) {
    const other = at + Math.floor(Math.random() * (size - at))
    ;[places[at], places[other]] = [places[other] as number, places[at] as number] // both are within
  }
  return places.slice(0, count)
}
