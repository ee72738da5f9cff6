/**
 * The three places where bytes live. Local disk, memory and a remote log all fit behind them: nothing here is a file, nothing is
 * read synchronously, and a writer that has been replaced is told so by a failure.
 */

/** One append-only sequence of frames; a frame is atomic: after a crash it is there whole or not at all. */
export interface WriteAheadLog {
  /** Calls `visit` for each whole frame at or after `from`, in order; then the log is ready to be appended to. Rejects on damage that is not a torn end. */
  recover(from: number, visit: (frame: Buffer, position: number) => void): Promise<void>
  /**
   * Writes one frame; `done` with null once it is durable. One write at a time: the caller collects what arrives meanwhile.
   * The buffer's first {@link frameHeaderBytes} bytes are the log's own to fill; it must stay unchanged until `done`.
   */
  write(frame: Buffer, length: number, done: (error: Error | null) => void): void
  /** Where the next frame will go. Positions only grow. */
  readonly position: number
  /** Frees what lies wholly before `position`. */
  trim(position: number): Promise<void>
  /** Bytes held. */
  readonly bytes: number
  close(): Promise<void>
}

/** Bytes at the start of each frame that belong to the log. */
export const frameHeaderBytes = 24
/** A frame must fit into this with its header. */
export const frameBytesMax = 48 * 1024 * 1024

/** Append-only objects, named by the log they belong to and the first offset they may hold. */
export interface SegmentStore {
  /** Appends at `position`, which is the object's length as the caller knows it (what lies beyond is from before a crash and is cut off). */
  append(log: number, base: number, position: number, chunks: readonly Buffer[], done: (error: Error | null) => void): void
  /** Makes what was appended durable. */
  sync(log: number, base: number): Promise<void>
  /** Fills `into` from `position` on, as far as there is something; `done` with how many bytes that were. Later, never within the call. */
  read(log: number, base: number, position: number, into: Buffer, done: (error: Error | null, bytes: number) => void): void
  delete(log: number, base: number): Promise<void>
  /** Everything of a log that is none of `keep`. */
  deleteOthers(log: number, keep: ReadonlySet<number>): Promise<void>
  /** The logs of which anything is stored. */
  logs(): Promise<number[]>
  close(): Promise<void>
}

/** Small named values in ordered tables. A checkpoint is atomic and names the log position it stands for. */
export interface MetadataStore {
  /** The position of the last checkpoint; 0 for none. */
  position(): Promise<number>
  load(table: string, visit: (key: string, value: string | Uint8Array) => void): Promise<void>
  /** Up to `limit` rows with a key below `before` (in byte order), the smallest first. */
  range(table: string, from: string, before: string, limit: number): Promise<{ key: string; value: string | Uint8Array }[]>
  /** How many rows a table has. */
  count(table: string): Promise<number>
  checkpoint(position: number, changes: readonly MetadataChange[]): Promise<void>
  close(): Promise<void>
}

export interface MetadataChange {
  readonly table: string
  readonly key: string
  /** null deletes. */
  readonly value: string | Uint8Array | null
}

/** The three together, as one data directory or its like. */
export interface Storage {
  readonly wal: WriteAheadLog
  readonly segments: SegmentStore
  readonly metadata: MetadataStore
  /** Free bytes where data goes, or Infinity; asked about once a second. */
  freeBytes(): Promise<number>
  close(): Promise<void>
}
