/** Who asks for something, and from where: what rules are judged by. */
import { networkOf, plainAddress } from '../lib/ip.ts'

/** Texts of addresses and networks for which an asker remembers whether they are its own. */
const rememberedMax = 1000

export class Asker {
  readonly user: string
  readonly #address: string
  readonly #answers = new Map<string, boolean>()

  /** `from`: the address of the client's socket; empty when it has none, and then it comes from no address that has a name. */
  constructor(user: string, from: string) {
    this.user = user
    this.#address = plainAddress(from)
  }

  /** Whether it comes from an address, or out of a network, that is written so. Asked for each record that is published, so found once. */
  isFrom(network: string): boolean {
    const known = this.#answers.get(network)
    if (known !== undefined) return known
    const answer = this.#address !== '' && networkOf(network)?.(this.#address) === true
    if (this.#answers.size >= rememberedMax) this.#answers.clear()
    this.#answers.set(network, answer)
    return answer
  }
}
