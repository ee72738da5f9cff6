/** The parameters of a request, as the JSON protocol has them; a form is brought into that shape by form.ts. */
import { invalidValue, missing } from './errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export class Input {
  readonly fields: Fields

  constructor(fields: Fields) {
    this.fields = fields
  }

  has(name: string): boolean {
    const value = this.fields[name]
    return value !== undefined && value !== null
  }

  optionalText(name: string): string | undefined {
    const value = this.fields[name]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string') return value
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
    throw invalidValue(`Value for parameter ${name} is invalid. Reason: Must be a string.`)
  }

  text(name: string): string {
    const value = this.optionalText(name)
    if (value === undefined) throw missing(name)
    return value
  }

  optionalWhole(name: string): number | undefined {
    const written = this.optionalText(name)
    if (written === undefined) return undefined
    if (!/^-?\d{1,15}$/.test(written)) throw invalidValue(`Invalid value for the parameter ${name}.`)
    return Number(written)
  }

  flag(name: string): boolean {
    return this.optionalText(name)?.toLowerCase() === 'true'
  }

  texts(name: string): string[] {
    return this.#list(name).map((each) => {
      if (typeof each === 'string') return each
      throw invalidValue(`Value for parameter ${name} is invalid. Reason: Must be a list of strings.`)
    })
  }

  /** A list of structures. */
  entries(name: string): Input[] {
    return this.#list(name).map((each) => {
      if (isFields(each)) return new Input(each)
      throw invalidValue(`Value for parameter ${name} is invalid. Reason: Must be a list of structures.`)
    })
  }

  /** A map of structures; undefined when it is absent. */
  structures(name: string): ReadonlyMap<string, Input> | undefined {
    const map = this.#map(name)
    if (map === undefined) return undefined
    return new Map(
      Object.entries(map).map(([key, value]) => {
        if (!isFields(value)) throw invalidValue(`Value for parameter ${name} is invalid. Reason: Must be a map of structures.`)
        return [key, new Input(value)]
      }),
    )
  }

  /** A map of strings; undefined when it is absent. */
  map(name: string): ReadonlyMap<string, string> | undefined {
    const map = this.#map(name)
    if (map === undefined) return undefined
    const inner = new Input(map)
    return new Map(Object.keys(map).map((key) => [key, inner.text(key)]))
  }

  #list(name: string): readonly unknown[] {
    const value = this.fields[name]
    if (value === undefined || value === null) return []
    if (!Array.isArray(value)) throw invalidValue(`Value for parameter ${name} is invalid. Reason: Must be a list.`)
    return value
  }

  #map(name: string): Fields | undefined {
    const value = this.fields[name]
    if (value === undefined || value === null) return undefined
    if (!isFields(value)) throw invalidValue(`Value for parameter ${name} is invalid. Reason: Must be a map.`)
    return value
  }
}

export const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)
