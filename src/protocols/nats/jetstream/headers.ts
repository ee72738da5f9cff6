/** Header blocks as they stand on the wire (`NATS/1.0`, a line each, an empty line): looked into and added to without being taken apart. */
import { Buffer } from 'node:buffer'

const head = 'NATS/1.0\r\n'

/** The value of the first header of this name; undefined when there is none. Names are told apart by case. */
export function headerOf(block: string, name: string): string | undefined {
  const start = block.indexOf(`\r\n${name}:`)
  if (start < 0) return undefined
  const from = start + name.length + 3
  const end = block.indexOf('\r\n', from)
  return block.slice(from, end < 0 ? block.length : end).trim()
}

export type Line = readonly [name: string, value: string | number]

/** The block with more lines at its end. */
export function withHeaders(block: Buffer, lines: readonly Line[]): Buffer {
  const added = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  if (block.length === 0) return Buffer.from(`${head}${added}\r\n`)
  return Buffer.concat([block.subarray(0, block.length - 2), Buffer.from(`${added}\r\n`)])
}

export function statusBlock(status: string, lines: readonly Line[] = []): Buffer {
  return Buffer.from(`NATS/1.0 ${status}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
}

/** The block without all headers whose lines begin so. */
export function withoutHeaders(block: string, beginnings: readonly string[]): string {
  const [first = '', ...lines] = block.split('\r\n')
  return [first, ...lines.filter((line) => !beginnings.some((beginning) => line.startsWith(beginning)))].join('\r\n')
}
