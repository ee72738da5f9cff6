// How many connections Kafka clients may have together, and from one address: max.connections and its like, which are set at run time.
import { isIP } from 'node:net'
import type { Broker } from '../../broker/face.ts'
import { plainAddress } from '../../lib/ip.ts'
import { Meter } from './meter.ts'
import { ConfigRefused } from './refused.ts'

/** The greatest int, as Kafka writes no limit. */
export const unlimited = 0x7fffffff

/** How many seconds' worth of connections may come at once, as in Kafka, which counts over so long. */
const atOnceSeconds = 10
const waitMsMax = 30_000

interface Configs {
  get(name: string): string
}

export class ConnectionLimits {
  readonly #configs: Configs
  readonly #byAddress = new Map<string, number>()
  #all = 0
  #pace: { readonly rate: number; readonly meter: Meter } | null = null

  static of(broker: Broker, configs: Configs): ConnectionLimits {
    return broker.shared('kafka.connection-limits', () => new ConnectionLimits(configs))
  }

  constructor(configs: Configs) {
    this.#configs = configs
  }

  /** Counts one more from this address, until {@link leave}; or says why there may be none. */
  enter(address: string): string | null {
    const all = Number(this.#configs.get('max.connections'))
    if (this.#all >= all) return `there are ${this.#all} connections; max.connections is ${all}`
    const here = this.#byAddress.get(address) ?? 0
    const most =
      addressOverrides(this.#configs.get('max.connections.per.ip.overrides')).get(address) ??
      Number(this.#configs.get('max.connections.per.ip'))
    if (here >= most) return `${address} has ${here} connections; max.connections.per.ip is ${most} for it`
    this.#all++
    this.#byAddress.set(address, here + 1)
    return null
  }

  /** One more has come, at this time: how long it has to wait until it is served (max.connection.creation.rate), ms. */
  arrive(now: number): number {
    const rate = Number(this.#configs.get('max.connection.creation.rate'))
    if (rate === unlimited) return 0
    if (this.#pace?.rate !== rate) this.#pace = { rate, meter: new Meter(rate, atOnceSeconds, now) }
    const { meter } = this.#pace
    // A crowd that comes all the time does not make those wait who come when it has gone.
    return meter.owed(now) < waitMsMax ? Math.min(meter.take(1, now), waitMsMax) : waitMsMax
  }

  leave(address: string): void {
    const here = this.#byAddress.get(address) ?? 0
    this.#all--
    if (here > 1) this.#byAddress.set(address, here - 1)
    else this.#byAddress.delete(address)
  }
}

/** `address:number, …`, where an address may itself have colons. Throws {@link ConfigRefused}. */
export function addressOverrides(text: string): Map<string, number> {
  const overrides = new Map<string, number>()
  for (const each of text.split(',').map((part) => part.trim())) {
    if (each === '') continue
    const colon = each.lastIndexOf(':')
    const [address, number] = [each.slice(0, Math.max(colon, 0)), each.slice(colon + 1)]
    if (isIP(address) === 0 || !/^\d+$/.test(number) || Number(number) > unlimited)
      throw new ConfigRefused(
        `Invalid value ${text} for configuration max.connections.per.ip.overrides: address:number, … (names are not looked up)`,
      )
    overrides.set(plainAddress(address), Number(number))
  }
  return overrides
}
