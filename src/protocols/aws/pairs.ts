/** A map in an answer: the JSON protocol writes it as an object, the Query protocol pair by pair (xml.ts). */
export class Pairs<Value> extends Map<string, Value> {
  toJSON(): Readonly<Record<string, Value>> {
    return Object.fromEntries(this)
  }
}
