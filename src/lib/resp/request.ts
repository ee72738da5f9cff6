/** A request as it stands in the bytes that came. What its reader does not ask for is not made: a view of bytes takes as long as many a command. */
import { textOf, upperOf } from './texts.ts'

/** Up to here a loop copies faster than a call of Buffer's. */
const shortBytesMax = 32

/** The arguments of one request, the command's name first. A decoder has one of these for all its requests: it is valid until the next is read. */
export class Request {
  length = 0
  #data: Buffer = Buffer.alloc(0)
  /** Where each argument stands in {@link #data}. */
  readonly #starts: number[] = []
  readonly #ends: number[] = []
  /** Views of all of them, once they are asked for, or where they stand in several places. */
  #views: readonly Buffer[] | null = null
  /** Grows with each request. */
  serial = 0

  static of(args: readonly Buffer[]): Request {
    const request = new Request()
    request.show(args)
    return request
  }

  /** It consists of these. */
  show(args: readonly Buffer[]): void {
    this.serial++
    this.length = args.length
    this.#views = args
  }

  /** It consists of what is then added by {@link add}. */
  begin(data: Buffer): void {
    this.serial++
    this.length = 0
    this.#data = data
    this.#views = null
  }

  add(start: number, end: number): void {
    const index = this.length++
    this.#starts[index] = start
    this.#ends[index] = end
  }

  /** Its bytes as latin1; '' where there is no such argument. */
  text(index: number): string {
    if (index >= this.length) return ''
    const view = this.#views?.[index]
    if (view !== undefined) return textOf(view, 0, view.length)
    return textOf(this.#data, this.#starts[index] as number, this.#ends[index] as number) // index < length
  }

  /** The same in capitals. */
  upper(index: number): string {
    if (index >= this.length) return ''
    const view = this.#views?.[index]
    if (view !== undefined) return upperOf(view, 0, view.length)
    return upperOf(this.#data, this.#starts[index] as number, this.#ends[index] as number) // index < length
  }

  /** There is such an argument. */
  bytes(index: number): Buffer {
    return this.#views?.[index] ?? this.#data.subarray(this.#starts[index], this.#ends[index])
  }

  /** How many bytes it has. There is such an argument. */
  size(index: number): number {
    const view = this.#views?.[index]
    return view === undefined ? (this.#ends[index] as number) - (this.#starts[index] as number) : view.length
  }

  /** Puts its bytes into `target`; returns where they end there. There is such an argument. */
  copy(index: number, target: Buffer, at: number): number {
    const view = this.#views?.[index]
    const data = view ?? this.#data
    const start = view === undefined ? (this.#starts[index] as number) : 0
    const length = this.size(index)
    if (length <= shortBytesMax) for (let byte = 0; byte < length; byte++) target[at + byte] = data[start + byte] as number
    else data.copy(target, at, start, start + length)
    return at + length
  }

  /** All of them, as views. */
  get all(): readonly Buffer[] {
    this.#views ??= Array.from({ length: this.length }, (_, index) => this.bytes(index))
    return this.#views
  }
}
