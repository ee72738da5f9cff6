/** What an account's token says of its streams. */
import { type AccountLimits, type Limits, singleTier } from '../jetstream/account-limits.ts'
import { number, record } from './claims.ts'

export const streamLimitClaims: ReadonlySet<string> = new Set([
  ...['mem_storage', 'disk_storage', 'streams', 'consumer', 'max_ack_pending'],
  ...['mem_max_stream_bytes', 'disk_max_stream_bytes', 'max_bytes_required'],
])

type Said = Readonly<Record<string, unknown>>

/** null: it may have none, which is so where nothing says that it may store something. */
export function streamLimits(said: Said): AccountLimits | null {
  if (mayStore(said)) return { own: limitsOf(said), tiers: null }
  const tiers = Object.entries(record(said['tiered_limits'])).map(([name, tier]): [string, Said] => [name, record(tier)])
  if (!tiers.some(([, tier]) => mayStore(tier))) return null
  const limits = Object.fromEntries(tiers.map(([name, tier]) => [name, limitsOf(tier)]))
  return { own: limits[singleTier] ?? null, tiers: limits }
}

const mayStore = (said: Said): boolean => number(said['mem_storage']) !== 0 || number(said['disk_storage']) !== 0

function limitsOf(said: Said): Limits {
  const orNone = (name: string): number => (number(said[name]) > 0 ? number(said[name]) : -1)
  return {
    streams: number(said['streams']),
    consumers: number(said['consumer']),
    ackPending: orNone('max_ack_pending'),
    memoryBytes: number(said['mem_storage']),
    diskBytes: number(said['disk_storage']),
    memoryStreamBytes: orNone('mem_max_stream_bytes'),
    diskStreamBytes: orNone('disk_max_stream_bytes'),
    bytesRequired: said['max_bytes_required'] === true,
  }
}
