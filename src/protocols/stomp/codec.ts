/**
 * Bytes ⇄ frames (STOMP 1.0, 1.1 and 1.2: "STOMP Frames"). Pure: no socket, no clock, no broker.
 *
 *   frame = command EOL *(header ":" value EOL) EOL body NUL *(EOL)
 */
import { Buffer } from 'node:buffer'
import { Joined } from '../../lib/joined.ts'

export const Version = { V10: '1.0', V11: '1.1', V12: '1.2' } as const
export type Version = (typeof Version)[keyof typeof Version]

/** Of repeated headers the first counts (1.2, "Repeated Header Entries"). */
export type Headers = ReadonlyMap<string, string>

export interface Frame {
  readonly command: string
  readonly headers: Headers
  readonly body: Buffer
}

export interface FrameLimits {
  readonly bodyBytesMax: number
  readonly headersMax: number
  /** Of one line: a command, or a header with its value. */
  readonly lineBytesMax: number
}

/** The peer sent what is no frame, or one beyond a limit. */
export class BadFrame extends Error {}

const lineFeed = 10
const carriageReturn = 13
const nothing = Buffer.alloc(0)

/** Cuts a stream into frames; a frame beyond a limit is refused before its rest is buffered. */
export class FrameDecoder {
  readonly #limits: FrameLimits
  /** What escapes mean; before CONNECT is read it does not matter, since that frame has none. */
  version: Version = Version.V12
  #chunk: Buffer = nothing
  #at = 0
  /** A line, or a body without a length, that goes on in the next chunk. */
  #partial: Buffer[] = []
  #partialBytes = 0
  #command = ''
  #headers = new Map<string, string>()
  #lines = 0
  #inHead = false
  #body: Joined | null = null
  /** -1: the body ends at the first NUL. */
  #bodyLength = -2

  constructor(limits: FrameLimits) {
    this.#limits = limits
  }

  push(chunk: Buffer): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk
    this.#at = 0
  }

  /** The next whole frame, or null: more bytes are needed. Throws {@link BadFrame}. */
  next(): Frame | null {
    for (;;) {
      if (this.#bodyLength !== -2) {
        const frame = this.#bodyLength === -1 ? this.#untilNul() : this.#countedBody()
        return frame
      }
      const line = this.#line()
      if (line === null) return null
      if (!this.#inHead) {
        if (line === '') continue // between frames: a heart-beat, or the peer's way to end a frame
        this.#command = line
        this.#inHead = true
        continue
      }
      if (line === '') {
        this.#bodyLength = this.#contentLength()
        continue
      }
      this.#header(line)
    }
  }

  #line(): string | null {
    const end = this.#chunk.indexOf(lineFeed, this.#at)
    if (end < 0) {
      this.#keepPartial(this.#chunk.length, this.#limits.lineBytesMax, 'a line')
      return null
    }
    this.#keepPartial(end, this.#limits.lineBytesMax, 'a line')
    this.#at = end + 1
    const bytes = this.#takePartial()
    const length = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length
    return bytes.toString('utf8', 0, length)
  }

  #keepPartial(end: number, max: number, what: string): void {
    this.#partialBytes += end - this.#at
    if (this.#partialBytes > max) throw new BadFrame(`${what} is longer than ${max} bytes`)
    if (end > this.#at) this.#partial.push(this.#chunk.subarray(this.#at, end))
    this.#at = end
  }

  #takePartial(): Buffer {
    const [only] = this.#partial
    const bytes = this.#partial.length === 1 && only !== undefined ? only : Buffer.concat(this.#partial)
    this.#partial = []
    this.#partialBytes = 0
    return bytes
  }

  #header(line: string): void {
    if (++this.#lines > this.#limits.headersMax) throw new BadFrame(`more than ${this.#limits.headersMax} headers`)
    const colon = line.indexOf(':')
    if (colon < 0) throw new BadFrame('a header has no colon')
    const raw = this.#command === 'CONNECT' || this.#command === 'STOMP' || this.version === Version.V10
    const name = raw ? line.slice(0, colon) : unescapeText(line.slice(0, colon), this.version)
    let value = raw ? line.slice(colon + 1) : unescapeText(line.slice(colon + 1), this.version)
    // 1.0 clients pad; later versions forbid to trim.
    if (this.version === Version.V10 && value.startsWith(' ')) value = value.trimStart()
    if (!this.#headers.has(name)) this.#headers.set(name, value)
  }

  #contentLength(): number {
    const text = this.#headers.get('content-length')
    if (text === undefined) return -1
    if (!/^\s*\d{1,15}\s*$/.test(text)) throw new BadFrame('content-length is not a number')
    const length = Number(text)
    if (length > this.#limits.bodyBytesMax) throw new BadFrame(`a body of ${length} bytes exceeds ${this.#limits.bodyBytesMax}`)
    this.#body = new Joined(length)
    return length
  }

  #countedBody(): Frame | null {
    const joined = this.#body as Joined // set with the length
    this.#at = joined.take(this.#chunk, this.#at)
    const body = joined.whole
    if (body === null || this.#at >= this.#chunk.length) return null
    if (this.#chunk[this.#at] !== 0) throw new BadFrame('there is no NUL behind the body')
    this.#at++
    return this.#finish(body)
  }

  #untilNul(): Frame | null {
    const end = this.#chunk.indexOf(0, this.#at)
    this.#keepPartial(end < 0 ? this.#chunk.length : end, this.#limits.bodyBytesMax, 'a body')
    if (end < 0) return null
    this.#at = end + 1
    return this.#finish(Buffer.from(this.#takePartial()))
  }

  #finish(body: Buffer): Frame {
    const frame = { command: this.#command, headers: this.#headers, body }
    this.#headers = new Map()
    this.#lines = 0
    this.#inHead = false
    this.#body = null
    this.#bodyLength = -2
    return frame
  }
}

