/** The JSON of requests and configurations, by tables: what may stand there, of which type, and what counts when it is left out. */
import { refusal } from './errors.ts'

/** `int` also holds durations, in nanoseconds as everywhere in this API. `any` is looked at by whoever uses it. */
type Kind = 'string' | 'int' | 'bool' | 'strings' | 'texts' | 'time' | 'any'

export interface Field {
  readonly kind: Kind
  /** Of these words. */
  readonly words?: readonly string[]
  /** Stands in answers though it says nothing. */
  readonly always?: boolean
}

export type Fields = Readonly<Record<string, Field>>

export const text: Field = { kind: 'string' }
export const int: Field = { kind: 'int' }
export const flag: Field = { kind: 'bool' }
export const strings: Field = { kind: 'strings' }
export const texts: Field = { kind: 'texts' }
export const time: Field = { kind: 'time' }
export const any: Field = { kind: 'any' }
export const always = (field: Field): Field => ({ ...field, always: true })
export const oneOf = (...words: string[]): Field => ({ kind: 'string', words, always: true })

const nothing = { string: '', int: 0, bool: false, strings: [], texts: {}, time: '', any: null } as const satisfies Record<
  Kind,
  unknown
>

/** JSON as an object; an empty one for no bytes. Throws {@link ApiError}. */
export function parseObject(json: string): Record<string, unknown> {
  if (json.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw refusal('invalidJson', cause instanceof Error ? cause.message : String(cause))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refusal('invalidJson', 'json: cannot unmarshal this value into an object')
  return value as Record<string, unknown>
}

/** Every field of the table, in its order; those left out as nothing. Throws {@link ApiError} for others, and for other types. */
export function read<T>(fields: Fields, given: Record<string, unknown>): T {
  for (const name of Object.keys(given))
    if (!Object.hasOwn(fields, name)) throw refusal('invalidJson', `json: unknown field "${name}"`)
  const found: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const value = given[name]
    if (value === undefined || value === null) found[name] = field.words?.[0] ?? nothing[field.kind]
    else found[name] = checked(name, field, value)
  }
  return found as T // the table is that of T
}

function checked(name: string, { kind, words }: Field, value: unknown): unknown {
  const fits = {
    string: typeof value === 'string' && (words === undefined || words.includes(value)),
    int: Number.isInteger(value),
    bool: typeof value === 'boolean',
    strings: Array.isArray(value) && value.every((each) => typeof each === 'string'),
    texts: typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === 'string'),
    time: typeof value === 'string' && !Number.isNaN(Date.parse(value)),
    any: true,
  }[kind]
  if (!fits) throw refusal('invalidJson', `json: cannot unmarshal ${JSON.stringify(value)?.slice(0, 100)} into field ${name}`)
  // Go's zero time stands for none.
  return kind === 'time' && Date.parse(value as string) < 0 ? '' : value
}

/** As answers show it: what says nothing is left out, but for fields that always stand there. */
export function shown(fields: Fields, config: object): Record<string, unknown> {
  const said: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(config)) {
    if (fields[name]?.always === true || !saysNothing(value)) said[name] = value
  }
  return said
}

function saysNothing(value: unknown): boolean {
  if (value === '' || value === 0 || value === false || value === null || value === undefined) return true
  return typeof value === 'object' && Object.keys(value).length === 0
}
