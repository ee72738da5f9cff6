/** Protocols that were told to take no new records, for as long as the broker runs: see {@link Draining}. */
import { CoreError } from '../core/errors.ts'
import type { Draining } from './face.ts'

export class DrainingProtocols implements Draining {
  readonly #protocols = new Map<string, boolean>()

  offer(protocol: string): void {
    if (!this.#protocols.has(protocol)) this.#protocols.set(protocol, false)
  }

  list(): { protocol: string; draining: boolean }[] {
    return [...this.#protocols].map(([protocol, draining]) => ({ protocol, draining }))
  }

  is(protocol: string): boolean {
    return this.#protocols.get(protocol) === true
  }

  set(protocol: string, draining: boolean): void {
    if (!this.#protocols.has(protocol))
      throw new CoreError(
        'NotFound',
        `"${protocol}" is no protocol that can drain; there is ${[...this.#protocols.keys()].join(', ') || 'none'}`,
      )
    this.#protocols.set(protocol, draining)
  }
}
