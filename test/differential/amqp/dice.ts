/** Choices that are the same for the same seed, and the words in which commands say them. */
import type { MethodFields, MethodName } from '../../../src/protocols/amqp/methods.ts'
import type { FieldValue, Table } from '../../../src/protocols/amqp/table.ts'
import { Random } from '../../simulation/disk.ts'
import type { Command } from './commands.ts'

export class Dice {
  readonly #random: Random

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  below(limit: number): number {
    return Math.floor(this.#random.next() * limit)
  }
  chance(probability: number): boolean {
    return this.#random.next() < probability
  }
  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T // not empty
  }
}

export const int = (value: number): FieldValue => ({ type: 'I', value })
export const table = (entries: Record<string, FieldValue>): Table => new Map(Object.entries(entries))

export function method<N extends MethodName>(
  channel: number,
  name: N,
  fields: MethodFields<N>,
  answers: readonly string[],
): Command {
  return { kind: 'method', channel, name, fields, answers }
}
