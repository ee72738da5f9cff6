/** A reply as a value, for scripts. */
import { formatDouble, type Reply } from '../../lib/resp/reply.ts'

export type ReplyValue =
  | { readonly kind: 'status' | 'error' | 'bulk'; readonly text: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'nil' }
  | { readonly kind: 'verbatim'; readonly format: string; readonly text: string }
  /** Of a map, keys and values in turn. */
  | { readonly kind: 'array' | 'map' | 'set'; readonly items: ReplyValue[]; readonly length: number }

const nil: ReplyValue = { kind: 'nil' }

export class ValueReply implements Reply {
  protocol: number
  /** Collections that are not full yet, the innermost last. */
  readonly #open: { items: ReplyValue[]; length: number }[] = []
  #value: ReplyValue | null = null

  constructor(protocol: number) {
    this.protocol = protocol
  }

  /** null: nothing was replied yet. */
  get value(): ReplyValue | null {
    return this.#value
  }

  #add(value: ReplyValue): void {
    const inner = this.#open.at(-1)
    if (inner === undefined) this.#value = value
    else inner.items.push(value)
    if ('items' in value && value.length > 0) this.#open.push(value)
    else this.#close()
  }

  #close(): void {
    for (let inner = this.#open.at(-1); inner !== undefined && inner.items.length === inner.length; inner = this.#open.at(-1))
      this.#open.pop()
  }

  status(text: string): void {
    this.#add({ kind: 'status', text })
  }

  error(text: string): void {
    this.#add({ kind: 'error', text })
  }

  integer(value: number | bigint): void {
    this.#add({ kind: 'integer', value: Number(value) })
  }

  bulk(bytes: Buffer | string): void {
    this.#add({ kind: 'bulk', text: typeof bytes === 'string' ? bytes : bytes.toString('latin1') })
  }

  nil(): void {
    this.#add(nil)
  }

  nilArray(): void {
    this.#add(nil)
  }

  double(value: number, shown = formatDouble(value)): void {
    this.#add(this.protocol === 3 ? { kind: 'double', value } : { kind: 'bulk', text: shown })
  }

  boolean(value: boolean): void {
    this.#add(this.protocol === 3 ? { kind: 'boolean', value } : { kind: 'integer', value: value ? 1 : 0 })
  }

  array(length: number): void {
    this.#add({ kind: 'array', items: [], length })
  }

  map(pairs: number): void {
    this.#add({ kind: this.protocol === 3 ? 'map' : 'array', items: [], length: pairs * 2 })
  }

  set(length: number): void {
    this.#add({ kind: this.protocol === 3 ? 'set' : 'array', items: [], length })
  }

  push(length: number): void {
    this.array(length)
  }

  verbatim(format: string, text: string): void {
    const bytes = Buffer.from(text).toString('latin1')
    this.#add(this.protocol === 3 ? { kind: 'verbatim', format, text: bytes } : { kind: 'bulk', text: bytes })
  }
}