/** 1.2, "Value Encoding"; 1.1 has no \r. Anything else behind a backslash is fatal. */
function unescapeText(text: string, version: Version): string {
  if (!text.includes('\\')) return text
  return text.replaceAll(/\\(.?)/gs, (_, letter: string) => {
    if (letter === 'n') return '\n'
    if (letter === 'c') return ':'
    if (letter === '\\') return '\\'
    if (letter === 'r' && version === Version.V12) return '\r'
    throw new BadFrame(`"\\${letter}" is no escape`)
  })
}

function escapeText(text: string, version: Version): string {
  // 1.0 has no escapes: what would break the frame is left out.
  if (version === Version.V10) return text.replaceAll(/[\r\n]/g, '')
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll(':', '\\c')
  return version === Version.V12 ? escaped.replaceAll('\r', '\\r') : escaped
}

/** Headers as they stand in a frame, each with its line end; of those with one name the first is what the reader takes. */
export function encodeHeaders(headers: Iterable<readonly [string, string]>, version: Version): string {
  let text = ''
  for (const [name, value] of headers) text += `${escapeText(name, version)}:${escapeText(value, version)}\n`
  return text
}

/** CONNECTED is never escaped, so that a 1.0 client reads it. */
export function encodeFrame(
  command: string,
  headers: Iterable<readonly [string, string]>,
  body: Buffer,
  version: Version,
): Buffer {
  const head = `${command}\n${encodeHeaders(headers, command === 'CONNECTED' ? Version.V10 : version)}\n`
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(head) + body.length + 1)
  const at = bytes.write(head)
  body.copy(bytes, at)
  bytes[bytes.length - 1] = 0
  return bytes
}

/** Reads what {@link encodeHeaders} wrote in version 1.2. */
export function decodeHeaders(text: string): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(unescapeText(line.slice(0, colon), Version.V12), unescapeText(line.slice(colon + 1), Version.V12))
  }
  return headers
}
