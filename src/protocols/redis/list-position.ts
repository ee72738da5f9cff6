/**
 * Positions of list elements that do not stand where the log has them. A position is bytes (as latin1) that sort as the elements do, from the end
 * where elements come out to the end where they go in: seven bytes of a number, for most elements the record's own offset, and, between
 * two neighbours, a fraction of any length that never ends in a zero byte. Elements that stand in the log's order carry none.
 */
const numberBytes = 7
const zero = 2 ** 52

/** Of a record that stands where the log has it. */
export function positionOfOffset(offset: number): string {
  return encodeNumber(offset + zero)
}

/** One before `first`, and before all that could ever come between. */
export function positionBefore(first: string): string {
  return encodeNumber(decodeNumber(first) - 1)
}

/** One between two neighbours; `before` sorts first. */
export function positionBetween(before: string, after: string): string {
  let position = ''
  let bound: string | null = after
  for (let at = 0; ; at++) {
    const low = at < before.length ? before.charCodeAt(at) : 0
    const high: number = bound === null ? 256 : at < bound.length ? bound.charCodeAt(at) : 0
    if (at >= numberBytes && high - low > 1) return position + String.fromCharCode((low + high) >> 1)
    position += String.fromCharCode(low)
    // From here on anything above what is left of `before` will do.
    if (high > low) bound = null
  }
}

function encodeNumber(value: number): string {
  let text = ''
  for (let rest = value, at = 0; at < numberBytes; at++, rest = Math.floor(rest / 256))
    text = String.fromCharCode(rest % 256) + text
  return text
}

function decodeNumber(position: string): number {
  let value = 0
  for (let at = 0; at < numberBytes; at++) value = value * 256 + position.charCodeAt(at)
  return value
}
