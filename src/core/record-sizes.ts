/** How many bytes each record of a log takes, from its first on: four bytes a record, in a ring that grows and shrinks with it. */
const roomMin = 64

export class RecordSizes {
  /** The size of the record at `offset` stands at `offset % length`; 0 where there is none. The length is a power of two. */
  #ring = new Uint32Array(roomMin)
  #start = 0
  #end = 0
  /** All together. */
  bytes = 0

  /** Behind all others; there may be a gap before it. */
  add(offset: number, bytes: number): void {
    if (this.#start === this.#end) this.#start = this.#end = offset
    this.#fit(offset + 1)
    this.#end = offset + 1
    this.#ring[offset % this.#ring.length] = bytes
    this.bytes += bytes
  }

  /** 0: there is none. */
  of(offset: number): number {
    return offset >= this.#start && offset < this.#end ? (this.#ring[offset % this.#ring.length] as number) : 0 // within
  }

  /** The record is gone. */
  remove(offset: number): void {
    this.bytes -= this.of(offset)
    if (offset >= this.#start && offset < this.#end) this.#ring[offset % this.#ring.length] = 0
  }

  /** All before this one are gone. */
  raiseTo(offset: number): void {
    for (; this.#start < offset && this.#start < this.#end; this.#start++) this.remove(this.#start)
    this.#fit(this.#end)
  }

  /** Makes room up to `end`, and no more than that takes. */
  #fit(end: number): void {
    const ring = this.#ring
    const needed = end - this.#start
    let room = ring.length
    while (room < needed) room *= 2
    while (room > roomMin && needed < room / 4) room /= 2
    if (room === ring.length) return
    this.#ring = new Uint32Array(room)
    for (let offset = this.#start; offset < this.#end; offset++) this.#ring[offset % room] = ring[offset % ring.length] as number // within
  }
}
