/** What fuzzing needs to know of a protocol. A new protocol adds one file with these, and its line in all.ts. */
export interface Corpus {
  /** The listener's name, as `--port NAME=N` takes it. */
  readonly listener: string
  /** Its port in a broker that the tests start with an offset of 0. */
  readonly standardPort: number
  /**
   * Whether the end of what was heard says why the connection was closed, or that the peer asked for it, so that nothing need be logged. Without this
   * every connection that the broker closes is to be found in its log. Whoever did not hear the end is believed.
   */
  readonly saysWhy?: (heardLast: Buffer) => boolean
  /**
   * Unmodified clients doing a bit of everything against `port`, once: what they send is recorded and taken apart. All that they name begins
   * with `fuzzed`, so that what comes of it cannot disturb the healthy ones.
   */
  drive(port: number): Promise<void>
  /** Cuts what one connection sent into its frames; what is left over at the end is a frame too. */
  frames(stream: Buffer): Buffer[]
  /** A client that must go on working whatever the others do. */
  healthy(port: number): Promise<Healthy>
}

export interface Healthy {
  /** One record published and consumed, or whatever is the like. Rejects when it went wrong. */
  beat(): Promise<void>
  close(): Promise<void>
}

/** Frames that begin with a 32-bit length which does not count itself. */
export function lengthPrefixed(stream: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < stream.length; ) {
    const length = at + 4 <= stream.length ? 4 + stream.readUInt32BE(at) : stream.length - at
    frames.push(stream.subarray(at, at + length))
    at += length
  }
  return frames
}
