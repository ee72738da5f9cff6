/** A client of the least: sends commands, reads replies as values that can be compared. Bulk strings are latin1. */
import { createConnection, type Socket } from 'node:net'

export type Answer =
  | { readonly kind: string; readonly value: string }
  | { readonly kind: string; readonly items: readonly Answer[] }

export class Wire {
  readonly #socket: Socket
  #bytes = Buffer.alloc(0)
  #waiting: { resolve: (answer: Answer) => void; reject: (cause: Error) => void } | null = null

  constructor(port: number) {
    this.#socket = createConnection(port, '127.0.0.1')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#read()
    })
    this.#socket.on('close', () => this.#waiting?.reject(new Error('the server ended the connection')))
    this.#socket.on('error', (cause) => this.#waiting?.reject(cause))
  }

  run(args: readonly string[], timeoutMs = 10_000): Promise<Answer> {
    const parts = [`*${args.length}\r\n`, ...args.map((arg) => `$${arg.length}\r\n${arg}\r\n`)]
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no reply to ${args.join(' ')}`)), timeoutMs)
      this.#waiting = {
        resolve: (answer) => {
          clearTimeout(timer)
          resolve(answer)
        },
        reject: (cause) => {
          clearTimeout(timer)
          reject(cause)
        },
      }
      this.#socket.write(Buffer.from(parts.join(''), 'latin1'))
    })
  }

  close(): void {
    this.#waiting = null
    this.#socket.destroy()
  }

  #read(): void {
    const read = readAnswer(this.#bytes, 0)
    if (read === null) return
    this.#bytes = this.#bytes.subarray(read.end)
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.resolve(read.answer)
  }
}

function readAnswer(bytes: Buffer, at: number): { answer: Answer; end: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd < 0) return null
  const kind = String.fromCharCode(bytes[at] ?? 0)
  const line = bytes.toString('latin1', at + 1, lineEnd)
  const end = lineEnd + 2
  if ('$='.includes(kind)) {
    const length = Number(line)
    if (length < 0) return { answer: { kind: '_', value: '' }, end }
    if (bytes.length < end + length + 2) return null
    return { answer: { kind, value: bytes.toString('latin1', end, end + length) }, end: end + length + 2 }
  }
  if (!'*%~>'.includes(kind)) return { answer: { kind, value: line }, end }
  const count = Number(line) * (kind === '%' ? 2 : 1)
  if (count < 0) return { answer: { kind: '_', value: '*' }, end }
  const items: Answer[] = []
  let place = end
  for (let i = 0; i < count; i++) {
    const item = readAnswer(bytes, place)
    if (item === null) return null
    items.push(item.answer)
    place = item.end
  }
  return { answer: { kind, items }, end: place }
}
