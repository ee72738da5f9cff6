/** What the broker counts. */

export interface LatencyStats {
  readonly count: number
  readonly sumSeconds: number
  /** How many took up to so many seconds: each includes those before it. */
  readonly buckets: readonly { readonly upTo: number; readonly count: number }[]
}

/** Bytes are those of envelopes. In: stored, or told to live subscribers, once whatever it was routed to. Out: handed over, each time. */
export interface TrafficStats {
  readonly namespace: string
  /** '' where nobody said. */
  readonly protocol: string
  readonly recordsIn: number
  readonly bytesIn: number
  readonly recordsOut: number
  readonly bytesOut: number
}

export interface BrokerStats {
  readonly topics: number
  readonly connections: number
  readonly walBytes: number
  readonly walCommits: number
  readonly walFailed: string | null
  readonly segmentBytes: number
  readonly cachedBytes: number
  /** Held by topics kept in memory. */
  readonly memoryBytes: number
  readonly recordsIn: number
  readonly bytesIn: number
  readonly recordsOut: number
  readonly scheduled: number
  /** From `publish` to its `done`, of publishes that waited for the disk; samples. */
  readonly publishLatency: LatencyStats
  /** From the publishing of a record until it was first handed to a consumer or reader, waiting in the log included; samples. */
  readonly deliverLatency: LatencyStats
  /** Since the start. */
  readonly traffic: readonly TrafficStats[]
  /** Of the data directory's file system, as last measured; -1 before. */
  readonly diskFreeBytes: number
}
