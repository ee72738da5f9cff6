/** What a started program really holds, asked of its JavaScript engine: what only waits for the collector is collected first. */

interface Answer {
  readonly id?: number
  readonly result?: { readonly result?: { readonly value?: unknown } }
}

/** Of a program that was started with `--inspect`; `inspector` is the address that it wrote to its standard error. */
export class Memory {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #last = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const answer = JSON.parse(String(data)) as Answer // the inspector's protocol
      if (answer.id === undefined) return
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
  }

  static async of(inspector: string): Promise<Memory> {
    const socket = new WebSocket(inspector)
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve())
      socket.addEventListener('error', () => reject(new Error(`no inspector at ${inspector}`)))
    })
    return new Memory(socket)
  }

  /** Bytes of objects and buffers that can still be reached. */
  async reachableBytes(): Promise<number> {
    // What a first collection finalizes is free for the second.
    await this.#call('HeapProfiler.collectGarbage', {})
    await this.#call('HeapProfiler.collectGarbage', {})
    const expression = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())'
    const answer = await this.#call('Runtime.evaluate', { expression, returnByValue: true })
    const bytes = answer.result?.result?.value
    if (typeof bytes !== 'number') throw new Error(`the inspector says ${JSON.stringify(answer)}`)
    return bytes
  }

  close(): void {
    this.#socket.close()
  }

  #call(method: string, params: object): Promise<Answer> {
    const id = ++this.#last
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }
}
