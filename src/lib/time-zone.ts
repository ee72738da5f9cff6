/** What clocks show in the time zones of the IANA, by their names. */

export function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false // a RangeError: there is none of this name
  }
}

/** A time as clocks of a zone show it, told as if that was UTC. */
export type WallClock = (at: number) => number

export function wallClock(zone: string): WallClock {
  if (zone === 'UTC') return (at) => at
  const format = new Intl.DateTimeFormat('en-US-u-ca-iso8601', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return (at) => {
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }
}

/** That of this machine. */
export const ownTimeZone = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone

/** When a clock shows this (told as if it was UTC); where it is put forward over it, or shows it twice, one of the times that come closest. */
export function whenShown(wall: WallClock, shown: number): number {
  const guess = shown - (wall(shown) - shown)
  return guess - (wall(guess) - shown)
}
