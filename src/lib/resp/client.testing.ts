/** For tests: requests as clients send them, and what servers reply. */

export type Answer = string | number | bigint | null | boolean | Error | Answer[] | Map<Answer, Answer> | Pushed

export class Pushed {
  readonly items: Answer[]
  constructor(items: Answer[]) {
    this.items = items
  }
}

export function encode(args: readonly (string | number | Buffer)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}

/** One reply; null while it is not whole. Bulk strings are read as UTF-8. */
export function readAnswer(bytes: Buffer, at: number): { answer: Answer; end: number } | null {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd < 0) return null
  const type = String.fromCharCode(bytes[at] ?? 0)
  const line = bytes.toString('utf8', at + 1, lineEnd)
  const end = lineEnd + 2
  switch (type) {
    case '+':
      return { answer: line, end }
    case '-':
      return { answer: new Error(line), end }
    case ':':
      return { answer: Number.isSafeInteger(Number(line)) ? Number(line) : BigInt(line), end }
    case ',':
      return { answer: line === 'inf' ? Infinity : line === '-inf' ? -Infinity : Number(line), end }
    case '#':
      return { answer: line === 't', end }
    case '_':
      return { answer: null, end }
    case '$':
    case '=': {
      const length = Number(line)
      if (length < 0) return { answer: null, end }
      if (bytes.length < end + length + 2) return null
      return { answer: bytes.toString('utf8', end, end + length), end: end + length + 2 }
    }
  }
  const count = Number(line) * (type === '%' ? 2 : 1)
  if (count < 0) return { answer: null, end }
  const items: Answer[] = []
  let place = end
  for (let i = 0; i < count; i++) {
    const item = readAnswer(bytes, place)
    if (item === null) return null
    items.push(item.answer)
    place = item.end
  }
  if (type === '>') return { answer: new Pushed(items), end: place }
  if (type !== '%') return { answer: items, end: place }
  const map = new Map<Answer, Answer>()
  for (let i = 0; i < items.length; i += 2) map.set(items[i] as Answer, items[i + 1] as Answer)
  return { answer: map, end: place }
}
