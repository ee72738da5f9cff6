/** What went in and out since the start, by namespace and protocol. A space and its consumers hold their own row and add to it, once a batch. */
import { type PublishItem, PublishStatus, type TrafficStats } from './face.ts'

export interface Traffic {
  recordsIn: number
  bytesIn: number
  recordsOut: number
  bytesOut: number
}

export class TrafficTotals {
  readonly #byNamespace = new Map<string, Map<string, Traffic>>()

  of(namespace: string, protocol: string): Traffic {
    let rows = this.#byNamespace.get(namespace)
    if (rows === undefined) {
      rows = new Map()
      this.#byNamespace.set(namespace, rows)
    }
    let row = rows.get(protocol)
    if (row === undefined) {
      row = { recordsIn: 0, bytesIn: 0, recordsOut: 0, bytesOut: 0 }
      rows.set(protocol, row)
    }
    return row
  }

  namespaceGone(namespace: string): void {
    this.#byNamespace.delete(namespace)
  }

  stats(): TrafficStats[] {
    return [...this.#byNamespace].flatMap(([namespace, rows]) =>
      [...rows].map(([protocol, row]) => ({ namespace, protocol, ...row })),
    )
  }
}

/** Counts what was taken, stored or told to live subscribers; what is told twice counts once. */
export function countPublished(traffic: Traffic, items: readonly PublishItem[]): void {
  for (const item of items) {
    if (item.status !== PublishStatus.Stored && item.heardBy === 0) continue
    traffic.recordsIn += item.count
    traffic.bytesIn += item.payload.length
  }
}
