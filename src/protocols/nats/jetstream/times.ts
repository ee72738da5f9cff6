/** Durations are nanoseconds here, times RFC 3339; the broker's are milliseconds. */

const nanos = 1_000_000

/** Rounded up, so that what is not nothing stays so. */
export const msOf = (duration: number): number => Math.ceil(duration / nanos)
export const nanosOf = (ms: number): number => ms * nanos
export const timeText = (ms: number): string => new Date(ms).toISOString()
export const noTime = '0001-01-01T00:00:00Z'

const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Go's way of writing a duration (`1h30m`, `1.5s`), in ms; null for what is none. */
export function parseDuration(text: string): number | null {
  if (text === '0') return 0
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return null
  let ms = 0
  for (const [, count = '', unit = ''] of text.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g))
    ms += Number(count) * (units[unit] ?? 0)
  return ms
}

/** Whole seconds as Go writes a duration: 1h0m5s. */
export function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const larger = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : ''
  return `${larger}${seconds % 60}s`
}
