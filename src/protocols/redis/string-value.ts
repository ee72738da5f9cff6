/** A string: bytes as latin1 text, or as a buffer of its own once parts of it were changed. */
export class StringValue {
  readonly type = 'string'
  /** A buffer may be changed later on: whoever keeps it copies it. */
  content: string | Buffer
  /** What `content` is a part of once it has grown, with zeros behind it. */
  #backing: Buffer | null = null

  constructor(content: string | Buffer) {
    this.content = content
  }

  get length(): number {
    return this.content.length
  }

  get bytes(): number {
    return this.content.length
  }

  get text(): string {
    return typeof this.content === 'string' ? this.content : this.content.toString('latin1')
  }

  /** A view, or a copy. */
  get buffer(): Buffer {
    return typeof this.content === 'string' ? Buffer.from(this.content, 'latin1') : this.content
  }

  /** Overwrites from `at` on; zeros are between the end so far and `at`. */
  patch(at: number, bytes: Buffer): void {
    const end = at + bytes.length
    let content = typeof this.content === 'string' ? Buffer.from(this.content, 'latin1') : this.content
    if (end > content.length) {
      const backing = this.#backing
      if (backing === null || backing.buffer !== content.buffer || end > backing.length) {
        // Twice as much, so that appending again and again does not copy all each time.
        this.#backing = Buffer.alloc(Math.max(end, content.length * 2))
        content.copy(this.#backing)
      }
      content = (this.#backing as Buffer).subarray(0, end) // made above
    }
    bytes.copy(content, at)
    this.content = content
  }
}
